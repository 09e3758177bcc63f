"""Streams in the neutral model: an answer in pieces, whatever dialect it is spoken in."""

from __future__ import annotations

import msgspec

from headgate.types import Frozen, Usage
from headgate.wire.neutral import Citation, Finish, Part


class Started(Frozen, frozen=True, gc=False):
    """The answer begins; nothing has been said yet."""

    id: str
    model: str
    created: int = 0


class TextDelta(Frozen, frozen=True, gc=False):
    """More of the text. `starts_part` when it opens a new part though the last one was text too."""

    text: str
    choice: int = 0
    starts_part: bool = False


class ThinkingDelta(Frozen, frozen=True, gc=False):
    """More of a thought."""

    text: str
    choice: int = 0
    starts_part: bool = False


class ThinkingSigned(Frozen, frozen=True, gc=False):
    """The end of a thought, with what a client must send back of it. `redacted` is a whole thought of its own."""

    signature: str = ""
    redacted: str = ""
    origin: str = ""
    id: str = ""
    choice: int = 0


class RefusalDelta(Frozen, frozen=True, gc=False):
    """More of a refusal."""

    text: str
    choice: int = 0


class ToolCallStarted(Frozen, frozen=True, gc=False):
    """A tool call begins; `index` counts the choice's calls from 0, and names this one from here on."""

    index: int
    id: str
    name: str
    signature: str = ""
    origin: str = ""
    choice: int = 0


class ToolCallDelta(Frozen, frozen=True, gc=False):
    """More of a tool call's arguments."""

    index: int
    arguments: str
    choice: int = 0


class Cited(Frozen, frozen=True):
    """A citation for the text part that is being written."""

    citation: Citation
    choice: int = 0


class PartDone(Frozen, frozen=True):
    """A part that comes whole: an image, or one that only its own dialect knows."""

    part: Part
    choice: int = 0


class LogprobsDelta(Frozen, frozen=True):
    """Log probabilities of the newest tokens, in OpenAI's chat shape."""

    logprobs: msgspec.Raw
    choice: int = 0


class Finished(Frozen, frozen=True, gc=False):
    """A choice is complete."""

    finish: Finish
    choice: int = 0
    stop_sequence: str = ""


class Metered(Frozen, frozen=True, gc=False):
    """Usage so far; a later one replaces it."""

    usage: Usage


class Ended(Frozen, frozen=True, gc=False):
    """The dialect's own end of the stream ([DONE], message_stop, response.completed)."""


Chunk = (
    Started
    | TextDelta
    | ThinkingDelta
    | ThinkingSigned
    | RefusalDelta
    | ToolCallStarted
    | ToolCallDelta
    | Cited
    | PartDone
    | LogprobsDelta
    | Finished
    | Metered
    | Ended
)
CONTENT = (TextDelta, ThinkingDelta, ThinkingSigned, RefusalDelta, ToolCallStarted, ToolCallDelta, PartDone, Finished)
