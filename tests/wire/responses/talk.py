"""What the tests of this dialect say to each other: callers' bodies, chunks of an answer, events of a stream."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from headgate.wire import sse
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
from headgate.wire.neutral import Answer, Choice, Refusal, Text, Thinking, ToolCall
from headgate.wire.responses.dialect import PROVIDER
from headgate.wire.responses.writer import StreamWriter

Json = dict[str, Any]


def fields(**members: Any) -> dict[str, msgspec.Raw]:
    """The members of a caller's body."""
    return msgspec.json.decode(json.dumps(members).encode(), type=dict[str, msgspec.Raw])


def context(**members: Any) -> ReplyContext:
    """What the writers know of a request."""
    return ReplyContext(request_id="req_1", created=1_700_000_000, fields=fields(**{"model": "small", **members}))


def chunks_of(answer: Answer, *, piece: int = 7) -> list[Chunk]:
    """The first choice as a provider's listener would tell it, texts in pieces of so many characters."""
    choice = answer.choices[0]
    chunks: list[Chunk] = [Started(answer.id, answer.model, answer.created)]
    calls, last = 0, None
    for part in choice.parts:
        starts = type(part) is type(last)
        match part:
            case Text(text=text, citations=citations):
                for index, cut in enumerate(_pieces(text, piece)):
                    chunks.append(TextDelta(cut, 0, starts and not index))
                chunks += [Cited(citation) for citation in citations]
            case Refusal(text=text):
                chunks += [RefusalDelta(cut) for cut in _pieces(text, piece)]
            case Thinking(text=text):
                for index, cut in enumerate(_pieces(text, piece) if text else []):
                    chunks.append(ThinkingDelta(cut, 0, starts and not index))
                if part.signature or part.redacted:
                    chunks.append(ThinkingSigned(part.signature, part.redacted, part.origin, part.id))
            case ToolCall():
                chunks.append(ToolCallStarted(calls, part.id, part.name, part.signature, part.origin))
                chunks += [ToolCallDelta(calls, cut) for cut in _pieces(part.arguments, piece)]
                calls += 1
            case _:
                chunks.append(PartDone(part))
        last = part
    if choice.logprobs is not None:
        chunks.append(LogprobsDelta(choice.logprobs))
    chunks.append(Finished(choice.finish, 0, choice.stop_sequence))
    if answer.usage is not None:
        chunks.append(Metered(answer.usage))
    return [*chunks, Ended()]


def _pieces(text: str, characters: int) -> list[str]:
    return [text[start : start + characters] for start in range(0, len(text), characters)]


def answer_of(*parts: Any, **members: Any) -> Answer:
    """An answer with one choice."""
    finish = members.pop("finish")
    return Answer("msg_01", "claude", (Choice(tuple(parts), finish, **members),))


def write(chunks: Sequence[Chunk], reply: ReplyContext) -> bytes:
    """The stream that a client gets."""
    writer = StreamWriter(reply)
    return b"".join(writer.write([chunk]) for chunk in chunks) + writer.end()


def events(stream: bytes) -> list[Json]:
    """The events in a stream; each is named before its data as in it."""
    found = []
    for frame in sse.FrameSplitter(1_000_000).feed(stream):
        event = json.loads(sse.payload(frame) or b"null")
        assert frame.startswith(b"event: " + event["type"].encode() + b"\n")
        found.append(event)
    return found


def listen(pieces: Sequence[bytes]) -> list[Chunk]:
    """What a provider's stream means, in whatever pieces it comes."""
    splitter, listener = PROVIDER.splitter(), PROVIDER.listener()
    chunks = [chunk for piece in pieces for frame in splitter.feed(piece) for chunk in listener.read(frame)]
    rest = splitter.take_rest()
    return [*chunks, *(listener.read(rest) if rest.strip() else ())]


def frames(*said: Json, newline: str = "\n") -> bytes:
    """A provider's stream of these events."""
    return b"".join(
        f"event: {event['type']}{newline}data: {json.dumps(event, ensure_ascii=False)}{newline}{newline}".encode()
        for event in said
    )
