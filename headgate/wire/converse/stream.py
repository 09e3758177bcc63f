"""Streams of ConverseStream: messages of AWS's event stream to neutral chunks."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from headgate.wire.chunks import (
    Chunk,
    Cited,
    Ended,
    Finished,
    Metered,
    PartDone,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolCallDelta,
    ToolCallStarted,
)
from headgate.wire.converse.blocks import (
    ABSENT,
    ORIGIN,
    SERVER_TOOL,
    CitationView,
    ImageView,
    View,
    opaque,
    read_stop_sequence,
)
from headgate.wire.converse.failures import raise_failure
from headgate.wire.converse.finish import read_finish
from headgate.wire.converse.frames import read_message
from headgate.wire.converse.usage import read_usage
from headgate.wire.neutral import Image
from headgate.wire.surrogates import Mender


class _ToolStart(View):
    tool_use_id: str = ""
    name: str = ""
    type: str | None = None


class _Start(View):
    tool_use: _ToolStart | None = None
    image: ImageView | None = None


class _BlockStart(View):
    content_block_index: int = 0
    start: msgspec.Raw = ABSENT


class _ToolDelta(View):
    input: str = ""


class _ReasoningDelta(View):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _Delta(View):
    text: str | None = None
    tool_use: _ToolDelta | None = None
    reasoning_content: _ReasoningDelta | None = None
    citation: CitationView | None = None
    image: ImageView | None = None


class _BlockDelta(View):
    content_block_index: int = 0
    delta: _Delta | None = None


class _BlockStop(View):
    content_block_index: int = 0


class _MessageStop(View):
    stop_reason: str
    additional_model_response_fields: msgspec.Raw = ABSENT


class _Metadata(View):
    usage: msgspec.Raw = ABSENT


T = TypeVar("T")

_start = msgspec.json.Decoder(_Start | None)
_block_start = msgspec.json.Decoder(_BlockStart)
_block_delta = msgspec.json.Decoder(_BlockDelta)
_block_stop = msgspec.json.Decoder(_BlockStop)
_message_stop = msgspec.json.Decoder(_MessageStop)
_metadata = msgspec.json.Decoder(_Metadata)


class StreamListener:
    """Reads one stream. Blocks are told apart by their index; only those of tools must have begun."""

    __slots__ = (
        "_ended", "_finished", "_image", "_mender", "_open", "_redacted", "_signature", "_tools", "_unseen",
        "_without_input",
    )  # fmt: skip

    def __init__(self) -> None:
        self._mender = Mender()
        self._open = ("", -1)  # kind and index of the block that was spoken of last
        self._tools: dict[int, int] = {}  # index of a block -> how many tool calls came before
        self._without_input: set[int] = set()  # tool calls that have no arguments so far
        self._unseen: set[int] = set()  # indices of blocks that have no neutral form
        self._signature = ""
        self._redacted: list[str] = []
        self._image: tuple[ImageView, list[str]] | None = None
        self._finished = False
        self._ended = False

    def read(self, frame: bytes) -> Sequence[Chunk]:
        """What a message means. Raises ValueError for what is no event, StreamFailed for an exception in the stream."""
        message = read_message(frame)
        match message.headers.get(":event-type"):
            case "contentBlockDelta":
                event = self._decode(_block_delta, message.payload)
                return self._continue(event.content_block_index, event.delta or _Delta())
            case "messageStart":
                return (Started("", ""),)
            case "contentBlockStart":
                start = self._decode(_block_start, message.payload)
                return (*self._close_thought(), *self._begin(start.content_block_index, start.start))
            case "contentBlockStop":
                index = self._decode(_block_stop, message.payload).content_block_index
                return (*self._close_thought(), *self._close(index))
            case "messageStop":
                return (*self._close_thought(), *self._finish(self._decode(_message_stop, message.payload)))
            case "metadata":
                return self._meter(self._decode(_metadata, message.payload))
            case _:
                raise_failure(message)
                return ()

    def more_text(self, data: bytes) -> str:
        """Nothing: the framing has checksums, which the splitter looks at."""
        return ""

    def missing(self) -> str:
        """The stop reason, if it has not come. Usage may be missing."""
        return "" if self._finished else "a stop reason"

    def _decode(self, decoder: msgspec.json.Decoder[T], payload: bytes) -> T:
        try:
            return decoder.decode(payload)
        except msgspec.ValidationError:
            raise
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        except msgspec.DecodeError:
            return decoder.decode(self._mender.mend(payload))

    def _begin(self, index: int, raw: msgspec.Raw) -> Sequence[Chunk]:
        start = self._decode(_start, raw) or _Start()
        if start.tool_use is not None and start.tool_use.type != SERVER_TOOL:
            number = self._tools[index] = len(self._tools)
            self._without_input.add(number)
            self._open = ("tool", index)
            return (ToolCallStarted(number, start.tool_use.tool_use_id, start.tool_use.name),)
        if start.image is not None:
            self._image = (start.image, [])
            return ()
        if bytes(raw) in (b"null", b"{}"):
            return ()  # some announce texts as well
        self._unseen.add(index)
        self._open = ("unseen", index)
        return (PartDone(opaque(raw)),)

    def _continue(self, index: int, delta: _Delta) -> Sequence[Chunk]:
        if delta.text:
            closing = self._close_thought() if self._open[0] == "thinking" else ()
            starts_part = self._opens("text", index)
            return (*closing, TextDelta(delta.text, starts_part=starts_part))
        if delta.tool_use is not None and index not in self._unseen:
            return self._argue(index, delta.tool_use.input)
        if delta.reasoning_content is not None:
            return self._think(index, delta.reasoning_content)
        if delta.citation is not None:
            return (Cited(delta.citation.value()),)
        if delta.image is not None and delta.image.source is not None and self._image is not None:
            self._image[1].append(delta.image.source.bytes or "")
        return ()

    def _opens(self, kind: str, index: int) -> bool:
        """Whether this block begins though the one before it was of the same kind."""
        before, self._open = self._open, (kind, index)
        return before[0] == kind and before[1] != index

    def _argue(self, index: int, arguments: str) -> Sequence[Chunk]:
        number = self._tools.get(index)
        if number is None:
            raise ValueError(f"it has arguments of a tool call that has not begun (block {index})")
        if not arguments:
            return ()
        self._without_input.discard(number)
        return (ToolCallDelta(number, arguments),)

    def _think(self, index: int, delta: _ReasoningDelta) -> Sequence[Chunk]:
        closing = self._close_thought() if self._open != ("thinking", index) else ()
        starts_part = self._opens("thinking", index)
        self._signature += delta.signature or ""
        if delta.redacted_content:
            self._redacted.append(delta.redacted_content)
        if not delta.text:
            return closing
        return (*closing, ThinkingDelta(delta.text, starts_part=starts_part))

    def _close_thought(self) -> Sequence[Chunk]:
        """What proves the thought that is over, if anything does."""
        if not self._signature and not self._redacted:
            return ()
        signed = ThinkingSigned(self._signature, _join_base64(self._redacted), ORIGIN)
        self._signature, self._redacted = "", []
        return (signed,)

    def _close(self, index: int) -> Sequence[Chunk]:
        number = self._tools.get(index, -1)
        if number in self._without_input:
            self._without_input.discard(number)
            return (ToolCallDelta(number, "{}"),)
        if self._image is not None:
            (image, pieces), self._image = self._image, None
            self._open = ("image", index)
            whole = Image(media_type=image.value().media_type, data=_join_base64(pieces))
            return (PartDone(whole),)
        return ()

    def _finish(self, event: _MessageStop) -> Sequence[Chunk]:
        self._finished = True
        finish = read_finish(event.stop_reason, has_tool_calls=bool(self._tools))
        sequence = read_stop_sequence(event.additional_model_response_fields)
        without_input = [ToolCallDelta(number, "{}") for number in sorted(self._without_input)]
        return (*without_input, Finished(finish, stop_sequence=sequence))

    def _meter(self, event: _Metadata) -> Sequence[Chunk]:
        """It comes last, but only the first one after the stop reason is the end."""
        usage = read_usage(event.usage)
        metered = () if usage is None else (Metered(usage),)
        if self._ended or not self._finished:
            return metered
        self._ended = True
        return (*metered, Ended())


def _join_base64(pieces: list[str]) -> str:
    if len(pieces) < 2:
        return "".join(pieces)
    return b64encode(b"".join(b64decode(piece) for piece in pieces)).decode()
