"""Streams written for callers of Messages."""

from __future__ import annotations

import itertools
import random

import pytest

from headgate.types import Usage
from headgate.wire.chunks import (
    Chunk,
    Cited,
    Ended,
    Finished,
    LogprobsDelta,
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
from headgate.wire.dialect import ReplyContext
from headgate.wire.messages.writer import StreamWriter
from headgate.wire.neutral import Citation, Finish, Image, Opaque
from tests.wire.messages.asking import SCHEMA
from tests.wire.messages.events import blocks, named, taken_apart

CONTEXT = ReplyContext(request_id="req_1", created=0, fields={})
STARTED = Started("id", "m")


def written(*chunks: Chunk) -> bytes:
    writer = StreamWriter(CONTEXT)
    return b"".join([writer.write([chunk]) for chunk in chunks]) + writer.end()


def test_a_plain_stream() -> None:
    usage = Usage(input=5, output=9)
    stream = written(STARTED, TextDelta("Hel"), TextDelta("lo"), Finished(Finish.STOP), Metered(usage), Ended())
    events = taken_apart(stream)
    assert named(events) == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    message = events[0][1]["message"]
    assert (message["id"], message["model"], message["role"], message["content"]) == ("id", "m", "assistant", [])
    assert message["usage"]["input_tokens"] == 0 and message["stop_reason"] is None
    assert events[-2][1]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert (events[-2][1]["usage"]["input_tokens"], events[-2][1]["usage"]["output_tokens"]) == (5, 9)
    assert blocks(stream) == [{"type": "text", "text": "Hello"}]


def test_the_last_frames_are_written_last() -> None:
    writer = StreamWriter(CONTEXT)
    assert writer.write([Finished(Finish.STOP), Ended()]) == b""
    assert named(taken_apart(writer.end())) == ["message_start", "message_delta", "message_stop"]


def test_usage_that_is_known_at_the_start_is_told_there() -> None:
    writer = StreamWriter(CONTEXT)
    ((_, value),) = taken_apart(writer.write([STARTED, Metered(Usage(input=7, cached_input=3))]))
    assert value["message"]["usage"]["input_tokens"] == 4 and value["message"]["usage"]["cache_read_input_tokens"] == 3


def test_a_stream_that_nobody_started() -> None:
    assert taken_apart(written(TextDelta("Hi")))[0][1]["message"]["id"] == "msg_req_1"


def test_thoughts() -> None:
    stream = written(
        ThinkingDelta("h"),
        ThinkingDelta("m"),
        ThinkingSigned("S", origin="anthropic"),
        ThinkingDelta("so"),
        ThinkingDelta("then", starts_part=True),
        ThinkingSigned("S", origin="openai"),
        ThinkingSigned("T", origin="openai"),
        ThinkingSigned(redacted="D", origin="bedrock"),
        TextDelta("A"),
    )
    assert blocks(stream) == [
        {"type": "thinking", "thinking": "hm", "signature": "S"},
        {"type": "thinking", "thinking": "so", "signature": ""},
        {"type": "thinking", "thinking": "then", "signature": "openai:S"},
        {"type": "thinking", "thinking": "", "signature": "openai:T"},
        {"type": "redacted_thinking", "data": "bedrock:D"},
        {"type": "text", "text": "A"},
    ]


def test_parts_that_follow_their_like() -> None:
    stream = written(TextDelta("A"), TextDelta("B", starts_part=True), TextDelta("C"))
    assert [block["text"] for block in blocks(stream)] == ["A", "BC"]


def test_citations_belong_to_the_open_text() -> None:
    cited = Cited(Citation(url="u"))
    first, second = blocks(written(TextDelta("A"), cited, ThinkingDelta("x"), cited))[::2]
    assert (first["text"], first["citations"][0]["url"]) == ("A", "u")
    assert (second["text"], second["citations"][0]["url"]) == ("", "u")


def test_refusals_are_text() -> None:
    assert blocks(written(RefusalDelta("N"), RefusalDelta("o."))) == [{"type": "text", "text": "No."}]


def test_parts_that_come_whole() -> None:
    stream = written(
        TextDelta("A"),
        PartDone(Opaque("messages", "server_tool_use", b'{"type":"server_tool_use","id":"s"}')),
        PartDone(Image("image/png", "AA")),
        PartDone(Opaque("responses", "x", b"{}")),
        TextDelta("B"),
    )
    assert [block["type"] for block in blocks(stream)] == ["text", "server_tool_use", "image", "text"]


def test_what_a_client_of_messages_has_no_place_for() -> None:
    stream = written(TextDelta("A"), TextDelta("other", choice=1), LogprobsDelta(SCHEMA), TextDelta(""), TextDelta("B"))
    assert blocks(stream) == [{"type": "text", "text": "AB"}]


@pytest.mark.parametrize(
    ("finish", "reason"), [(Finish.STOP, "tool_use"), (Finish.TOOL_CALLS, "tool_use"), (Finish.LENGTH, "max_tokens")]
)
def test_a_stream_that_calls_tools_says_so(finish: Finish, reason: str) -> None:
    events = taken_apart(written(ToolCallStarted(0, "c", "f"), Finished(finish)))
    assert events[-2][1]["delta"]["stop_reason"] == reason


def test_the_stop_sequence() -> None:
    events = taken_apart(written(Finished(Finish.STOP_SEQUENCE, stop_sequence="END")))
    assert events[-2][1]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "END"}


