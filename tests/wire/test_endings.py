"""How answers end, read in what clients were sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headgate.cache_types import Ending
from headgate.types import Route
from headgate.wire import endings
from tests.e2e.vendors import chat, messages, responses
from tests.e2e.vendors.mind import THOUGHT, Said
from tests.wire.chunks import DONE, choice, chunk, role, stop, text

PLAIN = Said("One two")
THINKING = Said("One two", thought=THOUGHT)
CALLING = Said(call=("weather", {"city": "Rome"}))
VENDORS = [
    (Route.CHAT, chat, "stop"),
    (Route.MESSAGES, messages, "end_turn"),
    (Route.RESPONSES, responses, "completed"),
]


@pytest.mark.parametrize("route, vendor, finish", VENDORS)
@pytest.mark.parametrize("said", [PLAIN, THINKING])
def test_a_plain_answer(route: Route, vendor: Any, finish: str, said: Said) -> None:
    whole = endings.of_whole(route, json.dumps(vendor.answer(said)).encode())
    streamed = endings.of_stream(route, vendor.stream(said, {}))
    for ending in (whole, streamed):
        assert (ending.finishes, ending.calls_tools, ending.refuses) == ((finish,), False, False)
        assert "One two" in "".join(ending.texts)
        assert said.thought in "".join(ending.texts)


@pytest.mark.parametrize("route, vendor, finish", VENDORS)
def test_a_tool_call(route: Route, vendor: Any, finish: str) -> None:
    assert endings.of_whole(route, json.dumps(vendor.answer(CALLING)).encode()).calls_tools
    assert endings.of_stream(route, vendor.stream(CALLING, {})).calls_tools


@pytest.mark.parametrize(
    "data, ending",
    [
        (role() + text("a") + stop() + DONE, Ending(("stop",), texts=("a",))),
        (role() + text("a") + stop("length") + DONE, Ending(("length",), texts=("a",))),
        (role() + text("a"), Ending(("",), texts=("a",))),
        (
            text("a") + text("x", 1) + text("b") + stop("stop", 1) + text("c") + stop("length") + DONE,
            Ending(("length", "stop"), texts=("abc", "x")),
        ),
        (chunk(choice({"refusal": "no"})) + stop(), Ending(("stop",), refuses=True, texts=("",))),
        (chunk(choice({"function_call": {"name": "f"}})) + stop(), Ending(("stop",), calls_tools=True, texts=("",))),
        ((text("a") + stop() + DONE).replace(b"\n", b"\r\n"), Ending(("stop",), texts=("a",))),
        (b": ping\n\n" + text("a") + stop(), Ending(("stop",), texts=("a",))),
        (DONE, Ending(())),
        (b"", Ending(())),
    ],
)
def test_streams_of_chat(data: bytes, ending: Ending) -> None:
    assert endings.of_stream(Route.CHAT, data) == ending


@pytest.mark.parametrize(
    "route, body, ending",
    [
        (Route.CHAT, {}, Ending(())),
        (Route.CHAT, {"choices": [{"message": {"content": None}}]}, Ending(("",), texts=("",))),
        (
            Route.CHAT,
            {"choices": [{"finish_reason": "stop", "message": {}}, {"finish_reason": "stop", "message": {}}]},
            Ending(("stop", "stop"), texts=("", "")),
        ),
        (Route.COMPLETIONS, {"choices": [{"finish_reason": "stop", "text": "a"}]}, Ending(("stop",), texts=("a",))),
        (Route.EMBEDDINGS, {"data": [{"embedding": [1.0]}, {"embedding": []}]}, Ending(("stop", ""))),
        (Route.MESSAGES, {"stop_reason": "end_turn", "content": []}, Ending((), texts=("",))),
        (
            Route.MESSAGES,
            {"stop_reason": "refusal", "content": [{"type": "text", "text": "no"}]},
            Ending(("refusal",), refuses=True, texts=("no",)),
        ),
        (
            Route.RESPONSES,
            {"status": "completed", "output": [{"type": "message", "content": [{"type": "refusal"}]}]},
            Ending(("completed",), refuses=True, texts=("",)),
        ),
        (
            Route.RESPONSES,
            {"status": "completed", "output": [{"type": "web_search_call"}]},
            Ending(("completed",), calls_tools=True, texts=("",)),
        ),
    ],
)
def test_whole_answers(route: Route, body: object, ending: Ending) -> None:
    assert endings.of_whole(route, json.dumps(body).encode()) == ending


@pytest.mark.parametrize("data", [b"{", b"data: {\n\n", b"data: {}\n\ndata: [\n\n"])
def test_what_cannot_be_read(data: bytes) -> None:
    with pytest.raises(ValueError):
        endings.of_stream(Route.CHAT, data) if data.startswith(b"data") else endings.of_whole(Route.CHAT, data)
