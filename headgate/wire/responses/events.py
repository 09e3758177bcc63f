"""The events of a stream, as a client of the Responses API gets them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headgate.wire.responses.reply import Item, OutputRefusal, OutputText, Summary


class Event(msgspec.Struct, tag_field="type", kw_only=True):
    """Any event; the numbers run through the whole stream."""

    sequence_number: int = 0


class Created(Event, tag="response.created"):
    response: msgspec.Raw


class InProgress(Event, tag="response.in_progress"):
    response: msgspec.Raw


class Completed(Event, tag="response.completed"):
    response: msgspec.Raw


class Incomplete(Event, tag="response.incomplete"):
    response: msgspec.Raw


class ItemAdded(Event, tag="response.output_item.added"):
    output_index: int
    item: Item


class ItemDone(Event, tag="response.output_item.done"):
    output_index: int
    item: Item


class _OfItem(Event):
    item_id: str
    output_index: int


class _OfContent(_OfItem):
    content_index: int


class _OfSummary(_OfItem):
    summary_index: int


class PartAdded(_OfContent, tag="response.content_part.added"):
    part: OutputText | OutputRefusal


class PartDone(_OfContent, tag="response.content_part.done"):
    part: OutputText | OutputRefusal


class TextDelta(_OfContent, tag="response.output_text.delta"):
    delta: str
    logprobs: Sequence[msgspec.Raw]


class TextDone(_OfContent, tag="response.output_text.done"):
    text: str
    logprobs: Sequence[msgspec.Raw]


class AnnotationAdded(_OfContent, tag="response.output_text.annotation.added"):
    annotation_index: int
    annotation: msgspec.Raw


class RefusalDelta(_OfContent, tag="response.refusal.delta"):
    delta: str


class RefusalDone(_OfContent, tag="response.refusal.done"):
    refusal: str


class ArgumentsDelta(_OfItem, tag="response.function_call_arguments.delta"):
    delta: str


class ArgumentsDone(_OfItem, tag="response.function_call_arguments.done"):
    name: str
    arguments: str


class SummaryPartAdded(_OfSummary, tag="response.reasoning_summary_part.added"):
    part: Summary


class SummaryPartDone(_OfSummary, tag="response.reasoning_summary_part.done"):
    part: Summary


class SummaryDelta(_OfSummary, tag="response.reasoning_summary_text.delta"):
    delta: str


class SummaryDone(_OfSummary, tag="response.reasoning_summary_text.done"):
    text: str


class Frames:
    """Numbers events and keeps them as frames until they are taken."""

    __slots__ = ("_frames", "_next")

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._next = 0

    def put(self, event: Event) -> None:
        """Add an event."""
        event.sequence_number = self._next
        self._next += 1
        self._frames.append(b"event: %s\ndata: %s\n\n" % (_NAMES[type(event)], msgspec.json.encode(event)))

    def take(self) -> bytes:
        """What was put since the last time."""
        frames, self._frames = self._frames, []
        return b"".join(frames)


def _names(base: type[Event]) -> dict[type[Event], bytes]:
    """The name of every kind of event, which stands before its data too."""
    found: dict[type[Event], bytes] = {}
    for kind in base.__subclasses__():
        found[kind] = str(kind.__struct_config__.tag).encode()
        found.update(_names(kind))
    return found


_NAMES = _names(Event)
