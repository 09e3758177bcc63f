"""One SQL database: its engine, the threads that may block on it, and what its failures are called.

SQLite in `data_dir` or PostgreSQL, through SQLAlchemy's synchronous Core. Work is a function of a connection; it runs
inside one transaction on one of four single threads, so that a long report delays neither the drain, nor the check
for revoked keys, nor jobs. Knows no tables but those of the migrations, which it applies before the first work,
whenever the database first answers.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DataError, IntegrityError, OperationalError, SQLAlchemyError

from headgate.errors import DatabaseUnavailable, DataDirUnusable, IncompatibleDatabase, InvalidRequest, MissingExtra
from headgate.stores.migrations import migrate

Result = TypeVar("Result")

SQLITE_FILE = "headgate.db"
SQLITE_OLDEST = (3, 32, 0)  # allows the number of parameters that the ledger's inserts have
BUSY_SECONDS = 5.0  # how long SQLite waits for another process's transaction
CHECKPOINT_PAGES = 4000  # 16 MB: a page that is changed often meanwhile is moved into the database once
DEADLOCKS = ("40P01", "40001")  # PostgreSQL's codes for a transaction that was ended in favour of another
MOST_DEADLOCKS = 3
RETRY_SECONDS = 1.0  # what callers are told to wait when it did not answer
LANES = 4  # threads, and therefore connections


class Unstorable(Exception):
    """The database is well but refuses a value."""


class Database:
    """Shared by the ledger and the key store; close it last."""

    def __init__(
        self, url: str, data_dir: Path, *, power_safe: bool = False, busy_seconds: float = BUSY_SECONDS
    ) -> None:
        """`url` as in the configuration: `sqlite` or `postgresql://...`. Connects to nothing yet.

        `busy_seconds`: how long SQLite waits for another process's transaction. `power_safe`: a commit is on the disk
        when it returns, not only in the operating system's hands (PostgreSQL always). Raises MissingExtra,
        DataDirUnusable, IncompatibleDatabase (an SQLite library that is too old) or InvalidRequest (not a database
        URL).
        """
        self.writing = ThreadPoolExecutor(1, "headgate-ledger-write")
        self.reading = ThreadPoolExecutor(1, "headgate-ledger-read")
        self.keys = ThreadPoolExecutor(1, "headgate-keys")
        self.jobs = ThreadPoolExecutor(1, "headgate-jobs")
        self._engine, self._password = _engine(url, data_dir / SQLITE_FILE, power_safe, busy_seconds)
        self._migrating = threading.Lock()
        self._migrated = False

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    async def prepare(self) -> None:
        """Connect and bring the tables up to date. Raises DatabaseUnavailable or IncompatibleDatabase."""
        await self.run(self.keys, lambda connection: None)

    async def run(
        self, lane: ThreadPoolExecutor, work: Callable[[Connection], Result], *, writes: bool = False
    ) -> Result:
        """Do `work` in one transaction; `writes` takes SQLite's write lock at once, so that it cannot fail half way.

        Raises DatabaseUnavailable, IncompatibleDatabase or Unstorable.
        """
        return await asyncio.get_running_loop().run_in_executor(lane, self._perform, work, writes)

    async def aclose(self) -> None:
        """Finish the work under way and disconnect."""
        for lane in (self.writing, self.reading, self.keys, self.jobs):
            await asyncio.to_thread(lane.shutdown)
        self._engine.dispose()

    def _perform(self, work: Callable[[Connection], Result], writes: bool) -> Result:
        try:
            with self._migrating:
                if not self._migrated:
                    self._transact(migrate, writes=True)
                    self._migrated = True
            return self._repeat(work, writes)
        except (DataError, IntegrityError, OverflowError, ValueError) as error:
            raise Unstorable(self._sentence(error)) from error
        except SQLAlchemyError as error:
            message = f"The database did not answer: {self._sentence(error)}"
            raise DatabaseUnavailable(message, retry_after_seconds=RETRY_SECONDS) from error

    def _repeat(self, work: Callable[[Connection], Result], writes: bool) -> Result:
        """PostgreSQL ends one of two transactions that wait for each other: it did nothing, and is done again."""
        for _ in range(MOST_DEADLOCKS):
            try:
                return self._transact(work, writes)
            except OperationalError as error:
                if getattr(error.orig, "sqlstate", None) not in DEADLOCKS:
                    raise
        return self._transact(work, writes)

    def _transact(self, work: Callable[[Connection], Result], writes: bool) -> Result:
        with self._engine.connect() as connection:
            connection.execution_options(writes=writes)
            with connection.begin():
                return work(connection)

    def _sentence(self, error: Exception) -> str:
        """The driver's own first line, without the password should it ever be in there."""
        line = (str(getattr(error, "orig", None) or error).strip() or type(error).__name__).split("\n", 1)[0]
        return line.replace(self._password, "***") if self._password else line


def _engine(url: str, sqlite_file: Path, power_safe: bool, busy_seconds: float) -> tuple[Engine, str]:
    """The engine, and the password in its URL."""
    if url == "sqlite":
        return _sqlite(sqlite_file, power_safe, busy_seconds), ""
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = URL.create("unknown")
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise InvalidRequest(
            "database is neither `sqlite` nor a URL like postgresql://user@host/name.", param="database"
        )
    if importlib.util.find_spec("psycopg") is None:
        raise MissingExtra("A PostgreSQL database needs headgate[postgres]: pip install 'headgate[postgres]'.")
    return _postgresql(parsed), str(parsed.password or "")


def _postgresql(url: URL) -> Engine:
    """A server that vanished without a word is noticed within about ten seconds, wherever we wait for it."""
    timeouts = {
        "connect_timeout": "5",
        "tcp_user_timeout": "10000",
        "keepalives_idle": "5",
        "keepalives_interval": "2",
        "keepalives_count": "3",
        "application_name": "headgate",
    }
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={name: value for name, value in timeouts.items() if name not in url.query},
        pool_size=LANES,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,
    )


def _sqlite(path: Path, power_safe: bool, busy_seconds: float) -> Engine:
    if sqlite3.sqlite_version_info < SQLITE_OLDEST:
        raise IncompatibleDatabase(
            f"This Python has SQLite {sqlite3.sqlite_version}, headgate needs {'.'.join(map(str, SQLITE_OLDEST))}."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # SQLite would let everybody read it
    except OSError as error:
        raise DataDirUnusable(f"The database cannot be made in server.data_dir: {error}.") from error
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        connect_args={"timeout": busy_seconds, "check_same_thread": False},
        pool_size=LANES,
        max_overflow=0,
        hide_parameters=True,
    )
    pragmas = (
        "auto_vacuum = INCREMENTAL",  # first: it takes effect only before the file has content
        "journal_mode = WAL",
        f"synchronous = {'FULL' if power_safe else 'NORMAL'}",
        f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
        f"journal_size_limit = {64 * 2**20}",
    )

    @event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, _: object) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver's guess
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")

    return engine
