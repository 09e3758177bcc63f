"""Items of a stream while they are being told: each says its events, and is closed to what the final answer repeats."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headgate.wire.neutral import Citation
from headgate.wire.responses import events
from headgate.wire.responses.annotations import write_annotation
from headgate.wire.responses.events import Frames
from headgate.wire.responses.reply import (
    IN_PROGRESS,
    FunctionCall,
    Message,
    OutputRefusal,
    OutputText,
    Reasoning,
    Summary,
)

NO_ARGUMENTS = "{}"  # nothing at all would be no JSON, and clients parse it


class OpenMessage:
    """A message: texts and refusals, one part after another."""

    __slots__ = ("_content", "_frames", "_id", "_part", "_pieces", "output_index")

    def __init__(self, frames: Frames, item_id: str, output_index: int) -> None:
        self._frames = frames
        self._id = item_id
        self.output_index = output_index
        self._content: list[OutputText | OutputRefusal] = []
        self._part: OutputText | OutputRefusal | None = None
        self._pieces: list[str] = []
        frames.put(events.ItemAdded(output_index, Message(item_id, IN_PROGRESS, [])))

    def say(self, text: str, logprobs: Sequence[msgspec.Raw], *, starts_part: bool) -> None:
        """More text."""
        part = self._text(starts_part=starts_part)
        if logprobs:
            part.logprobs += logprobs
        self._pieces.append(text)
        self._frames.put(events.TextDelta(*self._place, text, logprobs))

    def refuse(self, text: str) -> None:
        """More of a refusal."""
        if not isinstance(self._part, OutputRefusal):
            self._start_part(OutputRefusal(""))
        self._pieces.append(text)
        self._frames.put(events.RefusalDelta(*self._place, text))

    def cite(self, citation: Citation) -> None:
        """Where the text comes from."""
        part = self._text(starts_part=False)
        annotation = write_annotation(citation, sum(map(len, self._pieces)))
        self._frames.put(events.AnnotationAdded(*self._place, len(part.annotations), annotation))
        part.annotations.append(annotation)

    def weigh(self, logprobs: Sequence[msgspec.Raw]) -> None:
        """Log probabilities that come after their text: they are told with the whole of it."""
        self._text(starts_part=False).logprobs += logprobs

    def close(self, status: str) -> Message:
        """The whole message."""
        self._end_part()
        message = Message(self._id, status, self._content)
        self._frames.put(events.ItemDone(self.output_index, message))
        return message

    @property
    def _place(self) -> tuple[str, int, int]:
        return self._id, self.output_index, len(self._content)

    def _text(self, *, starts_part: bool) -> OutputText:
        part = self._part
        if starts_part or not isinstance(part, OutputText):
            part = OutputText("", [], [])
            self._start_part(part)
        return part

    def _start_part(self, part: OutputText | OutputRefusal) -> None:
        self._end_part()
        self._part = part
        self._frames.put(events.PartAdded(*self._place, part))

    def _end_part(self) -> None:
        part, self._part = self._part, None
        text, self._pieces = "".join(self._pieces), []
        if isinstance(part, OutputText):
            part.text = text
            self._frames.put(events.TextDone(*self._place, text, part.logprobs))
        elif part is not None:
            part.refusal = text
            self._frames.put(events.RefusalDone(*self._place, text))
        if part is not None:
            self._frames.put(events.PartDone(*self._place, part))
            self._content.append(part)


class OpenReasoning:
    """A thought, told as a summary of one part."""

    __slots__ = ("_frames", "_pieces", "_place", "output_index")

    def __init__(self, frames: Frames, item_id: str, output_index: int) -> None:
        self._frames = frames
        self._place = (item_id, output_index, 0)
        self.output_index = output_index
        self._pieces: list[str] = []
        frames.put(events.ItemAdded(output_index, Reasoning(item_id, [])))

    def think(self, text: str) -> None:
        """More of the thought."""
        if not self._pieces:
            self._frames.put(events.SummaryPartAdded(*self._place, Summary("")))
        self._pieces.append(text)
        self._frames.put(events.SummaryDelta(*self._place, text))

    def close(self, encrypted: str) -> Reasoning:
        """The whole thought, with what has to be sent back of it."""
        item = Reasoning(self._place[0], [], encrypted)
        if self._pieces:
            part = Summary("".join(self._pieces))
            item.summary.append(part)
            self._frames.put(events.SummaryDone(*self._place, part.text))
            self._frames.put(events.SummaryPartDone(*self._place, part))
        self._frames.put(events.ItemDone(self.output_index, item))
        return item


class OpenCall:
    """A function call. Several may be open, and told by turns."""

    __slots__ = ("_frames", "_item", "_pieces", "output_index")

    def __init__(self, frames: Frames, item: FunctionCall, output_index: int) -> None:
        self._frames = frames
        self._item = item
        self.output_index = output_index
        self._pieces: list[str] = []
        frames.put(events.ItemAdded(output_index, item))

    def argue(self, arguments: str) -> None:
        """More of the arguments."""
        self._pieces.append(arguments)
        self._frames.put(events.ArgumentsDelta(self._item.id, self.output_index, arguments))

    def close(self, status: str) -> FunctionCall:
        """The whole call."""
        if not self._pieces:
            self.argue(NO_ARGUMENTS)
        item = self._item
        item.arguments, item.status = "".join(self._pieces), status
        self._frames.put(events.ArgumentsDone(item.id, self.output_index, item.name, item.arguments))
        self._frames.put(events.ItemDone(self.output_index, item))
        return item
