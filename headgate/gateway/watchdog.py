"""Deadlines of requests: a missed one becomes a typed error in the task that waits.

One timer serves all requests of a process. Moving a deadline costs one assignment, because the timer looks at it only
when it fires. That matters: the stall deadline moves with every event of every stream.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import TypeVar

from headgate.errors import HeadgateError
from headgate.policy.quota import Demand
from headgate.ports import Clock
from headgate.types import Frozen

_LOOK_AGAIN_SECONDS = 1.0  # while the task rests

T = TypeVar("T")
Complaint = Callable[[], HeadgateError]


class Deadlines:
    """Looks at all watchdogs when the earliest deadline has come that they had when it looked last.

    Belongs to `loop`; times are monotonic seconds of `monotonic`. No timer is left when nobody is watched.
    """

    __slots__ = ("_dogs", "_fires_at", "_timer", "loop", "monotonic")

    def __init__(self, loop: asyncio.AbstractEventLoop, monotonic: Callable[[], float]) -> None:
        self.loop = loop
        self.monotonic = monotonic
        self._dogs: dict[Watchdog, None] = {}  # in the order in which they came
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = math.inf

    def keep(self, dog: Watchdog) -> None:
        """Look at the dog not later than at its deadline."""
        self._dogs[dog] = None
        if dog.deadline < self._fires_at:
            self._set_timer(dog.deadline)

    def drop(self, dog: Watchdog) -> None:
        """Look at it no more."""
        self._dogs.pop(dog, None)
        if not self._dogs:
            self._set_timer(math.inf)

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fires_at = at
        self._timer = None if at == math.inf else self.loop.call_later(max(0.0, at - self.monotonic()), self._look)

    def _look(self) -> None:
        now = self.monotonic()
        self._set_timer(min([dog.look(now) for dog in self._dogs], default=math.inf))


class Watchdog:
    """Watches the task it was made in.

    Only code that waits for upstream may be interrupted: between `rest` and `watch` the task serves its client, and a
    deadline that passes there is told at the next `check`. Whoever sees something arrive moves `deadline` on.
    """

    __slots__ = (
        "_complaint", "_deadlines", "_monotonic", "_resting", "_task", "_total", "_total_complaint", "_verdict",
        "deadline",
    )  # fmt: skip

    def __init__(self, deadlines: Deadlines, total_seconds: float, total_complaint: Complaint) -> None:
        task = asyncio.current_task(deadlines.loop)
        assert task is not None, "a request runs in a task"
        self._task = task
        self._deadlines = deadlines
        self._monotonic = deadlines.monotonic
        self._total = self._monotonic() + total_seconds
        self._total_complaint = total_complaint
        self.deadline = self._total
        self._complaint = total_complaint
        self._verdict: HeadgateError | None = None
        self._resting = False

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
        self._deadlines.keep(self)

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
        await self.during(asyncio.sleep(seconds))

    async def during(self, waiting: Coroutine[object, object, T]) -> T:
        """Wait for something else than upstream, within the total deadline; an interruption ends it at once."""
        try:
            self.check()
        except HeadgateError:
            waiting.close()
            raise
        self.watch(self.seconds_left(), self._total_complaint)
        try:
            return await waiting
        except asyncio.CancelledError:
            self.translate()
            raise
        finally:
            self.rest()

    def stop(self) -> None:
        """The request is over: whatever the task does now, it is not to be interrupted."""
        self._resting = True
        self._complaint = self._total_complaint  # the other one knows the attempt, which knows the watchdog
        self._deadlines.drop(self)

    def look(self, now: float) -> float:
        """Interrupt the task if it is late. Returns when to look again."""
        if now >= self._total:
            self.interrupt(self._total_complaint())
        elif self._resting:
            return min(now + _LOOK_AGAIN_SECONDS, self._total)
        elif now >= self.deadline:
            self.interrupt(self._complaint())
        else:
            return min(self.deadline, self._total)
        return math.inf


class Terms(Frozen, frozen=True):
    """What the attempts of a request share: the time, how much of it is left, and what they are expected to use."""

    clock: Clock
    watchdog: Watchdog
    demand: Demand
