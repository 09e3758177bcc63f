"""Whole messages: read from a provider, and written for a caller."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headgate.errors import StreamFailed
from headgate.types import Counted, Usage
from headgate.wire.dialect import ReplyContext
from headgate.wire.messages.answer import read_answer, write_answer
from headgate.wire.neutral import (
    Answer,
    Audio,
    Choice,
    Citation,
    File,
    Finish,
    Image,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)

CONTEXT = ReplyContext(request_id="req_1", created=0, fields={})


def message(*blocks: Any, **members: Any) -> bytes:
    usage = {"input_tokens": 3, "output_tokens": 2}
    base = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": list(blocks)}
    return json.dumps({**base, "stop_reason": "end_turn", "stop_sequence": None, "usage": usage, **members}).encode()


def choice(*blocks: Any, **members: Any) -> Choice:
    return read_answer(message(*blocks, **members)).choices[0]


def shown(*parts: Part, finish: Finish = Finish.STOP, usage: Usage | None = None, **members: Any) -> dict[str, Any]:
    answer = Answer("id", "m", (Choice(parts, finish, **members),), usage)
    written: dict[str, Any] = json.loads(write_answer(answer, CONTEXT))
    return written


# --- read ----------------------------------------------------------------------------------------------------------


def test_a_plain_message() -> None:
    usage = Usage(input=3, output=2, counted=Counted.REPORTED)
    assert read_answer(message({"type": "text", "text": "Hi"})) == Answer(
        "msg_1", "m", (Choice((Text("Hi"),), Finish.STOP),), usage
    )


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "thinking", "thinking": "hm", "signature": "S"}, Thinking("hm", "S", origin="anthropic")),
        ({"type": "thinking", "thinking": "hm"}, Thinking("hm")),
        ({"type": "redacted_thinking", "data": "D"}, Thinking(redacted="D", origin="anthropic")),
        ({"type": "tool_use", "id": "t", "name": "f", "input": {"a": [1]}}, ToolCall("t", "f", '{"a": [1]}')),
        ({"type": "tool_use", "id": "t", "name": "f"}, ToolCall("t", "f", "{}")),
        (
            {"type": "text", "text": "x",
             "citations": [{"type": "char_location", "cited_text": "c", "document_title": "T"}]},
            Text("x", (Citation(title="T", cited_text="c"),)),
        ),
        (
            {"type": "text", "text": "x",
             "citations": [{"type": "search_result_location", "source": "u", "title": "T"}]},
            Text("x", (Citation(url="u", title="T"),)),
        ),
        ({"type": "tomorrow", "text": 5}, Opaque("messages", "tomorrow", b'{"type": "tomorrow", "text": 5}')),
    ],
)  # fmt: skip
def test_blocks(block: dict[str, Any], part: Part) -> None:
    assert choice(block).parts == (part,)


def test_empty_text_says_nothing() -> None:
    assert choice({"type": "text", "text": ""}).parts == ()


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", Finish.STOP),
        ("max_tokens", Finish.LENGTH),
        ("model_context_window_exceeded", Finish.LENGTH),
        ("stop_sequence", Finish.STOP_SEQUENCE),
        ("tool_use", Finish.TOOL_CALLS),
        ("pause_turn", Finish.PAUSE),
        ("compaction", Finish.PAUSE),
        ("refusal", Finish.REFUSAL),
        ("tomorrow", Finish.STOP),
        (None, Finish.STOP),
    ],
)
def test_stop_reasons(reason: str | None, finish: Finish) -> None:
    assert choice({"type": "text", "text": "x"}, stop_reason=reason).finish is finish


def test_a_stop_sequence_is_named() -> None:
    assert choice(stop_reason="stop_sequence", stop_sequence="END").stop_sequence == "END"


def test_tool_calls_without_a_stop_reason() -> None:
    assert choice({"type": "tool_use", "id": "t", "name": "f"}, stop_reason=None).finish is Finish.TOOL_CALLS


@pytest.mark.parametrize("reason", ["error", "aborted", "failed"])
def test_a_stop_reason_that_tells_of_a_failure(reason: str) -> None:
    with pytest.raises(StreamFailed, match=reason):
        read_answer(message(stop_reason=reason))


def test_why_a_model_refused_is_told() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "Not that."}
    refused = choice(stop_reason="refusal", stop_details=details)
    assert refused.parts == (Refusal("Not that."),) and refused.finish is Finish.REFUSAL


def test_an_error_inside_a_200() -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    with pytest.raises(StreamFailed, match=r"Overloaded \(overloaded_error\)"):
        read_answer(body)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"7", b"{}", b'{"content":7}', b"[" * 100_000, b'{"content":[],"x":"\xff"}']
)
def test_what_is_no_message(body: bytes) -> None:
    with pytest.raises(ValueError):
        read_answer(body)


def test_half_a_character_is_replaced_and_nothing_else_lost() -> None:
    body = message({"type": "text", "text": "@"}).replace(b"@", rb"a\ud83d b\ud83d\ude00")
    assert read_answer(body).choices[0].parts == (Text("a\ufffd b\U0001f600"),)


# --- written -------------------------------------------------------------------------------------------------------


def test_a_message_has_every_member_that_sdks_expect() -> None:
    usage = Usage(input=10, cached_input=4, cache_write=1, cache_write_1h=2, output=7, reasoning=5)
    assert shown(Text("Hi"), usage=usage) == {
        "id": "id",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "Hi", "citations": None}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 3,
            "cache_read_input_tokens": 4,
            "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
            "output_tokens": 7,
            "output_tokens_details": {"thinking_tokens": 5},
        },
    }


def test_an_answer_without_id_or_usage() -> None:
    written = json.loads(write_answer(Answer("", "m", ()), CONTEXT))
    assert written["id"] == "msg_req_1" and written["content"] == [] and written["usage"]["output_tokens"] == 0


@pytest.mark.parametrize(
    ("part", "blocks"),
    [
        (Refusal("No."), [{"type": "text", "text": "No.", "citations": None}]),
        (Thinking("hm"), [{"type": "thinking", "thinking": "hm", "signature": ""}]),
        (Thinking("hm", "S", origin="anthropic"), [{"type": "thinking", "thinking": "hm", "signature": "S"}]),
        (Thinking("hm", "S", origin="openai"), [{"type": "thinking", "thinking": "hm", "signature": "openai:S"}]),
        (Thinking(redacted="D", origin="bedrock"), [{"type": "redacted_thinking", "data": "bedrock:D"}]),
        (Thinking("hm", redacted="D", origin="openai"),
         [{"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "redacted_thinking", "data": "openai:D"}]),
        (ToolCall("a", "f", '{"x":1}'), [{"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}]),
        (ToolCall("a", "f", "{}", "S", "gemini"),
         [{"type": "thinking", "thinking": "", "signature": "gemini:S"},
          {"type": "tool_use", "id": "a", "name": "f", "input": {}}]),
        (ToolCall("a", "f", '{"x":'),
         [{"type": "tool_use", "id": "a", "name": "f", "input": {"malformed_arguments": '{"x":'}}]),
        (Image("image/png", "AA"),
         [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}]),
        (Image(url="https://a"), [{"type": "image", "source": {"type": "url", "url": "https://a"}}]),
        (File("application/pdf", "AA"),
         [{"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA"}}]),
        (Opaque("messages", "x", b'{"type":\n"x"}'), [{"type": "x"}]),
        (Opaque("responses", "x", b'{"type":"x"}'), []),
        (Audio("AA", "wav"), []),
    ],
)  # fmt: skip
def test_parts(part: Part, blocks: list[dict[str, Any]]) -> None:
    assert shown(part)["content"] == blocks


@pytest.mark.parametrize(
    ("citation", "kind"),
    [(Citation(url="u"), "web_search_result_location"), (Citation(cited_text="c"), "char_location")],
)
def test_citations(citation: Citation, kind: str) -> None:
    (written,) = shown(Text("x", (citation,)))["content"][0]["citations"]
    assert (written["type"], written["cited_text"]) == (kind, citation.cited_text)


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (Finish.STOP, "end_turn"),
        (Finish.LENGTH, "max_tokens"),
        (Finish.STOP_SEQUENCE, "stop_sequence"),
        (Finish.TOOL_CALLS, "tool_use"),
        (Finish.CONTENT_FILTER, "refusal"),
        (Finish.REFUSAL, "refusal"),
        (Finish.PAUSE, "pause_turn"),
    ],
)
def test_reasons_to_stop(finish: Finish, reason: str) -> None:
    assert shown(Text("x"), finish=finish)["stop_reason"] == reason


def test_an_answer_that_calls_tools_says_so() -> None:
    assert shown(ToolCall("a", "f", "{}"))["stop_reason"] == "tool_use"
    assert shown(ToolCall("a", "f", "{"), finish=Finish.LENGTH)["stop_reason"] == "max_tokens"
    assert shown(Text("x"), finish=Finish.STOP_SEQUENCE, stop_sequence="END")["stop_sequence"] == "END"
