"""Streams of Anthropic's: named events to chunks.

A block is opened, continued and closed, by its index. What comes after `message_stop` is not read, and a second message
that begins before the first has ended is an error: what was told of the first cannot be taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from headgate.types import Usage
from headgate.wire import sse
from headgate.wire.chunks import (
    Chunk,
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
from headgate.wire.messages.answer import MessageView, provider_failed
from headgate.wire.messages.blocks import (
    ABSENT,
    DIALECT,
    KNOWN,
    NO_INPUT,
    ORIGIN,
    BlockView,
    read_citations,
    read_input,
    read_view,
)
from headgate.wire.messages.citations import CitationView
from headgate.wire.messages.stops import StopDetails, read_finish
from headgate.wire.messages.usage import read_usage
from headgate.wire.neutral import Opaque
from headgate.wire.surrogates import Mender


class _Delta(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    citation: CitationView | None = None
    content: msgspec.Raw = ABSENT  # of a compaction
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None


class _ErrorView(msgspec.Struct):
    type: str | None = None
    message: str | None = None


class _Event(msgspec.Struct):
    type: str | None = None
    index: int = 0
    delta: _Delta | None = None
    content_block: msgspec.Raw = ABSENT
    message: MessageView | None = None
    usage: msgspec.Raw = ABSENT
    error: _ErrorView | None = None


class _Kind(msgspec.Struct):
    type: str | None = None


class _PlainDelta(msgspec.Struct, gc=False):
    text: str
    type: Literal["text_delta"]


class _PlainEvent(msgspec.Struct, gc=False):
    """A `content_block_delta` of text: almost all events are such."""

    delta: _PlainDelta
    type: Literal["content_block_delta"]
    index: int = 0
    error: None = None


_plain_event = msgspec.json.Decoder(_PlainEvent)
_event = msgspec.json.Decoder(_Event)
_kind = msgspec.json.Decoder(_Kind)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NOTHING: tuple[Chunk, ...] = ()
_DELTA = b"event: content_block_delta\ndata: {"
_DELTA_DATA = len(_DELTA) - 1
_EVENTS = frozenset(
    {
        "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
        "message_stop", "error",
    }
)  # fmt: skip


class _OpenBlock:
    """A block that is being written."""

    __slots__ = ("call", "content", "is_fresh", "pieces", "raw", "signature", "view")

    def __init__(self, view: BlockView, raw: msgspec.Raw) -> None:
        self.view = view
        self.raw = raw
        self.call = 0  # which tool call it is
        self.is_fresh = True  # nothing of it has been told
        self.signature = view.signature or ""
        self.pieces: list[str] = []  # of its input
        self.content = ABSENT


class StreamListener:
    """Reads one stream."""

    __slots__ = ("_blocks", "_calls", "_ended", "_finish", "_last", "_mender", "_usages")

    def __init__(self) -> None:
        self._blocks: dict[int, _OpenBlock] = {}
        self._calls = 0
        self._last = ""  # the type of the block that was told last
        self._ended = False
        self._finish: Finished | None = None
        self._usages: list[bytes] = []
        self._mender = Mender()

    def read(self, frame: bytes) -> Sequence[Chunk]:
        """What a frame means. Raises ValueError, or StreamFailed for an error that the provider tells."""
        data = sse.payload(frame)
        if not data or self._ended:
            return _NOTHING
        event = self._decode(data)
        if event.error is not None:
            raise provider_failed(event.error.type, event.error.message)
        match event.type:
            case "content_block_delta":
                return self._delta(event)
            case "content_block_start":
                return self._block_start(event)
            case "content_block_stop":
                return self._block_stop(event)
            case "message_start":
                return self._message_start(event)
            case "message_delta":
                return self._message_delta(event)
            case "message_stop":
                self._ended = True
                return (Ended(),)
            case _:
                return _NOTHING  # a ping, or an event of tomorrow

    def more_text(self, data: bytes) -> str:
        end = len(data) - 2
        if not data.startswith(_DELTA) or data.find(b"\n", _DELTA_DATA) != end or not data.endswith(b"\n\n"):
            return ""
        payload = data[_DELTA_DATA:end]
        try:
            if not payload.isascii():
                payload.decode()
            event = _plain_event.decode(payload)
        except (ValueError, RecursionError):
            return ""
        block = self._blocks.get(event.index)
        return "" if block is None or block.is_fresh or self._ended else event.delta.text

    def missing(self) -> str:
        """What the stream lacks to be complete."""
        if not self._ended:
            return "its message_stop event"
        return "" if self._finish else "a stop reason"

    def _decode(self, data: bytes) -> _Event:
        if not data.isascii():
            data.decode()  # msgspec does not look into members that nobody reads
        try:
            return _event.decode(data)
        except (ValueError, RecursionError):
            data = self._mender.mend(data)
        try:
            if _kind.decode(data).type not in _EVENTS:
                return _Event()  # it may have a shape of its own
            return _event.decode(data)
        except (ValueError, RecursionError) as error:
            raise ValueError(str(error)) from None

    def _message_start(self, event: _Event) -> Sequence[Chunk]:
        if self._last or self._blocks:
            raise ValueError("a second message began before the first had ended")
        message = event.message or MessageView()
        chunks: list[Chunk] = [Started(message.id or "", message.model or "")]
        for index, raw in enumerate(message.content or ()):  # a message may begin with what it already has
            chunks += self._block_start(_Event(index=index, content_block=raw))
            chunks += self._block_stop(_Event(index=index))
        chunks += self._finished(message.stop_reason, message.stop_sequence, message.stop_details)
        return chunks + self._metered(message.usage)

    def _block_start(self, event: _Event) -> Sequence[Chunk]:
        view = read_view(event.content_block)
        block = self._blocks[event.index] = _OpenBlock(view, event.content_block)
        match view.type:
            case "text":
                citations = [Cited(citation) for citation in read_citations(view.citations)]
                return [*self._text(block, view.text), *citations]
            case "thinking":
                return self._thinking(block, view.thinking)
            case "redacted_thinking":
                self._last = view.type
                return (ThinkingSigned(redacted=view.data or "", origin=ORIGIN),)
            case "tool_use":
                block.call, self._calls, self._last = self._calls, self._calls + 1, view.type
                return (ToolCallStarted(block.call, view.id or "", view.name or ""),)
            case _:
                return _NOTHING

    def _delta(self, event: _Event) -> Sequence[Chunk]:
        delta, block = event.delta, self._blocks.get(event.index)
        if delta is None or block is None:
            raise ValueError("a delta that continues no block")
        if delta.type == "text_delta":
            return self._text(block, delta.text)
        if delta.type == "input_json_delta":
            if not delta.partial_json:
                return _NOTHING
            block.pieces.append(delta.partial_json)
            return (ToolCallDelta(block.call, delta.partial_json),) if block.view.type == "tool_use" else _NOTHING
        if delta.type == "thinking_delta":
            return self._thinking(block, delta.thinking)
        if delta.signature:
            block.signature += delta.signature
        elif delta.citation is not None:
            return (Cited(delta.citation.value()),)
        elif delta.content is not ABSENT:
            block.content = delta.content
        return _NOTHING

    def _text(self, block: _OpenBlock, text: str | None) -> Sequence[Chunk]:
        if not text:
            return _NOTHING
        if not block.is_fresh:
            return (TextDelta(text),)
        starts_part = self._last == "text"
        block.is_fresh, self._last = False, "text"
        return (TextDelta(text, starts_part=starts_part),)

    def _thinking(self, block: _OpenBlock, text: str | None) -> Sequence[Chunk]:
        if not text:
            return _NOTHING
        if not block.is_fresh:
            return (ThinkingDelta(text),)
        starts_part = self._last == "thinking"
        block.is_fresh, self._last = False, "thinking"
        return (ThinkingDelta(text, starts_part=starts_part),)

    def _block_stop(self, event: _Event) -> Sequence[Chunk]:
        block = self._blocks.pop(event.index, None)
        if block is None:
            return _NOTHING
        kind = block.view.type
        if kind == "thinking" and block.signature:
            return (ThinkingSigned(block.signature, origin=ORIGIN),)
        if kind == "tool_use" and not block.pieces:
            return (ToolCallDelta(block.call, read_input(block.view.input).decode()),)
        if kind in KNOWN:
            return _NOTHING
        self._last = kind
        return (PartDone(Opaque(DIALECT, kind, _whole(block))),)

    def _message_delta(self, event: _Event) -> Sequence[Chunk]:
        delta = event.delta or _Delta()
        chunks = self._finished(delta.stop_reason, delta.stop_sequence, delta.stop_details)
        return chunks + self._metered(event.usage)

    def _finished(self, reason: str | None, sequence: str | None, details: StopDetails | None) -> list[Chunk]:
        if not reason or self._finish is not None:
            return []
        self._finish = Finished(read_finish(reason), stop_sequence=sequence or "")
        words = details.explanation if details else None
        return [RefusalDelta(words), self._finish] if words else [self._finish]

    def _metered(self, raw: msgspec.Raw) -> list[Chunk]:
        self._usages.append(bytes(raw))
        usage: Usage | None = read_usage(self._usages)
        return [Metered(usage)] if usage else []


def _whole(block: _OpenBlock) -> bytes:
    """A block that only Anthropic knows, with what came of it in pieces."""
    if not block.pieces and block.content is ABSENT:
        return bytes(block.raw)
    members = _members.decode(block.raw)
    if block.pieces:
        members["input"] = _json("".join(block.pieces))
    if block.content is not ABSENT:
        members["content"] = block.content
    return msgspec.json.encode(members)


def _json(text: str) -> msgspec.Raw:
    """The JSON that was written in pieces; as a string if it is none."""
    data = text.encode(errors="replace") or NO_INPUT
    try:
        msgspec.json.decode(data)
    except (ValueError, RecursionError):
        data = msgspec.json.encode(text)
    return msgspec.Raw(data)
