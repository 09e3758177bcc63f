"""Deadlines of a request: one timer that turns a missed deadline into a typed error in the task that waits.

Moving a deadline costs one assignment, because the timer looks at it only when it fires. That matters: the stall
deadline moves with every event of every stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from headgate.errors import HeadgateError

_LOOK_AGAIN_SECONDS = 1.0  # while the task rests

Complaint = Callable[[], HeadgateError]


class Watchdog:
    """Watches the task it was made in, on `loop`. Times are monotonic seconds of `monotonic`.

    Only code that waits for upstream may be interrupted: between `rest` and `watch` the task serves its client, and a
    deadline that passes there is told at the next `check`. Whoever sees something arrive moves `deadline` on.
    """

    __slots__ = (
        "_complaint", "_fires_at", "_loop", "_monotonic", "_resting", "_task", "_timer", "_total", "_total_complaint",
        "_verdict", "deadline",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        monotonic: Callable[[], float],
        total_seconds: float,
        total_complaint: Complaint,
    ) -> None:
        task = asyncio.current_task(loop)
        assert task is not None, "a request runs in a task"
        self._task = task
        self._loop = loop
        self._monotonic = monotonic
        self._total = monotonic() + total_seconds
        self._total_complaint = total_complaint
        self.deadline = self._total
        self._complaint = total_complaint
        self._verdict: HeadgateError | None = None
        self._resting = False
        self._fires_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def seconds_left(self) -> float:
        """Until the total deadline."""
        return self._total - self._monotonic()

    def watch(self, seconds: float, complaint: Complaint) -> None:
        """From now on the task has so many seconds, or until the total deadline."""
        self._resting = False
        self.deadline = self._monotonic() + seconds
        self._complaint = complaint
        if self._total <= self.deadline:
            self.deadline, self._complaint = self._total, self._total_complaint
        self._arm()

    def rest(self) -> None:
        """The task serves its client: nobody is late."""
        self._resting = True

    def interrupt(self, error: HeadgateError) -> None:
        """End the task's waiting for upstream with an error: at once, or when it comes back to it."""
        if self._verdict is None:
            self._verdict = error
            if not self._resting:
                self._task.cancel()

    def check(self) -> None:
        """Raise what was found late while the task rested."""
        if (verdict := self._verdict) is not None:
            self._verdict = None
            raise verdict

    def translate(self) -> None:
        """Called when CancelledError was caught: raise the verdict if the watchdog cancelled, and nobody else did."""
        if (verdict := self._verdict) is not None:
            self._verdict = None
            if self._task.uncancel() == 0:
                raise verdict from None

    async def sleep(self, seconds: float) -> None:
        """Wait between two attempts; an interruption ends it at once."""
        self.check()
        self.watch(self.seconds_left(), self._total_complaint)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.translate()
            raise
        finally:
            self.rest()

    def stop(self) -> None:
        """The request is over: whatever the task does now, it is not to be interrupted."""
        self._resting = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is not None:
            if self._fires_at <= self.deadline:
                return  # it will look again when it fires
            self._timer.cancel()
        self._set_timer(self.deadline)

    def _set_timer(self, at: float) -> None:
        self._fires_at = at
        self._timer = self._loop.call_later(max(0.0, at - self._monotonic()), self._look)

    def _look(self) -> None:
        now, self._timer = self._monotonic(), None
        if now >= self._total:
            self.interrupt(self._total_complaint())
        elif self._resting:
            self._set_timer(min(now + _LOOK_AGAIN_SECONDS, self._total))
        elif now >= self.deadline:
            self.interrupt(self._complaint())
        else:
            self._set_timer(min(self.deadline, self._total))
