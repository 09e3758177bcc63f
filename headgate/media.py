"""The vocabulary of prompts that are more than text: what dialects find in them, and estimates count."""

from __future__ import annotations

from enum import StrEnum

from headgate.types import Frozen


class MediaKind(StrEnum):
    """What a part of a prompt is that is no text."""

    IMAGE = "image"
    DOCUMENT = "document"
    AUDIO = "audio"
    VIDEO = "video"
    SEALED = "sealed"  # thoughts of an earlier answer that only their provider can read


class Media(Frozen, frozen=True, gc=False):
    """A part of a prompt that is no text, as far as its header shows it; 0: not known, as of what is named by a URL."""

    kind: MediaKind
    width: int = 0  # in pixels
    height: int = 0
    size_bytes: int = 0
    pages: int = 0
    low_detail: bool = False
