"""Tool loops: what Gemini said reaches a client of each dialect, and goes back as it came, signatures and all."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from headgate.types import Route
from headgate.wire.dialect import ReplyContext
from headgate.wire.dialects import CLIENTS
from headgate.wire.gemini.dialect import PROVIDER
from headgate.wire.neutral import Target
from tests.wire.gemini.recorded import recordings

RESULT = '{"celsius": 20}'
QUESTION = {"role": "user", "content": "What is next?"}
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def chat(answer: Any) -> Any:
    """The next request of a client of chat completions that has carried out the tool calls."""
    message = answer["choices"][0]["message"]
    calls = message.get("tool_calls") or []
    results = [{"role": "tool", "tool_call_id": call["id"], "content": RESULT} for call in calls]
    return {"model": "m", "messages": [QUESTION, message, *results]}


def responses(answer: Any) -> Any:
    calls = [item for item in answer["output"] if item["type"] == "function_call"]
    results = [{"type": "function_call_output", "call_id": call["call_id"], "output": RESULT} for call in calls]
    return {"model": "m", "input": [QUESTION, *answer["output"], *results]}


def messages(answer: Any) -> Any:
    calls = [block for block in answer["content"] if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call["id"], "content": RESULT} for call in calls]
    turns = [QUESTION, {"role": "assistant", "content": answer["content"]}, {"role": "user", "content": results}]
    return {"model": "m", "max_tokens": 9, "messages": turns}


LOOPS: dict[Route, Callable[[Any], Any]] = {Route.CHAT: chat, Route.RESPONSES: responses, Route.MESSAGES: messages}


@pytest.mark.parametrize("name", ["871e879ff121", "6fe121e5ec4c", "cf2014d54749"])
@pytest.mark.parametrize("route", LOOPS)
def test_calls_go_back_as_they_came_and_results_with_them(route: Route, name: str) -> None:
    recording = recordings()[name]
    client = CLIENTS[route]
    answered = client.write_answer(PROVIDER.read_answer(recording.body), ReplyContext("req_1", 1, {}))
    request = client.read_request(_fields.decode(json.dumps(LOOPS[route](json.loads(answered)))))
    written = PROVIDER.write_request(request, Target("gemini-2.5-flash"))
    _, model, results = json.loads(written.body)["contents"]
    calls = [part["functionCall"] for part in model["parts"] if "functionCall" in part]
    assert len({call.pop("id") for call in calls}) == len(calls)
    assert model["parts"] == recording.events()[0]["candidates"][0]["content"]["parts"]
    assert [(part["functionResponse"]["name"], part["functionResponse"]["response"]) for part in results["parts"]] == [
        (call["name"], {"celsius": 20}) for call in calls
    ]
    assert [leftover for leftover in written.leftovers if not leftover.is_hint] == []
