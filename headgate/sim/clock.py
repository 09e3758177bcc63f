"""The clock of a simulation: wall time, ids and chance that repeat themselves exactly from one seed."""

from __future__ import annotations

import asyncio
import random

EPOCH = 1_767_225_600.0  # 2026-01-01T00:00:00Z: simulated days begin at midnight, UTC


class SimClock:
    """Implements `ports.Clock` on a loop's own time, real or virtual.

    Wall time is `epoch`, in Unix seconds, plus the loop's time.
    Ids come from a stream of their own, so that drawing one more random number elsewhere does not change any id.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seed: int, epoch: float = EPOCH) -> None:
        self.random = random.Random(seed)
        self._ids = random.Random(f"ids of {seed}")
        self._epoch = epoch
        self.monotonic = loop.time

    def now(self) -> float:
        """Simulated wall time, Unix seconds."""
        return self._epoch + self.monotonic()

    def new_id(self, prefix: str) -> str:
        """As `headgate.clock.SystemClock.new_id`, repeatable."""
        return f"{prefix}_{int(self.now() * 1000):012x}{self._ids.getrandbits(56):014x}"
