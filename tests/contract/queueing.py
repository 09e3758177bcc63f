"""Every queue, ready to be used: add one here and the contract is checked for it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from headgate.clock import SystemClock
from headgate.queue_ports import Queue
from headgate.queues.opening import open_queue
from headgate.queues.sql import SqlQueue
from headgate.stores.database import Database

Open = Callable[[], AbstractAsyncContextManager[Queue]]
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Broker:
    """Opens receivers and senders of one empty queue. Several may be open at once."""

    open: Open
    lease_seconds: float
    is_in_order: bool = True  # what was sent first is delivered first
    knows_age: bool = True  # of messages that nobody has seen yet
    settle_seconds: float = 0.0  # a queue that was made so short a time ago may be lost with its broker
    stop: Callable[[], None] | None = None
    start: Callable[[], None] | None = None


def new_name() -> str:
    """Of a queue that nobody else uses."""
    return f"queue-{next(_NUMBERS)}"


def on_database(url: str, folder: Path, lease_seconds: float = 0.4, **more: Callable[[], None]) -> Broker:
    name = new_name()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Queue]:
        database = Database(url, folder)
        try:
            yield SqlQueue(database, SystemClock(), name, lease_seconds)
        finally:
            await database.aclose()

    return Broker(opened, lease_seconds, **more)


def at(address: str, kind: type[Queue], lease_seconds: float, **more: object) -> Broker:
    """Of a broker, whose address opens a queue of that kind."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Queue]:
        queue = open_queue(address, SystemClock(), lease_seconds)
        assert type(queue) is kind
        try:
            yield queue
        finally:
            await queue.aclose()

    return Broker(opened, lease_seconds, **more)  # type: ignore[arg-type]
