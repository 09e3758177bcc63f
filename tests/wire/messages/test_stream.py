"""Streams of Anthropic's, event by event."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headgate.errors import StreamFailed
from headgate.types import Counted, Usage
from headgate.wire.chunks import (
    Cited,
    Ended,
    Finished,
    Metered,
    PartDone,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolCallDelta,
    ToolCallStarted,
)
from headgate.wire.messages.stream import StreamListener
from headgate.wire.neutral import Citation, Finish, Opaque
from tests.wire.messages.events import END, PING, block, closes, delta, event, opens, read, start, stop, text


def usage(**members: Any) -> Metered:
    return Metered(Usage(counted=Counted.REPORTED, **members))


def test_a_plain_stream() -> None:
    frames = start(), opens(0, "text", text=""), PING, text("Hel"), text("lo"), closes(), stop(), END
    assert read(*frames) == [
        Started("msg_1", "m"),
        usage(input=5, output=1),
        TextDelta("Hel"),
        TextDelta("lo"),
        Finished(Finish.STOP),
        usage(input=5, output=9),
        Ended(),
    ]


def test_parts_that_follow_their_like_are_told_apart() -> None:
    frames = [opens(0, "text", text=""), text("A"), closes(), opens(1, "text", text=""), text("B", 1), text("C", 1)]
    assert block(*frames) == [TextDelta("A"), TextDelta("B", starts_part=True), TextDelta("C")]


def test_thoughts_and_their_signature() -> None:
    frames = [
        opens(0, "thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="h"),
        delta(0, "thinking_delta", thinking="m"),
        delta(0, "signature_delta", signature="S1"),
        delta(0, "signature_delta", signature="S2"),
        closes(),
        opens(1, "thinking", thinking=""),
        delta(1, "thinking_delta", thinking="so"),
        closes(1),
    ]
    assert block(*frames) == [
        ThinkingDelta("h"),
        ThinkingDelta("m"),
        ThinkingSigned("S1S2", origin="anthropic"),
        ThinkingDelta("so", starts_part=True),
    ]


def test_thoughts_that_are_not_shown() -> None:
    hidden = opens(0, "thinking", thinking=""), delta(0, "signature_delta", signature="S"), closes()
    assert block(*hidden) == [ThinkingSigned("S", origin="anthropic")]
    redacted = opens(0, "redacted_thinking", data="D"), closes()
    assert block(*redacted) == [ThinkingSigned(redacted="D", origin="anthropic")]


def test_tool_calls() -> None:
    frames = [
        opens(0, "tool_use", id="t1", name="f", input={}),
        delta(0, "input_json_delta", partial_json=""),
        delta(0, "input_json_delta", partial_json='{"a":'),
        delta(0, "input_json_delta", partial_json="1}"),
        closes(),
        opens(1, "tool_use", id="t2", name="g", input={}),
        delta(1, "input_json_delta", partial_json=""),
        closes(1),
        opens(2, "tool_use", id="t3", name="h", input={"b": 2}, caller={"type": "direct"}),
        closes(2),
    ]
    assert block(*frames) == [
        ToolCallStarted(0, "t1", "f"),
        ToolCallDelta(0, '{"a":'),
        ToolCallDelta(0, "1}"),
        ToolCallStarted(1, "t2", "g"),
        ToolCallDelta(1, "{}"),
        ToolCallStarted(2, "t3", "h"),
        ToolCallDelta(2, '{"b": 2}'),
    ]


def test_tool_calls_that_are_written_at_the_same_time() -> None:
    frames = [
        opens(0, "tool_use", id="t1", name="f", input={}),
        opens(1, "tool_use", id="t2", name="g", input={}),
        delta(1, "input_json_delta", partial_json='{"b":2}'),
        delta(0, "input_json_delta", partial_json='{"a":1}'),
        closes(1),
        closes(0),
    ]
    assert [chunk for chunk in block(*frames) if isinstance(chunk, ToolCallDelta)] == [
        ToolCallDelta(1, '{"b":2}'),
        ToolCallDelta(0, '{"a":1}'),
    ]


def test_citations() -> None:
    place = {"type": "web_search_result_location", "url": "u", "title": "T", "cited_text": "c", "encrypted_index": "x"}
    frames = opens(0, "text", text="", citations=[]), delta(0, "citations_delta", citation=place), text("A"), closes()
    assert block(*frames) == [Cited(Citation("u", "T", "c")), TextDelta("A")]
    assert block(opens(0, "text", text="A", citations=[place])) == [TextDelta("A"), Cited(Citation("u", "T", "c"))]


def test_blocks_that_only_anthropic_knows_come_whole() -> None:
    frames = [
        opens(0, "server_tool_use", id="s", name="web_search", input={}),
        delta(0, "input_json_delta", partial_json='{"query":'),
        delta(0, "input_json_delta", partial_json='"x"}'),
        closes(),
        opens(1, "web_search_tool_result", tool_use_id="s", content=[{"url": "u"}]),
        closes(1),
        opens(2, "compaction", content=None),
        delta(2, "compaction_delta", content="in short"),
        closes(2),
    ]
    parts = [chunk.part for chunk in block(*frames) if isinstance(chunk, PartDone)]
    assert all(isinstance(part, Opaque) and part.dialect == "messages" for part in parts)
    assert [json.loads(part.raw) for part in parts if isinstance(part, Opaque)] == [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"url": "u"}]},
        {"type": "compaction", "content": "in short"},
    ]


def test_input_that_was_cut_short_is_kept_as_text() -> None:
    frames = opens(0, "mcp_tool_use", input={}), delta(0, "input_json_delta", partial_json='{"a'), closes()
    (done,) = block(*frames)
    assert isinstance(done, PartDone) and isinstance(done.part, Opaque) and json.loads(done.part.raw)["input"] == '{"a'


def test_a_message_may_begin_with_what_it_has() -> None:
    content = [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}, {"type": "text", "text": "Hi"}]
    chunks = read(start(content=content, stop_reason="tool_use"), END)
    assert chunks[1:] == [
        ToolCallStarted(0, "t", "f"),
        ToolCallDelta(0, '{"a": 1}'),
        TextDelta("Hi"),
        Finished(Finish.TOOL_CALLS),
        usage(input=5, output=1),
        Ended(),
    ]


def test_a_refusal_and_why() -> None:
    chunks = read(start(), stop("refusal", stop_details={"type": "refusal", "explanation": "Not that."}), END)
    assert chunks[2:4] == [RefusalDelta("Not that."), Finished(Finish.REFUSAL)]


def test_a_stop_sequence() -> None:
    assert Finished(Finish.STOP_SEQUENCE, stop_sequence="END") in block(stop("stop_sequence", stop_sequence="END"))


def test_the_last_figures_win_and_the_reason_is_told_once() -> None:
    chunks = block(stop(None, 3), stop("end_turn", 4), stop("end_turn", 5))
    assert chunks == [
        usage(input=5, output=3),
        Finished(Finish.STOP),
        usage(input=5, output=4),
        usage(input=5, output=5),
    ]


def test_a_stream_without_usage() -> None:
    chunks = read(event("message_start", message={"id": "i", "model": "m"}), event("message_delta", delta={}), END)
    assert chunks == [Started("i", "m"), Ended()]


@pytest.mark.parametrize(
    ("frames", "missing"),
    [
        ([], "its message_stop event"),
        ([start(), stop()], "its message_stop event"),
        ([start(), stop(None), END], "a stop reason"),
        ([start(), stop(), END], ""),
        ([start(), opens(0, "text", text="A"), stop(), END], ""),
    ],
)
def test_what_a_stream_lacks(frames: list[bytes], missing: str) -> None:
    listener = StreamListener()
    for frame in frames:
        listener.read(frame)
    assert listener.missing() == missing


def test_an_error_in_the_stream_has_the_providers_words() -> None:
    error = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    for frames in ([error], [start(), error], [start(), opens(0, "text", text="A"), error]):
        with pytest.raises(StreamFailed, match=r"Overloaded \(overloaded_error\)"):
            read(*frames)


@pytest.mark.parametrize("error", [{"type": "api_error"}, {"message": "no"}, {}])
def test_errors_that_say_little(error: dict[str, str]) -> None:
    with pytest.raises(StreamFailed, match=r"api_error|no"):
        read(event("error", error=error))


@pytest.mark.parametrize(
    "frame",
    [
        b": comment\n\n",
        b"retry: 5\n\n",
        b"data:\n\n",
        b"event: ping\n\n",
        event("tomorrow", index="a", delta=7, message=[]),
        b'data: {"tomorrow": 1}\n\n',
    ],
)
def test_what_says_nothing(frame: bytes) -> None:
    assert read(frame) == []


@pytest.mark.parametrize(
    "frame",
    [
        b"data: {\n\n",
        b"data: 7\n\n",
        b"event: content_block_delta\ndata: <html>\n\n",
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": 7}),
        event("content_block_start", index=0, content_block={"text": "A"}),
        event("content_block_start", index=0),
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": "A"}),
        b"data: " + b"[" * 100_000 + b"\n\n",
        b'data: {"type":"ping","x":"\xff"}\n\n',
    ],
)
def test_what_is_not_the_dialect(frame: bytes) -> None:
    with pytest.raises(ValueError):
        read(frame)


def test_a_second_message_within_the_first() -> None:
    told = start(), opens(0, "text", text="A")
    with pytest.raises(ValueError, match="second message"):
        read(*told, start())
    assert read(start(), PING, start(), opens(0, "text", text="A"))[-1] == TextDelta("A")


def test_after_the_end_there_is_nothing_to_say() -> None:
    assert read(start(), stop(), END, start(), b"data: <html>\n\n") == read(start(), stop(), END)


def test_a_character_that_was_cut_in_two_comes_whole() -> None:
    frames = [text("@").replace(b"@", half) for half in (rb"a\ud83d", rb"\ude00b")]
    assert block(opens(0, "text", text=""), *frames) == [TextDelta("a"), TextDelta("\U0001f600b")]


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_other_line_ends_and_lines_of_data(end: bytes) -> None:
    frame = opens(0, "text", text="A").replace(b"\n", end)
    assert block(frame) == [TextDelta("A")]
    several = b'data: {"type":"content_block_start",\ndata: "index":0,"content_block":{"type":"text","text":"A"}}\n\n'
    assert block(several) == [TextDelta("A")]
