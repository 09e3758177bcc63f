"""What Anthropic really sent means what a plain reading of it says, and means the same when it is written anew."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from headgate.types import Usage
from headgate.wire.chunks import Chunk
from headgate.wire.dialect import ReplyContext
from headgate.wire.folding import fold
from headgate.wire.messages.dialect import CLIENT, PROVIDER
from headgate.wire.neutral import Answer, Finish, Opaque, Text, Thinking, ToolCall
from tests.wire.messages.recorded import Recording, recordings

ALL = recordings()
STREAMS = [recording for recording in ALL if recording.stream]
CONTEXT = ReplyContext(request_id="req_1", created=0, fields={})
FINISHES = {
    "end_turn": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "tool_use": Finish.TOOL_CALLS,
}


def each(recorded: list[Recording]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("recording", recorded, ids=lambda recording: recording.id)


def chunks_of(body: bytes, *, cut_at: int = 0) -> list[Chunk]:
    splitter, listener = PROVIDER.splitter(), PROVIDER.listener()
    chunks: list[Chunk] = []
    for piece in (body[:cut_at], body[cut_at:]):
        for frame in splitter.feed(piece):
            chunks += listener.read(frame)
    assert listener.missing() == ""
    return chunks


def read(recording: Recording) -> Answer:
    return fold(chunks_of(recording.body)) if recording.stream else PROVIDER.read_answer(recording.body)


@each(ALL)
def test_every_part_is_there(recording: Recording) -> None:
    reading, (choice,) = recording.reading(), read(recording).choices
    parts = choice.parts
    assert "".join(part.text for part in parts if isinstance(part, Text)) == reading.text
    assert "".join(part.text for part in parts if isinstance(part, Thinking)) == reading.thoughts
    assert [part.signature for part in parts if isinstance(part, Thinking)] == reading.signatures
    calls = [(part.id, part.name, json.loads(part.arguments)) for part in parts if isinstance(part, ToolCall)]
    assert calls == reading.calls
    assert [json.loads(part.raw) for part in parts if isinstance(part, Opaque)] == reading.others
    citations = [citation.url for part in parts if isinstance(part, Text) for citation in part.citations]
    assert citations == reading.cited
    assert choice.finish is FINISHES[reading.stop_reason]


@each(ALL)
def test_every_token_is_counted_once(recording: Recording) -> None:
    told, usage = recording.reading().usage, read(recording).usage
    assert usage is not None
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    assert usage.input == sum(told[name] for name in names)
    assert (usage.cached_input, usage.output) == (told["cache_read_input_tokens"], told["output_tokens"])
    assert usage.cache_write + usage.cache_write_1h == told["cache_creation_input_tokens"]
    assert usage.reasoning == told.get("output_tokens_details", {}).get("thinking_tokens", 0)


def same(answer: Answer) -> Answer:
    """Without what a client is not shown: the provider's own words on usage."""
    return replace(answer, usage=replace(answer.usage or Usage(), raw=b""))


@each(ALL)
def test_written_as_a_message_it_is_the_same(recording: Recording) -> None:
    answer = read(recording)
    assert same(PROVIDER.read_answer(CLIENT.write_answer(answer, CONTEXT))) == same(answer)


@each(STREAMS)
def test_written_as_a_stream_it_is_the_same(recording: Recording) -> None:
    writer, chunks = CLIENT.writer(CONTEXT), chunks_of(recording.body)
    written = b"".join([writer.write([chunk]) for chunk in chunks]) + writer.end()
    assert same(fold(chunks_of(written))) == same(fold(chunks))


@each([recording for recording in STREAMS if len(recording.body) < 2000])
def test_a_stream_may_be_cut_anywhere(recording: Recording) -> None:
    whole = chunks_of(recording.body)
    for place in range(len(recording.body)):
        assert chunks_of(recording.body, cut_at=place) == whole
