"""What a run of `benchmarks.gateways` is asked for and what it finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Settings:
    """One run; `events` and `interval` shape the upstream's streams."""

    peers: Path
    python: str
    seconds: float
    warmup: float
    rounds: int
    gateway_core: int
    tool_core: int
    events: int = 64
    interval: float = 0.005


@dataclass
class Sample:
    """One contender in one round. `floor` is the direct run with one connection just before its own."""

    name: str
    version: str
    ready_seconds: float | None
    rss_ready_mb: float | None
    loads: dict[str, dict[str, Any]] = field(default_factory=dict)
    floor: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Skipped:
    """A gateway that did not take part, and why."""

    name: str
    reason: str
