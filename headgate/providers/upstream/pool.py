"""The connections to one endpoint: bounded, reused last-in-first-out, with a bounded queue when all of them are busy.

It owns how many sockets are open and whose turn it is. How a connection is made belongs to `connect`, what is said on
it to `connection`. A slot (one of `max_connections`) is taken before a connection is opened and freed when it is gone;
a slot or connection that comes free goes straight to the longest waiting request, so nobody overtakes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress

from headgate.errors import UpstreamBusy, UpstreamUnreachable
from headgate.providers.upstream.connect import Connector
from headgate.providers.upstream.connection import Connection, Response, StaleConnection
from headgate.providers.upstream.target import Target
from headgate.types import Frozen

log = logging.getLogger(__name__)


class PoolSettings(Frozen, frozen=True, gc=False):
    """The bounds of each endpoint's pool."""

    max_connections: int = 1000
    max_waiting: int = 1000  # requests that wait for a connection; more are refused at once
    keep_alive_seconds: float = 60.0  # an idle connection is kept this long


class Pool:
    """The connections to one endpoint of one deployment."""

    __slots__ = (
        "_closing",
        "_connector",
        "_idle",
        "_loop",
        "_settings",
        "_slots_taken",
        "_target",
        "_timer",
        "_waiters",
    )

    def __init__(self, target: Target, connector: Connector, settings: PoolSettings) -> None:
        self._target = target
        self._connector = connector
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._idle: dict[Connection, float] = {}  # -> kept until, on the loop's clock; the newest is last
        self._slots_taken = 0
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False

    @property
    def unused(self) -> bool:
        """Whether nothing would be lost by forgetting this pool."""
        return not self._slots_taken

    async def send(self, message: bytes) -> Response:
        """Send one whole request and wait for the head of its answer.

        A kept connection that turns out to have been closed by the other side before a byte of the answer is replaced
        once. Raises UpstreamBusy, UpstreamUnreachable, ConnectTimeout, StreamIncomplete or StreamMalformed.
        """
        connection = self._take_idle() or await self._acquire()
        try:
            return await connection.send(message)
        except StaleConnection:
            log.debug("%s had closed a kept connection; asking again on a new one", self._target.address)
        self._close_idle()  # they have been idle for longer still
        connection = await self._acquire()
        return await connection.send(message)

    def close(self) -> None:
        """Close idle connections, refuse waiting and new requests; busy connections close when they are done."""
        self._closing = True
        self._close_idle()
        while (waiter := self._next_waiter()) is not None:
            waiter.set_exception(self._closed())

    # --- called by connections --------------------------------------------------------------------------------------

    def take_back(self, connection: Connection) -> None:
        """A whole connection is free: it goes to the longest waiting request, or rests."""
        if self._closing:
            connection.abort()
        elif (waiter := self._next_waiter()) is not None:
            waiter.set_result(connection)
        else:
            self._idle[connection] = until = self._loop.time() + self._settings.keep_alive_seconds
            if self._timer is None:
                self._timer = self._loop.call_at(until, self._expire)

    def forget(self, connection: Connection) -> None:
        """A connection is gone, and its slot free."""
        self._idle.pop(connection, None)
        self._free_slot()

    # --- taking connections -----------------------------------------------------------------------------------------

    def _take_idle(self) -> Connection | None:
        if not self._idle:
            return None
        connection, until = self._idle.popitem()
        if until > self._loop.time():
            return connection
        connection.abort()
        return None

    async def _acquire(self) -> Connection:
        if self._closing:
            raise self._closed()
        if self._slots_taken < self._settings.max_connections:
            self._slots_taken += 1
        else:
            connection = await self._wait()
            if connection is not None:
                return connection
        return await self._open()

    async def _open(self) -> Connection:
        """Open a connection on a slot that is already taken."""
        try:
            connection = await self._connector.open(self._target)
            if connection.closed:
                raise UpstreamUnreachable(f"{self._target.address} accepted the connection and closed it at once.")
        except BaseException:
            self._free_slot()
            raise
        connection.adopt(self)
        return connection

    async def _wait(self) -> Connection | None:
        """The request's turn: a connection, or None for the slot of one that is gone."""
        if len(self._waiters) >= self._settings.max_waiting:
            raise self._refusal(f"{len(self._waiters)} requests are waiting for one already")
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiters.append(waiter)
        seconds = self._connector.settings.connect_seconds
        try:
            async with asyncio.timeout(seconds):
                try:
                    return await waiter
                except asyncio.CancelledError:
                    self._leave(waiter)
                    raise
        except TimeoutError:
            raise self._refusal(f"none came free within connect_seconds ({seconds:g})") from None

    def _leave(self, waiter: asyncio.Future[Connection | None]) -> None:
        """A request stops waiting; what it may have been handed in the same instant goes to the next one."""
        if waiter.cancelled() or waiter.exception() is not None:
            with suppress(ValueError):
                self._waiters.remove(waiter)
        elif (connection := waiter.result()) is None:
            self._free_slot()
        elif not connection.closed:
            self.take_back(connection)

    def _next_waiter(self) -> asyncio.Future[Connection | None] | None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                return waiter
        return None

    def _free_slot(self) -> None:
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_result(None)
        else:
            self._slots_taken -= 1

    def _refusal(self, why: str) -> UpstreamBusy:
        return UpstreamBusy(
            f"All {self._settings.max_connections} connections to {self._target.address} are busy and {why}. "
            "Raise the deployment's max_connections if the provider can take more."
        )

    def _closed(self) -> UpstreamUnreachable:
        return UpstreamUnreachable(f"headgate has closed its connections to {self._target.address}.")

    # --- idle connections -------------------------------------------------------------------------------------------

    def _expire(self) -> None:
        """Close what has been idle for too long, and look again when the next one will be."""
        self._timer = None
        now = self._loop.time()
        for connection, until in list(self._idle.items()):
            if until > now:
                self._timer = self._loop.call_at(until, self._expire)
                return
            connection.abort()

    def _close_idle(self) -> None:
        for connection in list(self._idle):
            connection.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
