"""Ledgers that misbehave, as far as the drain can see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from headgate.clock import SystemClock
from headgate.errors import DatabaseUnavailable
from headgate.stores.drain import Drain, Heir
from headgate.stores.journal import FileJournal
from headgate.stores.memory import MemoryLedger
from headgate.types import RequestRecord


class UnsteadyLedger(MemoryLedger):
    """Goes away, and sometimes only its answer does."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.answers_lost = 0  # so many of the next writes succeed and say that they failed
        self.failed = asyncio.Event()

    async def write(self, records: Sequence[RequestRecord], undelivered: Sequence[str] = ()) -> None:
        if self.away:
            self.failed.set()
            raise DatabaseUnavailable("The database did not answer: away for a test")
        await super().write(records, undelivered)
        if self.answers_lost:
            self.answers_lost -= 1
            raise DatabaseUnavailable("The database did not answer: the connection broke")

    async def known(self, ids: Sequence[str]) -> set[str]:
        if self.away:
            raise DatabaseUnavailable("The database did not answer: away for a test")
        return await super().known(ids)

    async def rows(self) -> list[RequestRecord]:
        return (await self.page(10**9))[0]


async def until(condition: Callable[[], bool]) -> None:
    """For what is done on another thread or by a background task, and tells nobody."""
    while not condition():  # noqa: ASYNC110  # there is no event to wait for
        await asyncio.sleep(0.005)


@dataclass(frozen=True)
class Process:
    """What one gateway process has of journal and drain."""

    journal: FileJournal
    drain: Drain


def open_process(
    folder: Path,
    ledger: MemoryLedger,
    worker: ThreadPoolExecutor,
    *,
    max_bytes: int = 10**7,
    sync_seconds: float = 0,
    heir: Heir | None = None,
) -> Process:
    """With segments of about four rows, and slots for 50 requests."""
    journal = FileJournal(folder, SystemClock(), segment_bytes=3000, max_bytes=max_bytes, slots=50)
    return Process(journal, Drain(journal, ledger, worker, sync_seconds=sync_seconds, heir=heir))


@asynccontextmanager
async def process(
    folder: Path,
    ledger: MemoryLedger,
    *,
    max_bytes: int = 10**7,
    sync_seconds: float = 0,
    heir: Heir | None = None,
) -> AsyncIterator[Process]:
    """Closed properly at the end."""
    with ThreadPoolExecutor(1) as worker:
        opened = open_process(folder, ledger, worker, max_bytes=max_bytes, sync_seconds=sync_seconds, heir=heir)
        try:
            yield opened
        finally:
            await opened.drain.aclose()
            opened.journal.close()
