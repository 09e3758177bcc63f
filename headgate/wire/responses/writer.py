"""Writes a stream for a client of the Responses API."""

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
from headgate.wire.dialect import ReplyContext
from headgate.wire.neutral import Finish, Image, Opaque, Part, Thinking
from headgate.wire.responses import events
from headgate.wire.responses.events import Frames
from headgate.wire.responses.open_items import OpenCall, OpenMessage, OpenReasoning
from headgate.wire.responses.parts import DIALECT
from headgate.wire.responses.reply import (
    COMPLETED,
    IN_PROGRESS,
    FunctionCall,
    Item,
    Reply,
    generated_image,
    is_complete,
    logprobs_of,
    status_of_last,
)
from headgate.wire.responses.thoughts import sealed_call, sealed_thought

_OF_ALL_CHOICES = (Started, Metered, Ended)


class StreamWriter:
    """Turns chunks into events. Calls stay open to the end, because their arguments may come by turns."""

    __slots__ = ("_calls", "_context", "_count", "_finish", "_frames", "_items", "_open", "_reply", "_usage")

    def __init__(self, context: ReplyContext) -> None:
        self._context = context
        self._frames = Frames()
        self._reply: Reply | None = None
        self._items: dict[int, Item] = {}
        self._count = 0  # of the items that were begun
        self._open: OpenMessage | OpenReasoning | None = None
        self._calls: dict[int, OpenCall] = {}
        self._finish = Finish.STOP
        self._usage: Usage | None = None

    def write(self, chunks: Sequence[Chunk]) -> bytes:
        told: LogprobsDelta | None = None  # together with its text
        for place, chunk in enumerate(chunks):
            if isinstance(chunk, TextDelta):
                following = chunks[place + 1] if place + 1 < len(chunks) else None
                told = following if isinstance(following, LogprobsDelta) else None
                if not chunk.choice:
                    logprobs: Sequence[msgspec.Raw] = logprobs_of(told.logprobs) if told else ()
                    self._message().say(chunk.text, logprobs, starts_part=chunk.starts_part)
            elif chunk is not told and (isinstance(chunk, _OF_ALL_CHOICES) or not chunk.choice):
                self._put(chunk)  # the API knows one choice
        return self._frames.take()

    def more_text(self, text: str) -> bytes:
        if not isinstance(self._open, OpenMessage):
            return self.write((TextDelta(text),))
        self._open.say(text, (), starts_part=False)
        return self._frames.take()

    def end(self) -> bytes:
        reply = self._started()
        self._close(COMPLETED)
        output = [self._items[index] for index in sorted(self._items)]
        response = reply.ended(output, self._finish, self._usage)
        complete = is_complete(output, self._finish)
        self._frames.put(events.Completed(response) if complete else events.Incomplete(response))
        return self._frames.take()

    def _put(self, chunk: Chunk) -> None:
        match chunk:
            case ThinkingDelta():
                self._reasoning(starts_item=chunk.starts_part).think(chunk.text)
            case ThinkingSigned():
                self._sign(chunk)
            case RefusalDelta():
                self._message().refuse(chunk.text)
            case ToolCallStarted():
                self._call(chunk)
            case ToolCallDelta() if chunk.arguments and chunk.index in self._calls:
                self._calls[chunk.index].argue(chunk.arguments)
            case Cited():
                self._message().cite(chunk.citation)
            case LogprobsDelta():
                self._message().weigh(logprobs_of(chunk.logprobs))
            case PartDone():
                self._show(chunk.part)
            case Finished():
                self._finish = chunk.finish
                self._close(status_of_last(chunk.finish))
            case Metered():
                self._usage = chunk.usage
            case Started() if self._reply is None:
                self._start(chunk)
            case _:
                pass

    def _start(self, started: Started) -> Reply:
        self._reply = Reply(self._context, started.id, started.model, started.created)
        begun = self._reply.begun()
        self._frames.put(events.Created(begun))
        self._frames.put(events.InProgress(begun))
        return self._reply

    def _started(self) -> Reply:
        return self._reply or self._start(Started("", ""))

    def _next(self, prefix: str) -> tuple[str, int]:
        """The id and output index of an item that begins."""
        output_index, self._count = self._count, self._count + 1
        return self._started().item_id(prefix, output_index), output_index

    def _message(self) -> OpenMessage:
        if not isinstance(self._open, OpenMessage):
            self._close_open(COMPLETED)
            self._open = OpenMessage(self._frames, *self._next("msg"))
        return self._open

    def _reasoning(self, *, starts_item: bool) -> OpenReasoning:
        if starts_item or not isinstance(self._open, OpenReasoning):
            self._close_open(COMPLETED)
            self._open = OpenReasoning(self._frames, *self._next("rs"))
        return self._open

    def _sign(self, signed: ThinkingSigned) -> None:
        thought = Thinking(signature=signed.signature, redacted=signed.redacted, origin=signed.origin)
        if encrypted := sealed_thought(thought):
            self._reasoning(starts_item=bool(signed.redacted))
            self._close_open(COMPLETED, encrypted)

    def _call(self, started: ToolCallStarted) -> None:
        self._close_open(COMPLETED)
        if started.signature:
            self._reasoning(starts_item=True)
            self._close_open(COMPLETED, sealed_call(started.origin, started.signature))
        item_id, output_index = self._next("fc")
        item = FunctionCall(item_id, IN_PROGRESS, "", started.id, started.name)
        self._calls[started.index] = OpenCall(self._frames, item, output_index)

    def _show(self, part: Part) -> None:
        """A part that comes whole. What only another dialect knows has no form here."""
        if isinstance(part, Image):
            self._close_open(COMPLETED)
            item_id, output_index = self._next("ig")
            item: Item = generated_image(part, item_id)
        elif isinstance(part, Opaque) and part.dialect == DIALECT:
            self._close_open(COMPLETED)
            _, output_index = self._next("")
            item = msgspec.Raw(part.raw)
        else:
            return
        self._items[output_index] = item
        self._frames.put(events.ItemAdded(output_index, item))
        self._frames.put(events.ItemDone(output_index, item))

    def _close_open(self, status: str, encrypted: str = "") -> None:
        item, self._open = self._open, None
        if isinstance(item, OpenMessage):
            self._items[item.output_index] = item.close(status)
        elif item is not None:
            self._items[item.output_index] = item.close(encrypted)

    def _close(self, status: str) -> None:
        """Close everything; `status` is the last item's."""
        last = self._count - 1
        is_last = self._open is not None and self._open.output_index == last
        self._close_open(status if is_last else COMPLETED)
        calls, self._calls = self._calls, {}
        for call in sorted(calls.values(), key=lambda call: call.output_index):
            self._items[call.output_index] = call.close(status if call.output_index == last else COMPLETED)
