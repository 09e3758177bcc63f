"""Listens to a stream of the Responses API.

The deltas are what is told on. An item that ends may hold more than its deltas said (some servers send none): the rest
is told then, so that nothing is lost and nothing said twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from headgate.errors import StreamFailed
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
    ToolCallDelta,
    ToolCallStarted,
)
from headgate.wire.neutral import Citation, Opaque
from headgate.wire.openai import error_message
from headgate.wire.responses.annotations import read_annotations
from headgate.wire.responses.output import (
    NOTHING,
    SEAM,
    call_item,
    failure,
    finish_of,
    kind_of,
    message_item,
    proof_of,
    reasoning_item,
    response_view,
)
from headgate.wire.responses.parts import DIALECT
from headgate.wire.responses.thoughts import READABLE
from headgate.wire.responses.usage import read_usage
from headgate.wire.surrogates import Mender

_DONE = b"[DONE]"
_DELTA = b"event: response.output_text.delta\ndata: {"
_DELTA_DATA = len(_DELTA) - 1
_NO_LOGPROBS = (b"null", b"[]")
_TEXT, _REFUSAL, _SUMMARY, _THOUGHT, _ARGUMENTS = "text", "refusal", "summary", "thought", "arguments"
_THOUGHTS = (_SUMMARY, _THOUGHT)


class _Event(msgspec.Struct):
    """Any event, with the members of those that mean something."""

    type: str = ""
    delta: str = ""
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    item: msgspec.Raw = NOTHING
    response: msgspec.Raw = NOTHING
    annotation: msgspec.Raw = NOTHING
    logprobs: msgspec.Raw = NOTHING
    error: msgspec.Raw = NOTHING


class _Type(msgspec.Struct):
    type: str = ""


class _PlainEvent(msgspec.Struct, gc=False):
    """A piece of text without log probabilities: almost all events are such."""

    type: Literal["response.output_text.delta"]
    delta: str
    output_index: int = 0
    content_index: int = 0
    logprobs: tuple[()] | None = None


_plain_event = msgspec.json.Decoder(_PlainEvent)
_event = msgspec.json.Decoder(_Event)
_type = msgspec.json.Decoder(_Type)

# Events whose members must be as we know them; others may be anything.
_KNOWN = frozenset(
    {
        "response.created", "response.in_progress", "response.queued", "response.output_item.added",
        "response.output_item.done", "response.output_text.delta", "response.output_text.annotation.added",
        "response.refusal.delta", "response.function_call_arguments.delta", "response.reasoning_summary_text.delta",
        "response.reasoning_text.delta", "response.completed", "response.incomplete", "response.failed", "error",
    }
)  # fmt: skip


class StreamListener:
    """Reads one stream."""

    __slots__ = ("_calls", "_cited", "_ended", "_kinds", "_last", "_mender", "_said", "_started")

    def __init__(self) -> None:
        self._started = False
        self._ended = False
        self._said: dict[tuple[str, int, int], list[str]] = {}  # what was told: by kind, item and part
        self._last: tuple[str, int, int] | None = None  # what was told last, if it was a text
        self._cited: dict[tuple[int, int], int] = {}  # citations told: by item and part
        self._calls: dict[int, int] = {}  # item -> number of the call
        self._kinds: set[str] = set()  # of the items that ended
        self._mender: Mender | None = None

    def more_text(self, data: bytes) -> str:
        end = len(data) - 2
        if not data.startswith(_DELTA) or data.find(b"\n", _DELTA_DATA) != end or not data.endswith(b"\n\n"):
            return ""
        if self._ended or self._mender is not None:
            return ""
        try:
            if not data.isascii():
                data.decode()  # msgspec does not look into members that nobody reads
            event = _plain_event.decode(data[_DELTA_DATA:end])
        except (ValueError, RecursionError):
            return ""
        place = (_TEXT, event.output_index, event.content_index)
        if place != self._last or not event.delta:
            return ""
        self._said[place].append(event.delta)
        return event.delta

    def missing(self) -> str:
        return "" if self._ended else "its response.completed"

    def read(self, frame: bytes) -> Sequence[Chunk]:
        data = sse.payload(frame)
        if not data or data == _DONE or self._ended:
            return ()
        try:
            event = self._decode(data)
            return self._mean(event, data) if event is not None else ()
        except RecursionError:
            raise ValueError("it is nested too deeply") from None

    def _decode(self, data: bytes) -> _Event | None:
        if self._mender is not None:
            data = self._mender.mend(data)
        try:
            return _event.decode(data)
        except msgspec.ValidationError:
            if _type.decode(data).type in _KNOWN:
                raise
            return None
        except msgspec.DecodeError:
            if self._mender is not None:
                raise
            self._mender = Mender()
            return self._decode(data)

    def _mean(self, event: _Event, data: bytes) -> Sequence[Chunk]:
        match event.type:
            case "response.output_text.delta":
                return self._text(event)
            case "response.function_call_arguments.delta":
                return self._arguments(event.output_index, event.delta)
            case "response.reasoning_summary_text.delta":
                return self._tell(_SUMMARY, event.output_index, event.summary_index, event.delta)
            case "response.reasoning_text.delta":
                return self._tell(_THOUGHT, event.output_index, event.content_index, event.delta)
            case "response.refusal.delta":
                return self._tell(_REFUSAL, event.output_index, event.content_index, event.delta)
            case "response.output_text.annotation.added":
                citations = read_annotations(msgspec.Raw(b"[%s]" % bytes(event.annotation)))
                return self._cite(event.output_index, event.content_index, citations)
            case "response.output_item.added":
                return self._begin_call(event.output_index, event.item)
            case "response.output_item.done":
                return self._end_item(event.output_index, event.item)
            case "response.created" | "response.in_progress" | "response.queued":
                return self._start(event.response)
            case "response.completed" | "response.incomplete":
                return self._end(event)
            case "response.failed":
                raise failure(response_view.decode(event.response).error, "failed")
            case "error":
                raise StreamFailed(f"The provider reported an error in the stream: {error_message(data)}")
            case "" if event.error is not NOTHING and bytes(event.error) != b"null":
                raise StreamFailed(f"The provider reported an error in the stream: {error_message(data)}")
        return ()

    def _start(self, raw: msgspec.Raw) -> Sequence[Chunk]:
        if self._started:
            return ()
        self._started = True
        response = response_view.decode(raw)
        return (Started(response.id or "", response.model or "", int(response.created_at or 0)),)

    def _text(self, event: _Event) -> Sequence[Chunk]:
        chunks = self._tell(_TEXT, event.output_index, event.content_index, event.delta)
        if event.logprobs is NOTHING or bytes(event.logprobs) in _NO_LOGPROBS:
            return chunks
        return [*chunks, LogprobsDelta(msgspec.Raw(b'{"content":%s}' % bytes(event.logprobs)))]

    def _tell(self, kind: str, output_index: int, part: int, text: str) -> Sequence[Chunk]:
        """More of a text. The parts of one thought are one thought."""
        if not text:
            return ()
        place, last = (kind, output_index, part), self._last
        said = place in self._said
        self._said.setdefault(place, []).append(text)
        self._last = place
        if kind == _TEXT:
            return (TextDelta(text, 0, not said and last is not None and last[0] == _TEXT),)
        if kind == _REFUSAL:
            return (RefusalDelta(text),)
        after_thought = not said and last is not None and last[0] in _THOUGHTS
        if after_thought and last is not None and last[1] == output_index:
            return (ThinkingDelta(SEAM + text),)
        return (ThinkingDelta(text, 0, after_thought),)

    def _rest(self, kind: str, output_index: int, part: int, text: str | None) -> Sequence[Chunk]:
        """What the deltas did not say of a text."""
        return self._tell(kind, output_index, part, self._unsaid(kind, output_index, part, text or ""))

    def _unsaid(self, kind: str, output_index: int, part: int, text: str) -> str:
        """The end of the text; nothing when its beginning is not what was told: that cannot be taken back."""
        said = "".join(self._said.get((kind, output_index, part), ()))
        return text[len(said) :] if text.startswith(said) else ""

    def _cite(self, output_index: int, part: int, citations: Sequence[Citation]) -> Sequence[Chunk]:
        place = (output_index, part)
        self._cited[place] = self._cited.get(place, 0) + len(citations)
        return [Cited(citation) for citation in citations]

    def _begin_call(self, output_index: int, raw: msgspec.Raw) -> Sequence[Chunk]:
        if kind_of(raw) != "function_call" or output_index in self._calls:
            return ()
        call = call_item.decode(raw)
        if not call.name:
            return ()  # it is told when it ends
        self._last = None
        index = self._calls[output_index] = len(self._calls)
        return (ToolCallStarted(index, call.called, call.name),)

    def _arguments(self, output_index: int, delta: str) -> Sequence[Chunk]:
        index = self._calls.get(output_index)
        if index is None or not delta:
            return ()
        self._said.setdefault((_ARGUMENTS, output_index, 0), []).append(delta)
        return (ToolCallDelta(index, delta),)

    def _end_item(self, output_index: int, raw: msgspec.Raw) -> Sequence[Chunk]:
        kind = kind_of(raw)
        self._kinds.add(kind)
        chunks: list[Chunk] = []
        if kind == "message":
            for index, part in enumerate(message_item.decode(raw).content or ()):
                chunks += self._rest(_TEXT, output_index, index, part.text)
                chunks += self._rest(_REFUSAL, output_index, index, part.refusal)
                cited = self._cited.get((output_index, index), 0)
                chunks += self._cite(output_index, index, read_annotations(part.annotations)[cited:])
        elif kind == "reasoning":
            chunks += self._end_thought(output_index, raw)
        elif kind == "function_call":
            chunks += self._begin_call(output_index, raw)
            arguments = call_item.decode(raw).arguments or ""
            chunks += self._arguments(output_index, self._unsaid(_ARGUMENTS, output_index, 0, arguments))
        else:
            self._last = None
            chunks.append(PartDone(Opaque(DIALECT, kind, bytes(raw))))
        return chunks

    def _end_thought(self, output_index: int, raw: msgspec.Raw) -> Sequence[Chunk]:
        item = reasoning_item.decode(raw)
        chunks: list[Chunk] = []
        for index, part in enumerate(item.summary or ()):
            chunks += self._rest(_SUMMARY, output_index, index, part.text)
        for index, part in enumerate(item.content or ()):
            chunks += self._rest(_THOUGHT, output_index, index, part.text)
        has_text = any(kind in _THOUGHTS and place == output_index for kind, place, _ in self._said)
        proof = proof_of(item, has_text=has_text)
        is_open = self._last is not None and self._last[0] in _THOUGHTS and self._last[1] == output_index
        if proof.origin and (is_open or proof.signature != READABLE):
            self._last = None
            chunks.append(proof)
        return chunks

    def _end(self, event: _Event) -> Sequence[Chunk]:
        response = response_view.decode(event.response)
        chunks = list(self._start(event.response))
        output = response.output or []
        if not self._said and not self._kinds and not self._calls:  # some servers send the end alone
            for index, item in enumerate(output):
                chunks += self._end_item(index, item)
        if response.status in (None, "in_progress", "queued"):
            response.status = event.type.removeprefix("response.")
        usage = read_usage(response.usage)
        if usage is not None:
            chunks.append(Metered(usage))
        refuses = any(kind == _REFUSAL for kind, _, _ in self._said)
        finish = finish_of(response, self._kinds | {kind_of(item) for item in output}, refuses=refuses)
        self._ended = True
        return [*chunks, Finished(finish), Ended()]
