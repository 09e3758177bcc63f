"""The plain text of questions and answers, in every dialect."""

from __future__ import annotations

import json

import pytest

from headgate.types import Route
from headgate.wire import texts


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ('"hello"', "hello"),
        ('{"role":"user","content":"hello"}', "hello"),
        ('{"role":"user","content":[{"type":"text","text":"a"},{"type":"input_text","text":"b"}]}', "a\nb"),
        ('{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"}]}', None),
        ('{"role":"user","content":[{"type":"tool_result","content":"a"}]}', None),
        ('{"role":"user","content":[{"type":"text"}]}', None),
        ('{"role":"user"}', None),
    ],
)
def test_a_question_is_its_text_or_nothing(message: str, text: str | None) -> None:
    assert texts.of_question(message.encode()) == text


@pytest.mark.parametrize("message", ["", "1", '{"content": 1}', "{"])
def test_what_is_no_message_cannot_be_read(message: str) -> None:
    with pytest.raises(ValueError):  # whatever msgspec says
        texts.of_question(message.encode())


PART = {"type": "text", "text": "Hi"}
WHOLE = {
    Route.CHAT: {"choices": [{"message": {"content": "Hi"}}]},
    Route.COMPLETIONS: {"choices": [{"text": "Hi"}]},
    Route.MESSAGES: {"content": [{"type": "thinking", "thinking": "hm"}, PART]},
    Route.RESPONSES: {
        "output": [{"type": "reasoning"}, {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}]
    },
}
STREAMED = {
    Route.CHAT: [{"choices": [{"delta": {"role": "assistant"}}]}, {"choices": [{"delta": {"content": "H"}}]},
                 {"choices": [{"delta": {"content": "i"}}]}, {"choices": []}],
    Route.COMPLETIONS: [{"choices": [{"text": "H"}]}, {"choices": [{"text": "i"}]}],
    Route.MESSAGES: [{"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "hm"}},
                     {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}}],
    Route.RESPONSES: [{"type": "response.output_text.delta", "delta": "Hi"},
                      {"type": "response.completed", "response": WHOLE[Route.RESPONSES]}],
}  # fmt: skip


@pytest.mark.parametrize("route", WHOLE)
def test_an_answer_is_its_text(route: Route) -> None:
    assert texts.of_answer(route, json.dumps(WHOLE[route]).encode(), stream=False) == "Hi"
    frames = b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in STREAMED[route])
    whole = b": a comment\n\n" + frames + b": x-headgate-cost-usd=0\n\ndata: [DONE]\n\n"
    assert texts.of_answer(route, whole, stream=True) == "Hi"


@pytest.mark.parametrize("member", ["message", "delta"])
def test_some_servers_say_it_in_parts(member: str) -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    body = json.dumps({"choices": [{member: {"content": [thought, PART]}}]}).encode()
    assert texts.of_answer(Route.CHAT, body, stream=False) == "Hi"


def test_what_is_no_answer_cannot_be_read() -> None:
    with pytest.raises(ValueError):  # whatever msgspec says
        texts.of_answer(Route.CHAT, b"nonsense", stream=False)