# --- tool calls ---------------------------------------------------------------------------------------------------


def call(index: int, arguments: str = "", **members: str) -> dict[str, str]:
    return {"id": f"c{index}", "name": f"f{index}", "partial_json": arguments, **members}


def calls(stream: bytes) -> list[dict[str, str]]:
    used = [block for block in blocks(stream) if block["type"] == "tool_use"]
    return [{name: block.get(name, "") for name in ("id", "name", "partial_json")} for block in used]


def started(index: int) -> ToolCallStarted:
    return ToolCallStarted(index, f"c{index}", f"f{index}")


def test_a_call_is_shown_as_it_is_written() -> None:
    writer = StreamWriter(CONTEXT)
    writer.write([STARTED])
    pieces: list[Chunk] = [
        started(0),
        ToolCallDelta(0, '{"a"'),
        ToolCallDelta(0, ":1}"),
        started(1),
        ToolCallDelta(1, "{"),
    ]
    shown = [named(taken_apart(writer.write([piece]))) for piece in pieces]
    opened, grew, closed = ["content_block_start"], ["content_block_delta"], ["content_block_stop"]
    assert shown == [opened, grew, grew, closed + opened, grew]


def test_the_signature_of_a_call_stands_before_it() -> None:
    stream = written(ToolCallStarted(0, "c", "f", "S", "gemini"), ToolCallDelta(0, "{}"))
    assert blocks(stream) == [
        {"type": "thinking", "thinking": "", "signature": "gemini:S"},
        {"type": "tool_use", "id": "c", "name": "f", "input": {}, "partial_json": "{}"},
    ]


def test_ids_that_anthropic_would_not_take() -> None:
    (block,) = blocks(written(ToolCallStarted(0, "functions.f:0", "f"), ToolCallDelta(0, "{}")))
    assert block["id"].startswith("hgid-")


def test_a_call_without_arguments_before_another() -> None:
    stream = written(started(0), started(1), ToolCallDelta(1, "{}"), Finished(Finish.TOOL_CALLS))
    assert calls(stream) == [call(0), call(1, "{}")]


def test_what_comes_for_a_call_that_was_complete_is_not_needed() -> None:
    stream = written(started(0), ToolCallDelta(0, "{}"), TextDelta("A"), ToolCallDelta(0, " "), TextDelta("B"))
    assert [block["type"] for block in blocks(stream)] == ["tool_use", "text"]


def test_text_within_a_call_waits_for_its_end() -> None:
    stream = written(started(0), ToolCallDelta(0, "{"), TextDelta("A"), ToolCallDelta(0, "}"), TextDelta("B"))
    found = blocks(stream)
    assert calls(stream) == [call(0, "{}")]
    assert [block["text"] for block in found if block["type"] == "text"] == ["AB"]


ARGUMENTS = ('{"a":[1,2,{"b":"}"}]}', '{"c":"long"}', "{}", '{"cut')


@pytest.mark.parametrize("seed", range(40))
def test_calls_that_are_written_at_the_same_time_come_one_after_the_other(seed: int) -> None:
    chance = random.Random(seed)
    pieces = [[ToolCallDelta(index, letter) for letter in text] for index, text in enumerate(ARGUMENTS)]
    streams: list[list[Chunk]] = [[started(index), *deltas] for index, deltas in enumerate(pieces)]
    chunks: list[Chunk] = [STARTED]
    begun = 1  # calls begin in order, and then go on in any
    while any(streams):
        index = chance.choice([at for at in range(begun) if streams[at]] or [begun])
        chunks.append(streams[index].pop(0))
        if begun < len(streams) and chance.random() < 0.3:
            chunks.append(streams[begun].pop(0))
            begun += 1
        begun = max(begun, min(len(streams), index + 1))
    assert calls(written(*chunks)) == [call(index, text) for index, text in enumerate(ARGUMENTS)]


def test_chunks_may_come_in_any_bundles() -> None:
    chunks: list[Chunk] = [
        STARTED,
        ThinkingDelta("x"),
        started(0),
        ToolCallDelta(0, "{"),
        started(1),
        ToolCallDelta(0, "}"),
        TextDelta("A"),
    ]
    expected = blocks(written(*chunks))
    for places in itertools.combinations(range(1, len(chunks)), 2):
        writer = StreamWriter(CONTEXT)
        bundles = [chunks[begin:end] for begin, end in itertools.pairwise((0, *places, len(chunks)))]
        assert blocks(b"".join([writer.write(bundle) for bundle in bundles]) + writer.end()) == expected
