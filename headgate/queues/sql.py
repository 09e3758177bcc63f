"""A queue in the database: nothing else to run, durable as the ledger is.

A delivered message stays in its row with a lease; the token is the fence, so that a receiver who was too slow changes
nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, or_, select, text, update

from headgate.errors import DatabaseUnavailable
from headgate.ports import Clock
from headgate.queue_errors import QueueUnavailable
from headgate.queue_types import Headers, Message, QueueBacklog
from headgate.stores.cleaning import clean
from headgate.stores.database import Database
from headgate.stores.job_counts import database_now
from headgate.stores.queue_tables import queue_messages, queue_sent

Done = TypeVar("Done")

LEASE_SECONDS = 30.0
POLL_SECONDS = 0.2  # between looks for what other processes sent
REMEMBERED_SECONDS = 24 * 3600.0  # a dedupe id
_REMEMBER = "INSERT INTO queue_sent (queue, dedupe_id, at) VALUES (:queue, :dedupe_id, :at) ON CONFLICT DO NOTHING"
_HEADERS = msgspec.json.Decoder(Headers)


class SqlQueue:
    """The port `Queue` on a `Database`, which it does not close."""

    drops_duplicates = True

    def __init__(self, database: Database, clock: Clock, name: str, lease_seconds: float = LEASE_SECONDS) -> None:
        self._database = database
        self._clock = clock
        self._name = name
        self._lease_seconds = lease_seconds
        self._sent = asyncio.Event()

    async def send(self, body: bytes, dedupe_id: str = "", delay_seconds: float = 0.0, headers: Headers = ()) -> None:
        key = clean(dedupe_id)

        def work(connection: Connection) -> None:
            now = database_now(connection, self._clock)
            if key and not self._is_first(connection, key, now):
                return
            connection.execute(
                insert(queue_messages).values(
                    queue=self._name, body=body, headers=msgspec.json.encode(headers).decode(), dedupe_id=key,
                    sent_at=now, visible_at=now + delay_seconds, token=0, leased=0, deliveries=0,
                )
            )  # fmt: skip

        await self._write(work)
        self._sent.set()

    async def receive(self, limit: int, wait_seconds: float) -> list[Message]:
        until = self._clock.monotonic() + wait_seconds
        while True:
            self._sent.clear()
            found = await self._claim(limit) if limit else []
            left = until - self._clock.monotonic()
            if found or left <= 0:
                return found
            try:
                async with asyncio.timeout(min(left, POLL_SECONDS)):
                    await self._sent.wait()
            except TimeoutError:
                pass

    async def extend(self, message: Message) -> bool:
        def work(connection: Connection) -> bool:
            until = database_now(connection, self._clock) + self._lease_seconds
            change = update(queue_messages).where(*_this(message)).values(visible_at=until)
            return connection.execute(change).rowcount == 1

        return await self._write(work)

    async def ack(self, messages: Sequence[Message]) -> None:
        def work(connection: Connection) -> None:
            for message in messages:
                connection.execute(delete(queue_messages).where(*_this(message)))

        await self._write(work)

    async def release(self, message: Message, delay_seconds: float = 0.0) -> None:
        def work(connection: Connection) -> bool:
            at = database_now(connection, self._clock) + delay_seconds
            change = update(queue_messages).where(*_this(message)).values(visible_at=at, leased=0)
            return connection.execute(change).rowcount == 1

        await self._write(work)
        self._sent.set()

    async def backlog(self) -> QueueBacklog:
        def work(connection: Connection) -> QueueBacklog:
            now = database_now(connection, self._clock)
            waits = or_(queue_messages.c.leased == 0, queue_messages.c.visible_at <= now)
            counted = select(func.count(), func.min(queue_messages.c.sent_at))
            count, oldest = connection.execute(counted.where(queue_messages.c.queue == self._name, waits)).one()
            return QueueBacklog(int(count), 0.0 if oldest is None else max(0.0, now - oldest))

        return await self._write(work)

    async def aclose(self) -> None:
        """What it had comes back when the leases run out."""

    # --- parts ---

    async def _write(self, work: Callable[[Connection], Done]) -> Done:
        try:
            return await self._database.run(self._database.jobs, work, writes=True)
        except DatabaseUnavailable as error:
            raise QueueUnavailable(f"The queue {self._name} is in the database. {error.message}") from error

    async def _claim(self, limit: int) -> list[Message]:
        def work(connection: Connection) -> list[Message]:
            now = database_now(connection, self._clock)
            due = (queue_messages.c.queue == self._name, queue_messages.c.visible_at <= now)
            query = select(queue_messages).where(*due).order_by(queue_messages.c.visible_at, queue_messages.c.sequence)
            found = connection.execute(query.limit(limit).with_for_update(skip_locked=True)).all()
            if found:
                taken = update(queue_messages).where(queue_messages.c.sequence.in_([row.sequence for row in found]))
                counted = {name: queue_messages.c[name] + 1 for name in ("token", "deliveries")}
                connection.execute(taken.values(visible_at=now + self._lease_seconds, leased=1, **counted))
            return [_message(row) for row in found]

        return await self._write(work)

    def _is_first(self, connection: Connection, key: str, now: float) -> bool:
        connection.execute(delete(queue_sent).where(queue_sent.c.at < now - REMEMBERED_SECONDS))
        entered = connection.execute(text(_REMEMBER), {"queue": self._name, "dedupe_id": key, "at": now})
        return entered.rowcount == 1


def _this(message: Message) -> tuple[Any, ...]:
    """The row, as long as it is this delivery's."""
    its = (queue_messages.c.sequence == int(message.id), queue_messages.c.token == int(message.receipt))
    return (*its, queue_messages.c.leased == 1)


def _message(row: Row[Any]) -> Message:
    return Message(
        id=str(row.sequence),
        body=bytes(row.body),
        receipt=str(row.token + 1),
        sent_at=row.sent_at,
        deliveries=row.deliveries + 1,
        dedupe_id=row.dedupe_id,
        headers=_HEADERS.decode(row.headers),
    )
