"""Puts the chunks of a stream together to a whole answer: for dialects whose whole answers are streams of one event."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

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
from headgate.wire.neutral import Answer, Choice, Citation, Finish, Part, Refusal, Text, Thinking, ToolCall


class _Logprobs(msgspec.Struct):
    content: list[msgspec.Raw] | None = None


_logprobs = msgspec.json.Decoder(_Logprobs)


def fold(chunks: Sequence[Chunk]) -> Answer:
    """The answer that a complete stream has told. A choice that has not finished counts as stopped."""
    started = Started("", "")
    usage: Usage | None = None
    choices: dict[int, _Choice] = {}
    for chunk in chunks:
        match chunk:
            case Started():
                started = chunk
            case Metered():
                usage = chunk.usage
            case Ended():
                pass
            case _:
                choices.setdefault(chunk.choice, _Choice()).add(chunk)
    return Answer(
        id=started.id,
        model=started.model,
        choices=tuple(choices[index].choice(index) for index in sorted(choices)),
        usage=usage,
        created=started.created,
    )


class _Choice:
    """One choice while it is put together. The last part is open: what continues it is added to it."""

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._pieces: list[str] = []  # of the last part's text
        self._calls: list[int] = []  # places of the tool calls among the parts
        self._arguments: dict[int, list[str]] = {}
        self._citations: list[Citation] = []
        self._logprobs: list[msgspec.Raw] = []
        self._finished = Finished(Finish.STOP)

    def add(self, chunk: Chunk) -> None:
        match chunk:
            case TextDelta():
                self._say(Text(""), chunk.text, chunk.starts_part)
            case ThinkingDelta():
                self._say(Thinking(), chunk.text, chunk.starts_part)
            case RefusalDelta():
                self._say(Refusal(""), chunk.text, False)
            case ThinkingSigned():
                self._sign(chunk)
            case ToolCallStarted():
                self._close()
                self._calls.append(len(self._parts))
                self._parts.append(ToolCall(chunk.id, chunk.name, "", chunk.signature, chunk.origin))
            case ToolCallDelta():
                self._arguments.setdefault(chunk.index, []).append(chunk.arguments)
            case Cited():
                self._citations.append(chunk.citation)
            case PartDone():
                self._close()
                self._parts.append(chunk.part)
            case LogprobsDelta():
                self._logprobs += _logprobs.decode(chunk.logprobs).content or ()
            case Finished():
                self._finished = chunk
            case _:
                pass

    def choice(self, index: int) -> Choice:
        self._close()
        for call, pieces in self._arguments.items():
            self._replace(self._calls[call], arguments="".join(pieces))
        logprobs = msgspec.Raw(msgspec.json.encode(_Logprobs(self._logprobs))) if self._logprobs else None
        return Choice(
            parts=tuple(self._parts),
            finish=self._finished.finish,
            index=index,
            stop_sequence=self._finished.stop_sequence,
            logprobs=logprobs,
        )

    def _say(self, empty: Text | Thinking | Refusal, text: str, starts_part: bool) -> None:
        if starts_part or not self._pieces or type(self._parts[-1]) is not type(empty):
            self._close()
            self._parts.append(empty)
        self._pieces.append(text)

    def _sign(self, signed: ThinkingSigned) -> None:
        """The open thought's signature, or, without one, a thought of which nothing can be read."""
        if not self._pieces or not isinstance(self._parts[-1], Thinking):
            self._close()
            self._parts.append(Thinking())
        self._replace(
            len(self._parts) - 1,
            text="".join(self._pieces),
            signature=signed.signature,
            redacted=signed.redacted,
            origin=signed.origin,
            id=signed.id,
        )
        self._pieces = []

    def _close(self) -> None:
        """The last part is complete; citations are of the last text."""
        if self._pieces:
            self._replace(len(self._parts) - 1, text="".join(self._pieces))
            self._pieces = []
        if self._citations:
            texts = [place for place, part in enumerate(self._parts) if isinstance(part, Text)]
            if texts:
                self._replace(texts[-1], citations=tuple(self._citations))
            else:
                self._parts.append(Text("", tuple(self._citations)))
            self._citations = []

    def _replace(self, place: int, **members: object) -> None:
        self._parts[place] = msgspec.structs.replace(self._parts[place], **members)
