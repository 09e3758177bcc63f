"""The drain: moves rows from the journal into the ledger, in the background, and adopts what dead processes left.

Of a dead process's table of what was under way, every request without a row becomes a provisional charge.

Reading, decoding and database work happen on one worker thread in small batches, so that the event loop, which shares
the interpreter lock with it, keeps streaming. Knows the journal's segments and the port `Ledger`; the ledger being
idempotent by id is what makes reading a segment twice harmless.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Protocol, TypeVar, TypeVarTuple, Unpack

from headgate.errors import HeadgateError
from headgate.metering import UnderWay
from headgate.ports import Ledger
from headgate.stores.frames import Batch, FrameReader
from headgate.stores.journal import FileJournal, Span
from headgate.stores.provisional import OrphanTable, OrphanTables
from headgate.stores.rows import Rows, records_of, rows_of
from headgate.stores.segments import Orphan, Orphanage, read_frames
from headgate.types import RequestRecord, UsageRow

log = logging.getLogger(__name__)
Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

INTERVAL_SECONDS = 0.25  # readers see rows within a second
ADOPT_SECONDS = 5.0  # how often dead processes are looked for
BACKOFF_SECONDS = 5.0  # the longest pause while the database is away
READ_FRAMES = 250  # decoding so many holds the interpreter lock for well under a millisecond
BATCH_FRAMES = 1000  # rows in a transaction


class Shelf(Protocol):
    """A ledger that takes rows as the journal has them."""

    async def store(self, rows: Rows) -> None:
        """Add rows, all or none; a row whose id is there already is left as it is. Raises DatabaseUnavailable."""

    async def known(self, ids: Sequence[str]) -> set[str]:
        """Those of at most 1000 ids that have a row. Raises DatabaseUnavailable."""


class Heir:
    """Hears what dead processes left, once it is in the ledger. This one does nothing about it."""

    def adopted(self, records: Sequence[RequestRecord]) -> None:
        """Rows of requests that were over."""

    def charged(self, records: Sequence[RequestRecord]) -> None:
        """Provisional charges for requests that were under way."""

    def freed(self, notes: Sequence[UnderWay]) -> None:
        """Requests between two attempts: they owe nothing, and have no row."""


class Drain:
    """Start it after the journal; `aclose` it before the ledger. Times are the event loop's."""

    def __init__(
        self,
        journal: FileJournal,
        ledger: Shelf,
        worker: Executor,
        *,
        sync_seconds: float = 0,
        heir: Heir | None = None,
    ) -> None:
        """`worker` has one thread. `sync_seconds` above 0: also flush the journal to the disk that often."""
        self.last_error = ""  # why the last attempt failed; empty when it succeeded
        self.damaged_bytes = 0  # skipped in segments since the start
        self.unknown_frames = 0  # left in place for a release that knows them
        self._journal = journal
        self._ledger = ledger
        self._worker = worker
        self._sync_seconds = sync_seconds
        self._heir = heir or Heir()
        self._reader = FrameReader()
        self._orphanage = Orphanage(journal.directory)
        self._tables = OrphanTables(journal.directory)
        self._turn = asyncio.Lock()  # one mover at a time: the background task or a flush
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def healthy(self) -> bool:
        """False while rows wait because the ledger cannot be written."""
        return not self.last_error

    @property
    def backlog_bytes(self) -> int:
        return self._journal.waiting_bytes

    @property
    def backlog_rows(self) -> int:
        return self._journal.waiting_frames

    def start(self) -> None:
        self._tasks.append(asyncio.create_task(self._run(), name="drain"))
        if self._sync_seconds > 0:
            self._tasks.append(asyncio.create_task(self._keep_synced(), name="journal-sync"))

    async def flush(self) -> None:
        """Return when everything appended so far is in the ledger. Raises what the ledger raises."""
        target = self._journal.appended_bytes
        async with self._turn:
            await self._move(target)

    async def adopt(self) -> None:
        """Move what dead processes left into the ledger now: rows, then charges for requests without one.

        Raises what the ledger raises.
        """
        async with self._turn:
            while (orphan := await self._work(self._orphanage.adopt, self._journal.paths())) is not None:
                await self._take_over(orphan)
            while (table := await self._work(self._tables.adopt, self._journal.paths())) is not None:
                await self._charge(table)

    async def aclose(self) -> None:
        """Stop, after one last attempt; rows that the ledger does not take now wait on disk for the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        try:
            await self.flush()
        except HeadgateError as error:
            log.warning("rows wait in the journal for the next start: %s", error, extra={"rows": self.backlog_rows})

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        pause = INTERVAL_SECONDS
        adopt_at = loop.time()
        while True:
            try:
                self._journal.look_at_disk()
                await self.flush()
                if loop.time() >= adopt_at:
                    await self.adopt()
                    adopt_at = loop.time() + ADOPT_SECONDS
                pause = INTERVAL_SECONDS
                self._report("")
            except Exception as error:  # whatever it was, rows go on waiting on disk and are tried again
                pause = min(pause * 2, BACKOFF_SECONDS)
                self._report(str(error) or type(error).__name__, is_known=isinstance(error, HeadgateError))
            await asyncio.sleep(pause)

    def _report(self, error: str, *, is_known: bool = False) -> None:
        """Once when it breaks and once when it is well again; in between the gauges tell. A known error says all that
        there is to say; another one needs its traceback."""
        if error and not self.last_error:
            log.error("rows wait in the journal: %s", error, extra={"rows": self.backlog_rows}, exc_info=not is_known)
        elif self.last_error and not error:
            log.info("the ledger takes rows again")
        self.last_error = error

    async def _move(self, target: int) -> None:
        while self._journal.drained_bytes < target and (span := self._journal.unread()) is not None:
            batch = await self._read_back(span) if span.rows is None else Batch(span.rows, [], span.end)
            await self._store(batch)
            self._journal.arrived(span.segment, batch.end, batch.frames)

    async def _read_back(self, span: Span) -> Batch:
        """The beginning of what is not in memory any more."""
        batch = await self._read(span, span.start)
        while batch.frames < BATCH_FRAMES and batch.end < span.end:
            batch.add(await self._read(span, batch.end))
        return batch

    def _read(self, span: Span, start: int) -> asyncio.Future[Batch]:
        return self._work(read_frames, self._reader, span.segment.descriptor, start, span.end, READ_FRAMES)

    async def _take_over(self, orphan: Orphan) -> None:
        rows = 0
        try:
            while (batch := await self._work(orphan.read, READ_FRAMES)) is not None:
                await self._store(batch)
                self._heir.adopted(records_of(batch.rows))
                rows += len(batch.rows.requests)
            unknown = await self._work(orphan.finish)
        finally:
            orphan.close()
        if unknown:
            self.unknown_frames += unknown
            self._orphanage.leave(orphan.path)
            log.error(
                "frames that this release does not know are left in the journal for a newer one",
                extra={"path": str(orphan.path), "frames": unknown},
            )
        log.info("adopted a dead process's journal", extra={"path": orphan.path.name, "rows": rows})

    async def _charge(self, table: OrphanTable) -> None:
        charges = 0
        try:
            for start in range(0, len(table.records), BATCH_FRAMES):
                records = table.records[start : start + BATCH_FRAMES]
                known = await self._ledger.known([record.id for record in records])
                records = [record for record in records if record.id not in known]
                if records:
                    await self._ledger.store(rows_of(records))
                    self._heir.charged(records)
                    charges += len(records)
            self._heir.freed(table.free)
            unknown = await self._work(table.finish)
        finally:
            table.close()
        name = table.path.name
        if unknown:
            self.unknown_frames += unknown
            self._tables.leave(table.path)
            log.error("requests under way that this release does not know are left for a newer one: %s", name)
        if table.torn:
            log.warning("unfinished or damaged notes of requests under way were dropped", extra={"notes": table.torn})
        if charges:
            log.warning("a process died with requests under way", extra={"path": name, "provisional_charges": charges})

    async def _store(self, batch: Batch) -> None:
        if batch.readable:
            await self._ledger.store(batch.rows)
        if batch.damaged_bytes:
            self.damaged_bytes += batch.damaged_bytes
            log.error("damaged bytes in the journal were skipped", extra={"bytes": batch.damaged_bytes})
        if batch.torn_bytes:
            log.warning("an unfinished write at the end of a journal was dropped", extra={"bytes": batch.torn_bytes})

    async def _keep_synced(self) -> None:
        """Group commit. On a thread of its own: it must go on while the worker waits for a database."""
        while True:
            await asyncio.sleep(self._sync_seconds)
            try:
                if self._journal.needs_sync:
                    await asyncio.to_thread(_sync, self._journal.unsynced())
            except OSError as error:
                log.error("the journal cannot be flushed to the disk: %s", error)

    def _work(self, function: Callable[[Unpack[Arguments]], Result], *arguments: *Arguments) -> asyncio.Future[Result]:
        return asyncio.get_running_loop().run_in_executor(self._worker, function, *arguments)


class CaughtUp:
    """What a ledger says was used, up to this moment: what waits in journals, and what dead processes left, is moved
    into it first. For counters that begin anew.
    """

    def __init__(self, ledger: Ledger, drain: Drain) -> None:
        self._ledger = ledger
        self._drain = drain

    async def used(
        self, by: str, tenant: str, *, since: float, until: float | None = None, without: Sequence[str] = ()
    ) -> list[UsageRow]:
        """As `ports.Ledger` has it. Raises DatabaseUnavailable."""
        await self._drain.flush()
        await self._drain.adopt()
        return await self._ledger.used(by, tenant, since=since, until=until, without=without)


def _sync(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
