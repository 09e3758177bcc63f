"""Signs between processes: through any queue, or through what PostgreSQL has for that, LISTEN and NOTIFY."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from headgate.errors import MissingExtra
from headgate.queue_errors import QueueUnavailable
from headgate.queue_ports import Queue

if TYPE_CHECKING:
    from psycopg import AsyncConnection

CHANNEL = "headgate_jobs"
MOST_UNHEARD = 100
LOOK_EVERY = 20
_WAIT_SECONDS = 20.0
_MOST_AT_ONCE = 100
_CONNECT_SECONDS = 5
# A server that vanished without a word would be listened to for hours.
_NOTICED: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class QueueSignal:
    """The port `Signal` on a queue: one of those who wait hears each. It is acknowledged at once.

    While nobody hears them, signs do not pile up: with `MOST_UNHEARD` in the queue another would say nothing new, and
    whoever comes looks into the database anyway. A process notices after `LOOK_EVERY` signs.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._given = 0
        self._is_full = False

    async def give(self) -> None:
        if self._is_full and await self._is_unheard():
            return
        self._is_full = False
        await self._queue.send(b"jobs")
        self._given += 1
        if self._given % LOOK_EVERY == 1:
            self._is_full = await self._is_unheard()

    async def wait(self) -> None:
        while not (heard := await self._queue.receive(_MOST_AT_ONCE, _WAIT_SECONDS)):
            pass
        await self._queue.ack(heard)

    async def aclose(self) -> None:
        await self._queue.aclose()

    async def _is_unheard(self) -> bool:
        return (await self._queue.backlog()).depth >= MOST_UNHEARD


class PostgresSignal:
    """The port `Signal` on PostgreSQL: all who wait hear each. Two connections of its own, as one is always waiting."""

    def __init__(self, url: str) -> None:
        """`url` as in the configuration. Raises MissingExtra."""
        try:
            import psycopg
        except ImportError:
            raise MissingExtra("A PostgreSQL database needs headgate[postgres].") from None
        self._failure = psycopg.Error
        self._url = url
        self._giving: AsyncConnection | None = None
        self._waiting: AsyncConnection | None = None

    async def give(self) -> None:
        try:
            if self._giving is None or self._giving.closed:
                self._giving = await self._connect()
            await self._giving.execute("SELECT pg_notify(%s, '')", (CHANNEL,))
        except (self._failure, OSError) as error:
            raise self._trouble(error) from error

    async def wait(self) -> None:
        try:
            if self._waiting is None or self._waiting.closed:
                self._waiting = await self._connect()
                await self._waiting.execute(f"LISTEN {CHANNEL}")
                return  # what was given before is not told: look
            async for _ in self._waiting.notifies(stop_after=1):
                return
        except (self._failure, OSError) as error:
            raise self._trouble(error) from error

    async def aclose(self) -> None:
        for connection in (self._giving, self._waiting):
            if connection is not None:
                await connection.close()
        self._giving = self._waiting = None

    async def _connect(self) -> AsyncConnection:
        from psycopg import AsyncConnection

        async with asyncio.timeout(_CONNECT_SECONDS):
            return await AsyncConnection.connect(
                self._url, autocommit=True, connect_timeout=_CONNECT_SECONDS, **_NOTICED
            )

    def _trouble(self, error: Exception) -> QueueUnavailable:
        return QueueUnavailable(f"PostgreSQL takes no signs: {type(error).__name__}. Start it, or correct `database`.")
