"""The composition root of commands that work on the database directly, beside a server or without one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from headgate.admin.settings import Settings
from headgate.alert_types import Alert
from headgate.alerts.channel import Channel
from headgate.alerts.desk import record_for
from headgate.assembly import bookkeeping, parts
from headgate.assembly.where import Where
from headgate.clock import SystemClock
from headgate.config.load import load
from headgate.config.schema import Config
from headgate.errors import NotFound
from headgate.gateway.accounts import Accounts
from headgate.ports import Clock, Ledger
from headgate.queues.opening import open_queue
from headgate.reconciling.desk import Reconciler
from headgate.stores.database import SQLITE_FILE, Database
from headgate.stores.sql import SqlLedger
from headgate.stores.sql_alerts import SqlAlertLog
from headgate.stores.sql_changes import SqlChanges
from headgate.stores.sql_keys import SqlKeyStore

JOURNAL_DIRECTORY = "journal"  # in data_dir


class Books(msgspec.Struct, frozen=True):
    """Keys, settings and ledger. A running server sees changes within 2 seconds."""

    config: Config  # the file's; `settings` has the one in force
    settings: Settings
    accounts: Accounts
    ledger: Ledger
    clock: Clock
    reconciler: Reconciler
    made_in: Path | None  # the data directory, if there was no database in it before


@asynccontextmanager
async def open_books(where: Where, environment: Mapping[str, str], *, must_exist: bool = False) -> AsyncIterator[Books]:
    """Open the database of a configuration; one in a file is made if it is not there, unless it must be.

    Raises ConfigInvalid, DatabaseUnavailable, InvalidRequest, MissingExtra, NotFound.
    """
    config = load(where.config_path, environment).config
    clock = SystemClock()
    data_dir = Path(where.data_dir or config.server.data_dir)
    made_in = _without_database(data_dir) if config.database == "sqlite" else None
    if made_in is not None and must_exist:
        raise NotFound(
            f"There is no database in {made_in}: nothing was kept there yet. If it is elsewhere, name it with --config "
            "or --data-dir."
        )
    database = Database(config.database, data_dir)
    try:
        accounts, settings = Accounts(SqlKeyStore(database), clock), Settings(SqlChanges(database), config)
        await settings.refresh()
        parts.configure(accounts, settings.in_force.config)
        await accounts.refresh()
        raised: list[Alert] = []
        books = bookkeeping.open_bookkeeping(database, clock, lambda: config, environment, raised.append)
        yield Books(config, settings, accounts, SqlLedger(database), clock, books.reconciler, made_in)
        if raised:  # a server takes them over, or the next one that starts
            channels = parts.alert_channels(config, environment)
            for alert in raised:
                await SqlAlertLog(database).claim(record_for(alert, channels), clock.now())
    finally:
        await database.aclose()


def _without_database(data_dir: Path) -> Path | None:
    return None if (data_dir / SQLITE_FILE).exists() else data_dir.absolute()


class Telling(msgspec.Struct, frozen=True):
    """Whom alerts go to."""

    channels: tuple[Channel, ...]
    clock: Clock


@asynccontextmanager
async def open_channels(config_path: str | None, environment: Mapping[str, str]) -> AsyncIterator[Telling]:
    """The channels of a configuration's alerts; opens no database. Raises ConfigInvalid."""
    channels = parts.alert_channels(load(config_path, environment).config, environment)
    try:
        yield Telling(channels, SystemClock())
    finally:
        for channel in channels:
            await channel.aclose()


async def send_again(address: str, body: bytes, dedupe_id: str) -> None:
    """Send a message to a queue. Raises InvalidRequest, MissingExtra, QueueUnavailable."""
    queue = open_queue(address, SystemClock())
    try:
        await queue.send(body, dedupe_id)
    finally:
        await queue.aclose()
