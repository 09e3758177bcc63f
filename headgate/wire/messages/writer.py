"""Streams for clients of Messages: chunks to Anthropic's named events.

Blocks follow each other there, while some providers write several tool calls at a time. So a call that begins before
the open one's arguments are complete JSON has to wait, with all that comes after it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from headgate.types import Usage
from headgate.wire.chunks import (
    Chunk,
    Cited,
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
from headgate.wire.dialect import ReplyContext
from headgate.wire.messages.answer import head
from headgate.wire.messages.blocks import Block, sealed, signed_call, tool_use, write_blocks
from headgate.wire.messages.citations import write_citation
from headgate.wire.messages.stops import write_finish
from headgate.wire.messages.usage import write_usage
from headgate.wire.neutral import Finish, Part

_EMPTY_TEXT: Block = {"type": "text", "text": ""}
_EMPTY_THOUGHT: Block = {"type": "thinking", "thinking": "", "signature": ""}
_TEXT_HEAD = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"text_delta","text":'
)
_encoder = msgspec.json.Encoder()


class StreamWriter:
    """Writes one stream. Only the first choice is shown, as Messages has no other."""

    __slots__ = (
        "_arguments", "_call", "_calls", "_context", "_finished", "_index", "_kind", "_out", "_started", "_usage",
        "_text_head", "_waiting",
    )  # fmt: skip

    def __init__(self, context: ReplyContext) -> None:
        self._context = context
        self._out: list[bytes] = []
        self._started = False
        self._text_head = b""  # of the events of the open text
        self._index = 0  # of the open block, or of the next one
        self._kind = ""  # of the open block: text, thinking, tool_use, whole, or none
        self._call = -1  # which tool call is open
        self._calls: set[int] = set()  # those that have been begun
        self._arguments: list[str] = []  # of the open tool call
        self._waiting: deque[Chunk] = deque()
        self._usage = Usage()
        self._finished = Finished(Finish.STOP)

    def write(self, chunks: Sequence[Chunk]) -> bytes:
        """The events that these chunks are, b"" if they say nothing yet."""
        for chunk in chunks:
            if isinstance(chunk, Metered):
                self._usage = chunk.usage  # first, so that message_start may tell it
        for chunk in chunks:
            if getattr(chunk, "choice", 0) == 0:
                self._take(chunk)
        return self._written()

    def more_text(self, text: str) -> bytes:
        if self._kind != "text":
            return self.write((TextDelta(text),))
        return b"%b%b}}\n\n" % (self._text_head, _encoder.encode(text))

    def end(self) -> bytes:
        """The stop reason with the usage, and the end."""
        self._drain(forced=True)
        self._close()
        self._start(Started("", ""))
        reason = write_finish(self._finished.finish, calls_tools=bool(self._calls))
        delta = {"stop_reason": reason, "stop_sequence": self._finished.stop_sequence or None}
        self._emit("message_delta", {"delta": delta, "usage": write_usage(self._usage)})
        self._emit("message_stop", {})
        return self._written()

    def _written(self) -> bytes:
        written = b"".join(self._out)
        self._out.clear()
        return written

    def _take(self, chunk: Chunk) -> None:
        """Say a chunk, or let it wait for the open tool call."""
        if isinstance(chunk, ToolCallDelta):
            if chunk.index == self._call:
                self._continue_call(chunk.arguments)
                if self._waiting:
                    self._drain(forced=False)
            elif chunk.index not in self._calls:  # else it was complete, and there is nothing to add to it
                self._waiting.append(chunk)
        elif isinstance(chunk, TextDelta | ThinkingDelta) and not chunk.text:
            pass
        elif isinstance(chunk, _CONTENT) and self._must_wait():
            self._waiting.append(chunk)
        else:
            self._say(chunk)

    def _must_wait(self) -> bool:
        return bool(self._waiting) or (self._kind == "tool_use" and not self._call_is_complete())

    def _drain(self, *, forced: bool) -> None:
        """Say what had to wait, as far as calls are complete, or to the end."""
        while self._waiting and (forced or self._kind != "tool_use" or self._call_is_complete()):
            chunk = self._waiting.popleft()
            self._say(chunk)
            if isinstance(chunk, ToolCallStarted):
                self._take_own_deltas()

    def _take_own_deltas(self) -> None:
        others: deque[Chunk] = deque()
        for chunk in self._waiting:
            if isinstance(chunk, ToolCallDelta) and chunk.index == self._call:
                self._continue_call(chunk.arguments)
            else:
                others.append(chunk)
        self._waiting = others

    def _call_is_complete(self) -> bool:
        if not self._arguments or not self._arguments[-1].rstrip().endswith("}"):
            return False
        try:
            msgspec.json.decode("".join(self._arguments))
        except (ValueError, RecursionError):
            return False
        return True

    def _say(self, chunk: Chunk) -> None:
        match chunk:
            case TextDelta():
                self._open("text", _EMPTY_TEXT, anew=chunk.starts_part)
                self._delta(b'{"type":"text_delta","text":' + _encoder.encode(chunk.text))
            case ThinkingDelta():
                self._open("thinking", _EMPTY_THOUGHT, anew=chunk.starts_part)
                self._delta(b'{"type":"thinking_delta","thinking":' + _encoder.encode(chunk.text))
            case ThinkingSigned():
                self._sign(chunk)
            case ToolCallStarted():
                self._start_call(chunk)
            case RefusalDelta():
                self._say(TextDelta(chunk.text))
            case Cited():
                self._open("text", _EMPTY_TEXT)
                self._delta(b'{"type":"citations_delta","citation":' + _encoder.encode(write_citation(chunk.citation)))
            case PartDone():
                self._whole(chunk.part)
            case Started():
                self._start(chunk)
            case Finished():
                self._finished = chunk
            case _:
                pass

    def _start(self, started: Started) -> None:
        if self._started:
            return
        self._started = True
        message: Block = {
            **head(started.id, started.model, self._context),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": write_usage(self._usage),
        }
        self._emit("message_start", {"message": message})

    def _sign(self, signed: ThinkingSigned) -> None:
        if signed.signature or not signed.redacted:
            self._open("thinking", _EMPTY_THOUGHT)
            if signed.signature:
                self._sign_open(sealed(signed.origin, signed.signature))
            self._close()
        if signed.redacted:
            self._block({"type": "redacted_thinking", "data": sealed(signed.origin, signed.redacted)})

    def _sign_open(self, signature: str) -> None:
        self._delta(b'{"type":"signature_delta","signature":' + _encoder.encode(signature))

    def _start_call(self, call: ToolCallStarted) -> None:
        if call.signature:
            self._open("thinking", _EMPTY_THOUGHT, anew=True)
            self._sign_open(str(signed_call(call.origin, call.signature)["signature"]))
        self._open("tool_use", tool_use(call.id, call.name), anew=True)
        self._call, self._arguments = call.index, []
        self._calls.add(call.index)

    def _continue_call(self, arguments: str) -> None:
        if arguments:
            self._arguments.append(arguments)
            self._delta(b'{"type":"input_json_delta","partial_json":' + _encoder.encode(arguments))

    def _whole(self, part: Part) -> None:
        for block in write_blocks(part):
            self._block(block)

    def _block(self, block: Block | msgspec.Raw) -> None:
        self._open("whole", block, anew=True)
        self._close()

    def _open(self, kind: str, block: Block | msgspec.Raw, *, anew: bool = False) -> None:
        if self._kind == kind and not anew:
            return
        self._close()
        self._start(Started("", ""))
        self._kind = kind
        self._text_head = _TEXT_HEAD % self._index
        self._emit("content_block_start", {"index": self._index, "content_block": block})

    def _close(self) -> None:
        if self._kind:
            self._emit("content_block_stop", {"index": self._index})
            self._kind, self._call = "", -1
            self._index += 1

    def _delta(self, delta: bytes) -> None:
        """`delta` lacks its closing brace. Deltas are nearly all of a stream, so they are put together by hand."""
        self._out.append(
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%b}}\n\n'
            % (self._index, delta)
        )

    def _emit(self, name: str, members: Block) -> None:
        self._out.append(b"event: %b\ndata: %b\n\n" % (name.encode(), _encoder.encode({"type": name, **members})))


_CONTENT = (TextDelta, ThinkingDelta, ThinkingSigned, RefusalDelta, ToolCallStarted, Cited, PartDone)
