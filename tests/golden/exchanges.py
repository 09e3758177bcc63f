"""Recorded exchanges with real providers, and what an onlooker reads in them with nothing but a JSON parser.

See README.md beside this file for where they come from.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

FILE = Path(__file__).with_name("openai_exchanges.jsonl.zst")
_GAVE_UP = ("abort", "error")


@dataclass(frozen=True)
class Exchange:
    """One request and its answer. `response` is a JSON answer, `response_text` a stream as it came."""

    id: str
    provider: str
    api: str
    model: str | None
    stream: bool
    status: int
    request: dict[str, Any]
    content_type: str
    response: Any
    response_text: str | None
    fidelity: str
    tags: list[str]
    recorded: str
    source: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.provider}-{self.api}-{self.id}"


def load() -> list[Exchange]:
    """All of them, in the order of the file."""
    data = zstandard.ZstdDecompressor().decompress(FILE.read_bytes())
    return [Exchange(**json.loads(line)) for line in data.decode().split("\n") if line]


@dataclass(frozen=True)
class Reading:
    """What an onlooker sees in a stream."""

    complete: bool
    usage: dict[str, Any] | None
    usage_frames: list[str]  # frames that carry usage and nothing else


def look(stream: str) -> Reading:
    """Read a stream whose frames end with a blank line. What comes after [DONE] or an error is not looked at."""
    finished: dict[int, bool] = {}
    usage: dict[str, Any] | None = None
    usage_frames: list[str] = []
    for frame in re.split(r"(?<=\n\n)|(?<=\r\n\r\n)", stream):
        data = "\n".join(line[5:].strip() for line in frame.split("\n") if line.startswith("data:"))
        if data == "[DONE]":
            break
        chunk = json.loads(data) if data else {}
        choices = chunk.get("choices") or []
        usage = chunk.get("usage") or usage
        if chunk.get("usage") and not choices:
            usage_frames.append(frame)
        if chunk.get("error") or any(choice.get("finish_reason") in _GAVE_UP for choice in choices):
            return Reading(False, usage, usage_frames)
        for choice in choices:
            finished[choice["index"]] = finished.get(choice["index"], False) or bool(choice.get("finish_reason"))
    return Reading(bool(finished) and all(finished.values()), usage, usage_frames)
