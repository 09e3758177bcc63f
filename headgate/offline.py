"""The composition root of commands that work on the database directly, beside a server or without one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from headgate import assembly, bookkeeping
from headgate.admin.settings import Settings
from headgate.alerts.channel import Channel
from headgate.clock import SystemClock
from headgate.config.load import load
from headgate.config.schema import Config
from headgate.gateway.accounts import Accounts
from headgate.ports import Clock, Ledger
from headgate.queues.opening import open_queue
from headgate.reconciling.desk import Reconciler
from headgate.stores.database import Database
from headgate.stores.sql import SqlLedger
from headgate.stores.sql_changes import SqlChanges
from headgate.stores.sql_keys import SqlKeyStore

JOURNAL_DIRECTORY = "journal"  # in data_dir


class Where(msgspec.Struct, frozen=True):
    """Which database: that of a configuration file, or of a data directory."""

    config_path: str | None
    data_dir: str | None


class Books(msgspec.Struct, frozen=True):
    """Keys, settings and ledger. A running server sees changes within 2 seconds."""

    config: Config  # the file's; `settings` has the one in force
    settings: Settings
    accounts: Accounts
    ledger: Ledger
    clock: Clock
    reconciler: Reconciler


@asynccontextmanager
async def open_books(where: Where, environment: Mapping[str, str]) -> AsyncIterator[Books]:
    """Open the database of a configuration. Raises ConfigInvalid, DatabaseUnavailable, InvalidRequest, MissingExtra."""
    config = load(where.config_path, environment).config
    clock = SystemClock()
    database = Database(config.database, Path(where.data_dir or config.server.data_dir))
    try:
        accounts, settings = Accounts(SqlKeyStore(database), clock), Settings(SqlChanges(database), config)
        await settings.refresh()
        assembly.configure(accounts, settings.in_force.config)
        await accounts.refresh()
        books = bookkeeping.open_bookkeeping(database, clock, lambda: config, environment)
        yield Books(config, settings, accounts, SqlLedger(database), clock, books.reconciler)
    finally:
        await database.aclose()


class Telling(msgspec.Struct, frozen=True):
    """Whom alerts go to."""

    channels: tuple[Channel, ...]
    clock: Clock


@asynccontextmanager
async def open_channels(config_path: str | None, environment: Mapping[str, str]) -> AsyncIterator[Telling]:
    """The channels of a configuration's alerts; opens no database. Raises ConfigInvalid."""
    channels = assembly.alert_channels(load(config_path, environment).config, environment)
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
