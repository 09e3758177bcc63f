"""One event log per request: what was sent, numbered, for one writer and any number of readers.

The reader at the other end of the caller's connection is fed directly by the pipeline; the log is what everybody else
reads from: a request that asked for the same, a client that comes back. It is bounded: what overflows is dropped from
the front, and a reader who is too late is told so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from headgate.errors import HeadgateError


class Fenced(RuntimeError):
    """Another writer has taken over; the old one must stop."""


class EventsDropped(LookupError):
    """The events asked for are no longer kept."""


class EventLog:
    """Events 1, 2, 3, ... of one request and its end. Keeps at most `limit_bytes` (0: only counts)."""

    __slots__ = ("_epoch", "_error", "_events", "_first", "_kept_bytes", "_limit_bytes", "_waiting", "closed", "last")

    def __init__(self, limit_bytes: int = 0) -> None:
        self._limit_bytes = limit_bytes
        self._events: deque[bytes] = deque()
        self._first = 1  # number of the oldest event kept
        self._kept_bytes = 0
        self._epoch = 0
        self._error: HeadgateError | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self.last = 0  # number of the newest event
        self.closed = False

    @property
    def is_complete(self) -> bool:
        """It has ended, and not with an error."""
        return self.closed and self._error is None

    @property
    def has_dropped(self) -> bool:
        """Whether events are not kept any more."""
        return self._first > 1

    def kept(self) -> list[bytes]:
        """The events that are kept."""
        return list(self._events)

    def claim(self) -> int:
        """Become the writer; whoever was it before is fenced off. Returns the epoch to write with."""
        self._epoch += 1
        return self._epoch

    def append(self, epoch: int, event: bytes) -> int:
        """Add an event and return its number. Raises Fenced."""
        if epoch != self._epoch or self.closed:
            raise Fenced(f"epoch {epoch} may not write, the log is in epoch {self._epoch}")
        self.last += 1
        if self._limit_bytes:
            self._keep(event)
            self._wake()
        else:
            self._first = self.last + 1
        return self.last

    def close(self, epoch: int, error: HeadgateError | None = None) -> None:
        """The terminal event: readers end, with an error if there is one. Raises Fenced."""
        if epoch != self._epoch:
            raise Fenced(f"epoch {epoch} may not close, the log is in epoch {self._epoch}")
        self.closed, self._error = True, error
        self._wake()

    async def read(self, after: int = 0) -> AsyncIterator[tuple[int, bytes]]:
        """Yield (number, event) from the one after `after` to the end, waiting for those to come.

        Raises EventsDropped if they are not kept any more, and the error the request ended with.
        """
        number = after
        while True:
            while number < self.last:
                number += 1
                if number < self._first:
                    raise EventsDropped(f"event {number} is not kept; the oldest is {self._first}")
                yield number, self._events[number - self._first]
            if self.closed:
                if self._error is not None:
                    raise self._error
                return
            news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(news)
            await news

    def _keep(self, event: bytes) -> None:
        self._events.append(event)
        self._kept_bytes += len(event)
        while self._kept_bytes > self._limit_bytes and len(self._events) > 1:
            self._kept_bytes -= len(self._events.popleft())
            self._first += 1

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for news in waiting:
            if not news.done():
                news.set_result(None)
