"""The waiting room: where a request waits for something that will come soon, rather than be refused.

One room serves every reason to wait: a provider's quota, money that is only held, a model that wakes. A **topic** names
what is waited for. The room is bounded, every wait has a deadline, and turns are fair: tenants take turns, and within a
tenant the first who came is the first who tries. One waiter of a topic tries at a time, so that a herd does not compute
the same thing at once, and what one of them takes is seen by the next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from types import TracebackType
from typing import Self

from headgate.errors import HeadgateError, WaitingRoomFull
from headgate.ports import Clock

NOW = 0.0  # as `until`: it is worth trying at once
DEFAULT_MAX_WAITING = 1000
_SHORTEST_WAIT_SECONDS = 0.001  # between two tries of one waiter when nothing has changed
_RETRY_AFTER_SECONDS = 1.0


class WaitingRoom:
    """Belongs to one event loop. Times are monotonic seconds of `clock`.

    Use, where `tries` is whatever the wait is for and `until` says when it is worth trying again without being woken:

        with room.enter(tenant, topic, deadline) as place:
            while await place.turn(until):
                if tries():
                    return
        raise TooLate

    Who tries holds the turn of the topic until the next `turn()` or the end of the block. `waited` is told how long
    each wait was, in seconds.
    """

    def __init__(
        self,
        clock: Clock,
        max_waiting: Callable[[], int] = lambda: DEFAULT_MAX_WAITING,
        waited: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.waiting = 0  # requests in the room
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._max_waiting = max_waiting
        self._waited = waited
        self._lines: dict[Hashable, _Line] = {}
        self._closed: Callable[[], HeadgateError] | None = None

    def enter(self, tenant: str, topic: Hashable, deadline: float) -> Place:
        """A place in the room, a context manager. Raises WaitingRoomFull, or the error the room was closed with."""
        if self._closed is not None:
            raise self._closed()
        if self.waiting >= self._max_waiting():
            raise WaitingRoomFull(
                f"{self.waiting} requests wait already, as many as may. Send the request again later.",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
            )
        return Place(self, tenant, topic, deadline)

    def is_awaited(self, topic: Hashable) -> bool:
        """Whether somebody waits for it: then a newcomer must wait too, or he would overtake."""
        return topic in self._lines

    def ahead(self, topic: Hashable, tenant: str, promised: Mapping[str, int]) -> int:
        """How many would have their turns before a newcomer of the tenant; `promised` will come, and count as here."""
        line = self._lines.get(topic)
        lengths = dict(promised)
        for other, waiting in line.lengths() if line is not None else ():
            lengths[other] = lengths.get(other, 0) + waiting
        own = lengths.pop(tenant, 0)
        return own + sum(min(length, own + 1) for length in lengths.values())

    def wake(self, topic: Hashable) -> None:
        """Something changed: everybody who waits for it may try, in turn."""
        line = self._lines.get(topic)
        if line is not None:
            line.wake()

    def close(self, error: Callable[[], HeadgateError]) -> None:
        """End all waits, and those that would begin: each with an error of its own."""
        self._closed = error
        for line in tuple(self._lines.values()):
            line.end(error)

    def _line(self, topic: Hashable) -> _Line:
        line = self._lines.get(topic)
        if line is None:
            line = self._lines[topic] = _Line(self._loop, self._clock)
        return line

    def _forget(self, topic: Hashable) -> None:
        if self._lines[topic].is_empty:
            self._lines.pop(topic).close()


class Place:
    """One waiter's place. Leaving the block frees it, however it is left."""

    __slots__ = (
        "_deadline", "_entered", "_expiry", "_future", "_line", "_room", "_topic", "tenant", "until", "woken_meanwhile"
    )  # fmt: skip

    def __init__(self, room: WaitingRoom, tenant: str, topic: Hashable, deadline: float) -> None:
        self.tenant = tenant
        self.until = NOW
        self.woken_meanwhile = False  # something changed while this one tried: what it found is old
        self._room = room
        self._topic = topic
        self._deadline = deadline
        self._entered = 0.0
        self._line: _Line | None = None
        self._future: asyncio.Future[bool] | None = None
        self._expiry: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        room = self._room
        room.waiting += 1
        self._entered = room._clock.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        room = self._room
        room.waiting -= 1
        if self._expiry is not None:
            self._expiry.cancel()
        self._leave()
        room._waited(room._clock.monotonic() - self._entered)

    async def turn(self, until: float) -> bool:
        """Wait for a turn to try: at `until` at the latest if nobody of the tenant is before, sooner if woken.

        False when the deadline has come. Raises the error the room was closed with.
        """
        room, now = self._room, self._room._clock.monotonic()
        if room._closed is not None:
            raise room._closed()
        if now >= self._deadline:
            self._leave()
            return False
        if self._expiry is None:
            self._expiry = room._loop.call_later(self._deadline - now, self._expire)
        self._future = room._loop.create_future()
        if self._line is None:
            self._line = room._line(self._topic)
            self._line.join(self, until)
        else:
            self._line.failed(self, max(until, now + _SHORTEST_WAIT_SECONDS))
        return await self._future

    def call(self) -> None:
        """It is this one's turn. Who is on the way out hears nothing, and gives the turn back when he is gone."""
        if self._future is not None and not self._future.done():
            self._future.set_result(True)

    def end(self, error: HeadgateError) -> None:
        """The room closes. Who is trying just now hears of it at the next turn."""
        if self._future is not None and not self._future.done():
            self._future.set_exception(error)

    def _expire(self) -> None:
        if self._future is not None and not self._future.done():
            self._leave()
            self._future.set_result(False)

    def _leave(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.leave(self)
            self._room._forget(self._topic)


class _Line:
    """Those who wait for one topic: a queue for each tenant, of which the first alone may be called."""

    __slots__ = ("_clock", "_holder", "_loop", "_queues", "_ready", "_timer", "_timer_at")

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._loop = loop
        self._clock = clock
        self._queues: dict[str, deque[Place]] = {}  # by tenant, in the order of their turns
        self._ready: dict[str, None] = {}  # tenants whose first is to be called, in that order
        self._holder: Place | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    @property
    def is_empty(self) -> bool:
        return not self._queues

    def lengths(self) -> Iterator[tuple[str, int]]:
        """How many wait, by tenant."""
        return ((tenant, len(queue)) for tenant, queue in self._queues.items())

    def join(self, place: Place, until: float) -> None:
        """At the end of the tenant's queue, or of the tenants if it is the first."""
        queue = self._queues.get(place.tenant)
        if queue is not None:
            queue.append(place)
            return
        self._queues[place.tenant] = deque((place,))
        self._wait(place, until)

    def failed(self, place: Place, until: float) -> None:
        """It tried in vain, and stays the first of its tenant."""
        if self._holder is place:
            self._holder = None
        self._wait(place, NOW if place.woken_meanwhile else until)

    def leave(self, place: Place) -> None:
        """It is gone: with what it waited for, too late, or with its client. The next of its tenant may be called."""
        tenant = place.tenant
        queue = self._queues[tenant]
        was_first = queue[0] is place
        if was_first:
            queue.popleft()
        else:
            queue.remove(place)
        if self._holder is place:
            self._holder = None
            self._ready.pop(tenant, None)
            if queue:
                self._queues[tenant] = self._queues.pop(tenant)  # the other tenants are before it now
        if not queue:
            del self._queues[tenant]
            self._ready.pop(tenant, None)
        elif was_first:
            queue[0].until = NOW
            self._ready[tenant] = None
        self._call_next()

    def wake(self) -> None:
        for tenant, queue in self._queues.items():
            first = queue[0]
            if first is self._holder:
                first.woken_meanwhile = True
            else:
                first.until = NOW
                self._ready[tenant] = None
        self._call_next()

    def end(self, error: Callable[[], HeadgateError]) -> None:
        for queue in self._queues.values():
            for place in queue:
                place.end(error())
        self._ready.clear()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, place: Place, until: float) -> None:
        place.until = until
        if until <= self._clock.monotonic():
            self._ready[place.tenant] = None
            self._call_next()
            return
        if self._timer is None or until < self._timer_at:
            self._set_timer(until)
        self._call_next()

    def _call_next(self) -> None:
        if self._holder is None and self._ready:
            tenant = next(iter(self._ready))
            del self._ready[tenant]
            place = self._holder = self._queues[tenant][0]
            place.woken_meanwhile = False
            place.call()

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_later(max(0.0, at - self._clock.monotonic()), self._look)

    def _look(self) -> None:
        """A time has come that somebody waits for: call those whose time it is, and wait for the next."""
        self._timer = None
        now, earliest = self._clock.monotonic(), 0.0
        for tenant, queue in self._queues.items():
            first = queue[0]
            if first is self._holder or tenant in self._ready:
                continue
            if first.until <= now:
                self._ready[tenant] = None
            elif not earliest or first.until < earliest:
                earliest = first.until
        if earliest:
            self._set_timer(earliest)
        self._call_next()
