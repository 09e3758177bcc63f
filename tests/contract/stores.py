"""Every ledger, key store and journal, ready to be used: add one here and the contract is checked for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from headgate.billing_ports import Adjustments, BillingRecords
from headgate.clock import SystemClock
from headgate.ports import (
    AlertLog,
    Changes,
    IdempotencyStore,
    Journal,
    KeyStore,
    Leases,
    Ledger,
)
from headgate.route_ports import RouteRecords
from headgate.stores.database import Database
from headgate.stores.drain import Drain
from headgate.stores.journal import FileJournal
from headgate.stores.memory import MemoryJournal, MemoryKeyStore, MemoryLedger
from headgate.stores.memory_alerts import MemoryAlertLog
from headgate.stores.memory_billing import MemoryAdjustments, MemoryBillingRecords, MemoryLeases
from headgate.stores.memory_changes import MemoryChanges
from headgate.stores.memory_idempotency import MemoryIdempotencyStore
from headgate.stores.memory_routes import MemoryRouteRecords
from headgate.stores.sql import SqlLedger
from headgate.stores.sql_adjustments import SqlAdjustments
from headgate.stores.sql_alerts import SqlAlertLog
from headgate.stores.sql_billing import SqlBillingRecords
from headgate.stores.sql_changes import SqlChanges
from headgate.stores.sql_idempotency import SqlIdempotencyStore
from headgate.stores.sql_keys import SqlKeyStore
from headgate.stores.sql_leases import SqlLeases
from headgate.stores.sql_routes import SqlRouteRecords

JOURNAL_ROWS = 20  # about as many fit into the journals below


class TurnedClock(SystemClock):
    """Stands still until it is turned."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 1_790_000_000.0
        self.now = lambda: self.time


@dataclass(frozen=True)
class Stores:
    """What one process has. Several may be open on the same place."""

    journal: Journal
    ledger: Ledger
    keys: KeyStore
    alerts: AlertLog
    arrive: Callable[[], Awaitable[None]]  # until everything appended is in the ledger
    make_room: Callable[[], Awaitable[None]]  # let the bounded journal take rows again
    records: BillingRecords
    adjustments: Adjustments
    leases: Leases
    clock: TurnedClock  # of the leases
    changes: Changes
    idempotency: IdempotencyStore
    routes: RouteRecords


Open = Callable[[], AbstractAsyncContextManager[Stores]]


@asynccontextmanager
async def memory() -> AsyncIterator[Stores]:
    ledger = MemoryLedger(max_rows=JOURNAL_ROWS)
    journal = MemoryJournal(ledger)

    async def arrive() -> None:
        """Rows are there at once."""

    async def make_room() -> None:
        await ledger.compact(float(2**40))

    clock = TurnedClock()
    bills = (MemoryBillingRecords(ledger), MemoryAdjustments(), MemoryLeases(clock))
    keys, alerts, changes = MemoryKeyStore(), MemoryAlertLog(), MemoryChanges()
    others = (MemoryIdempotencyStore(), MemoryRouteRecords(ledger))
    yield Stores(journal, ledger, keys, alerts, arrive, make_room, *bills, clock, changes, *others)


def on_database(url: str, folder: Path) -> Open:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Stores]:
        database = Database(url, folder)
        journal = FileJournal(folder / "journal", SystemClock(), max_bytes=JOURNAL_ROWS * 1000, slots=10)
        ledger = SqlLedger(database)
        drain = Drain(journal, ledger, database.writing)
        try:
            clock = TurnedClock()
            bills = (SqlBillingRecords(database), SqlAdjustments(database), SqlLeases(database, clock))
            keys, alerts = SqlKeyStore(database), SqlAlertLog(database)
            changes, others = SqlChanges(database), (SqlIdempotencyStore(database), SqlRouteRecords(database))
            yield Stores(journal, ledger, keys, alerts, drain.flush, drain.flush, *bills, clock, changes, *others)
        finally:
            await drain.aclose()
            journal.close()
            await database.aclose()

    return opened
