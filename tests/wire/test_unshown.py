"""Parts of an answer that the caller's dialect has no place for are told of by name, never lost in silence."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from headgate.types import Call, Route
from headgate.wire.dialects import dialogues
from headgate.wire.neutral import Target
from headgate.wire.translation import Ask

SEARCH = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
TEXT = {"type": "text", "text": "Here."}
ASK = Ask(Target("claude-opus-4-8"), None, True, 0)
CLAUDE = dialogues("anthropic")


def call(route: Route) -> Call:
    return Call("req_1", route, "m", False, {"model": msgspec.Raw(b'"m"')}, 0)


def whole(*blocks: Any) -> bytes:
    usage = {"input_tokens": 1, "output_tokens": 1}
    return json.dumps({"id": "msg", "content": blocks, "stop_reason": "end_turn", "usage": usage}).encode()


def stream(*blocks: Any) -> bytes:
    events = [{"type": "message_start", "message": {"id": "msg", "usage": {"input_tokens": 1, "output_tokens": 1}}}]
    for index, block in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}})
    events.append({"type": "message_stop"})
    return b"".join(b"event: %b\ndata: %b\n\n" % (str(e["type"]).encode(), json.dumps(e).encode()) for e in events)


@pytest.mark.parametrize("route", [Route.CHAT, Route.RESPONSES])
def test_of_a_whole_answer_in_the_header(route: Route) -> None:
    answer = CLAUDE[route].read_whole(call(route), ASK, whole(SEARCH, FOUND, FOUND, TEXT))
    assert answer.dropped == ("answer.server_tool_use", "answer.web_search_tool_result")
    assert answer.body is not None and b"Here." in answer.body


@pytest.mark.parametrize("route", [Route.CHAT, Route.RESPONSES])
def test_of_a_stream_in_a_comment_before_the_end(route: Route) -> None:
    reading = CLAUDE[route].read_stream(call(route), ASK)
    reading.feed(stream(SEARCH, FOUND, TEXT))
    reading.finish()
    assert reading.failure is None
    assert reading.tail.startswith(
        b": x-headgate-dropped=answer.server_tool_use, answer.web_search_tool_result\n\ndata:"
        if route is Route.CHAT
        else b": x-headgate-dropped=answer.server_tool_use, "
    )


@pytest.mark.parametrize("route", [Route.CHAT, Route.RESPONSES])
def test_nothing_is_told_when_nothing_is_lost(route: Route) -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    blocks = (thought, TEXT, {"type": "tool_use", "id": "t", "name": "f", "input": {}})
    assert CLAUDE[route].read_whole(call(route), ASK, whole(*blocks)).dropped == ()
    reading = CLAUDE[route].read_stream(call(route), ASK)
    reading.feed(stream(*blocks))
    reading.finish()
    assert reading.failure is None and b"x-headgate-dropped" not in reading.tail


def test_sound_of_a_chat_model_has_no_place_in_messages() -> None:
    message = {"role": "assistant", "content": "Here.", "audio": {"id": "a", "data": "QQ=="}}
    body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
    answer = dialogues("openai")[Route.MESSAGES].read_whole(call(Route.MESSAGES), ASK, body)
    assert answer.dropped == ("answer.audio",)


def test_a_word_of_the_providers_cannot_end_a_line() -> None:
    odd = {"type": "x\n\ndata: {}"}
    reading = CLAUDE[Route.CHAT].read_stream(call(Route.CHAT), ASK)
    reading.feed(stream(odd, TEXT))
    reading.finish()
    assert reading.tail.startswith(b": x-headgate-dropped=answer.part\n\n")
