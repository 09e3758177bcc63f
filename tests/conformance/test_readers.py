"""The readers that recordings are compared by read what they should, and see what is wrong."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tests.conformance import chat, converse, frames, gemini, messages, responses
from tests.conformance.meaning import Call, Choice, Json, Reading, Tokens, differences


def sse(*events: Json, end: str = "") -> str:
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + end


CALL_BLOCK = {"type": "tool_use", "id": "t", "name": "weather"}
CALLED = Choice("Hi", "", ["hm"], [Call("weather", {"city": "Rome"}, "1")], "tool_calls")
COUNTED = Tokens(10, 4, 6, 2)
EXPECTED = Reading([CALLED], COUNTED)


def test_a_chat_answer() -> None:
    message = {
        "content": "Hi",
        "reasoning_content": "hm",
        "tool_calls": [{"id": "1", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}],
    }
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 6,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}], "usage": usage}
    assert chat.read_answer(answer) == EXPECTED


def test_a_chat_stream() -> None:
    def chunk(delta: Json, finish: str | None = None) -> Json:
        return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    pieces = [
        chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}),
        chunk({"content": "H"}),
        chunk({"content": "i"}),
        chunk({"tool_calls": [{"index": 0, "function": {"name": "weather", "arguments": ""}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"city": '}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"Rome"}'}}]}),
    ]
    end = chunk({}, "tool_calls")
    usage = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 16, "prompt_cache_hit_tokens": 4}
    last = {"choices": [], "usage": usage}
    assert chat.read_stream(sse(*pieces, end, last, end="data: [DONE]\n\n")) == EXPECTED
    assert chat.read_stream(sse(*pieces)).failure
    assert chat.read_stream(sse(*pieces, {"error": {"message": "Full"}}, end)).failure == "Full"


def test_a_message_stream() -> None:
    start = {"input_tokens": 6, "cache_read_input_tokens": 4, "output_tokens": 1}
    events = [
        {"type": "message_start", "message": {"content": [], "usage": start, "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hi"}},
        {
            "type": "content_block_start",
            "index": 2,
            "content_block": CALL_BLOCK,
        },
        {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"city"'}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ':"Rome"}'}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 6}},
        {"type": "message_stop"},
    ]
    expected = dataclasses.replace(EXPECTED, tokens=Tokens(10, 4, 6, None, 0))
    assert messages.read_stream(sse(*events)) == expected
    assert messages.read_stream(sse(*events[:-1])).failure
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert messages.read_stream(sse(*events[:3], overloaded)).failure == "Overloaded"


def test_a_response() -> None:
    output = [
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "Hi"}]},
        {"type": "function_call", "id": "f", "call_id": "c", "name": "weather", "arguments": '{"city":"Rome"}'},
    ]
    usage = {"input_tokens": 10, "output_tokens": 6, "input_tokens_details": {"cached_tokens": 4}}
    usage["output_tokens_details"] = {"reasoning_tokens": 2}
    response = {"status": "completed", "output": output, "usage": usage}
    assert responses.read_answer(response) == EXPECTED
    assert responses.read_stream(sse({"type": "response.completed", "response": response})) == EXPECTED
    assert responses.read_stream(sse({"type": "response.created"})).failure
    unsaid = responses.inconsistencies(sse({"type": "response.completed", "sequence_number": 0, "response": response}))
    assert len(unsaid) == 4, "the items, and three texts that were never streamed"


def test_gemini_tells_arguments_in_pieces() -> None:
    def event(part: Json, **more: object) -> Json:
        return {"candidates": [{"content": {"parts": [part]}, **more}]}

    events = [
        event({"text": "hm", "thought": True}),
        event({"text": "Hi"}),
        event({"functionCall": {"name": "weather", "willContinue": True}}),
        event({"functionCall": {"partialArgs": [{"jsonPath": "$.city", "stringValue": "Ro"}], "willContinue": True}}),
        event({"functionCall": {"partialArgs": [{"jsonPath": "$.city", "stringValue": "me"}], "willContinue": True}}),
        event({"functionCall": {}}),
        event({"text": ""}, finishReason="STOP"),
    ]
    usage = {"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 4, "thoughtsTokenCount": 2}
    assert gemini.read_stream(sse(*events, {"usageMetadata": usage})) == EXPECTED
    assert gemini.read_stream(sse(*events[:-1])).failure


def test_a_converse_answer_is_the_same_as_its_stream() -> None:
    content = [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
        {"text": "Hi"},
        {"toolUse": {"toolUseId": "t", "name": "weather", "input": {"city": "Rome"}}},
    ]
    usage = {"inputTokens": 6, "cacheReadInputTokens": 4, "outputTokens": 6}
    answer = {"output": {"message": {"content": content}}, "stopReason": "tool_use", "usage": usage}
    expected = dataclasses.replace(EXPECTED, tokens=Tokens(10, 4, 6, None, 0))
    assert converse.read_answer(answer) == converse.read_stream(converse.stream_of(answer)) == expected
    assert converse.read_stream(frames.aws_frame("messageStart", {"role": "assistant"})).failure


@pytest.mark.parametrize(
    "got",
    [
        Reading([], COUNTED),
        Reading(failure="cut"),
        Reading([dataclasses.replace(CALLED, text="Ho")], COUNTED),
        Reading([dataclasses.replace(CALLED, thoughts=[])], COUNTED),
        Reading([dataclasses.replace(CALLED, calls=[Call("weather", {"city": "rome"})])], COUNTED),
        Reading([dataclasses.replace(CALLED, calls=[])], COUNTED),
        Reading([dataclasses.replace(CALLED, finish="stop")], COUNTED),
        Reading([dataclasses.replace(CALLED, calls=[Call("weather", {"city": "Rome"})])], COUNTED),
        Reading([dataclasses.replace(CALLED, sources={"https://a"})], COUNTED),
        Reading([CALLED], None),
        Reading([CALLED], dataclasses.replace(COUNTED, input=11)),
        Reading([CALLED], dataclasses.replace(COUNTED, cached=0)),
        Reading([CALLED], dataclasses.replace(COUNTED, reasoning=1)),
    ],
)
def test_differences_are_seen(got: Reading) -> None:
    assert differences(EXPECTED, got)
    assert not differences(EXPECTED, EXPECTED)
