"""Measures how late the event loop is: the one number that says a process has too much to do, or something blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

SAMPLE_SECONDS = 0.5


class LoopLag:
    """Asks the loop to be called every SAMPLE_SECONDS and tells `lagged` by how many seconds it was late."""

    def __init__(self, lagged: Callable[[float], None]) -> None:
        self._lagged = lagged
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to measure the running loop."""
        self._schedule(asyncio.get_running_loop())

    def stop(self) -> None:
        """Stop measuring; may be repeated."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + SAMPLE_SECONDS
        self._timer = loop.call_at(due, self._sample, loop, due)

    def _sample(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        # uvloop rounds timers to whole milliseconds and may be early.
        self._lagged(max(0.0, loop.time() - due))
        self._schedule(loop)
