"""What is particular to the SQL stores: values no database holds, commits out of order, failures, room on the disk."""

from __future__ import annotations

import asyncio
import math
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, text

from headgate.clock import SystemClock
from headgate.errors import Conflict, DatabaseUnavailable, InvalidRequest
from headgate.stores import locks
from headgate.stores.database import SQLITE_FILE, Database
from headgate.stores.drain import Drain
from headgate.stores.inserts import inserter
from headgate.stores.journal import FileJournal
from headgate.stores.rows import REQUEST_COLUMNS, UNTOLD, attempt_record, request_row
from headgate.stores.schema import requests
from headgate.stores.sql import SqlLedger
from headgate.stores.sql_keys import SqlKeyStore
from headgate.types import AttemptRecord, Outcome
from tests.servers import PostgresqlServer, free_port, postgresql
from tests.stores.ledgers import until
from tests.stores.records import DAY, MIDNIGHT, key, record


def test_values_that_no_database_holds_are_stored_as_near_as_can_be(database_url: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        database = Database(database_url, tmp_path)
        ledger = SqlLedger(database)
        wild = record(2, model="a\0b", error="\ud800", cost_picousd=2**70, e2e_seconds=math.nan, tags=("x\0",))
        await ledger.write([record(1), wild, record(3)])
        (before, row, after), _ = await ledger.page(10)
        assert (before, after) == (record(1), record(3))
        assert row.model in ("a\0b", "a\ufffdb")
        assert (row.error, row.cost_picousd, row.e2e_seconds) == ("?", 2**63 - 1, 0.0)
        await database.aclose()

    asyncio.run(scenario())


def test_every_attempt_is_a_row_of_the_view(database_url: str, tmp_path: Path) -> None:
    """Whether the request's own row tells it or not."""

    async def scenario() -> None:
        database = Database(database_url, tmp_path)
        ledger = SqlLedger(database)
        failed = msgspec.structs.replace(
            record(1).attempts[0], outcome=Outcome.FAILED, status=503, error="busy", id="x"
        )
        answered = msgspec.structs.replace(record(1).attempts[0], number=2, id=f"{record(1).id}.2")
        rows = [record(1, attempts=(failed, answered)), record(2), record(3, attempts=()), record(4, provider="other")]
        await ledger.write(rows)
        query = text("SELECT * FROM attempts ORDER BY request_id, number")
        count = text("SELECT count(*) FROM other_attempts")

        def look(connection: Connection) -> tuple[list[AttemptRecord], int]:
            found = [attempt_record(row._asdict()) for row in connection.execute(query)]
            return found, connection.execute(count).scalar_one()

        expected = [attempt for row in rows for attempt in row.attempts]
        assert await database.run(database.reading, look) == (expected, 2)
        await ledger.compact(MIDNIGHT + DAY)
        assert await database.run(database.reading, look) == ([], 0)
        await database.aclose()

    asyncio.run(scenario())


def test_two_processes_share_keys_and_clash_over_one(database_url: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        databases = [Database(database_url, tmp_path) for _ in range(2)]
        first, second = (SqlKeyStore(database) for database in databases)
        before = await second.version()
        await asyncio.gather(*(first.add(key(number)) for number in range(10)))
        assert await second.version() == before + 10
        clashes = await asyncio.gather(first.add(key(99)), second.add(key(99)), return_exceptions=True)
        assert [type(clash) for clash in clashes if clash is not None] == [Conflict]
        assert await second.all() == [key(number) for number in (*range(10), 99)]
        for database in databases:
            await database.aclose()

    asyncio.run(scenario())


def test_many_processes_write_one_ledger_while_pages_are_read(database_url: str, tmp_path: Path) -> None:
    """The cursor of a reader that follows never passes a row that appears later."""

    async def scenario() -> None:
        databases = [Database(database_url, tmp_path) for _ in range(4)]
        ledgers = [SqlLedger(database) for database in databases]
        await databases[0].prepare()
        rows_each, done = 300, asyncio.Event()

        async def write(number: int) -> None:
            for start in range(0, rows_each, 10):
                base = number * rows_each + start
                await ledgers[number].write([record(row) for row in range(base, base + 10)])

        async def follow() -> list[str]:
            seen: list[str] = []
            cursor = None
            while True:
                finished = done.is_set()
                page, after = await ledgers[0].page(7, cursor)
                if after is None and finished:
                    return seen + [row.id for row in page]
                if after is not None:
                    seen += [row.id for row in page]
                    cursor = after

        reader = asyncio.create_task(follow())
        await asyncio.gather(*(write(number) for number in range(4)))
        done.set()
        seen = await reader
        assert len(seen) == len(set(seen)) == 4 * rows_each
        for database in databases:
            await database.aclose()

    asyncio.run(scenario())


@pytest.mark.server
def test_a_page_waits_for_rows_that_are_numbered_and_not_committed(
    postgresql_server: PostgresqlServer, tmp_path: Path
) -> None:
    """The hard case by hand: a slow transaction has numbered its row, a fast one with a higher number has committed."""
    url = postgresql_server.new_database()

    async def scenario() -> None:
        database, other = Database(url, tmp_path), Database(url, tmp_path)
        ledger = SqlLedger(database)
        numbered, commit = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def write_slowly(connection: Connection) -> None:
            locks.share(connection, locks.LEDGER)
            inserter(requests, REQUEST_COLUMNS, other.dialect)(
                connection, [request_row(record(1, attempts=()), UNTOLD)]
            )
            loop.call_soon_threadsafe(numbered.set)
            commit.wait()

        def waiting(connection: Connection) -> bool:
            query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            return bool(connection.execute(text(query)).scalar_one())

        slow = asyncio.create_task(other.run(other.writing, write_slowly, writes=True))
        await numbered.wait()
        await ledger.write([record(2)])
        page = asyncio.create_task(ledger.page(10))
        while not await other.run(other.keys, waiting):
            assert not page.done()
        commit.set()
        await slow
        assert await page == ([record(1, attempts=()), record(2)], None)
        await other.aclose()
        await database.aclose()

    asyncio.run(scenario())


@pytest.mark.server
def test_the_database_goes_away_under_load_and_comes_back(tmp_path: Path) -> None:
    """A real server, stopped at once and started again."""
    with postgresql() as server:
        if server is None:
            pytest.skip("needs the Debian package postgresql")

        async def scenario(server: PostgresqlServer) -> None:
            database = Database(server.new_database(), tmp_path)
            ledger = SqlLedger(database)
            journal = FileJournal(tmp_path / "journal", SystemClock())
            drain = Drain(journal, ledger, database.writing)
            await database.prepare()
            drain.start()
            written = 0

            async def load(rows: int) -> None:
                nonlocal written
                for _ in range(rows):
                    journal.append(record(written))
                    written += 1
                    await asyncio.sleep(0)

            await load(300)
            await until(lambda: drain.backlog_rows == 0)
            stopping = asyncio.create_task(asyncio.to_thread(server.stop))
            while not stopping.done():
                await load(10)
            await load(10)
            await until(lambda: not drain.healthy)
            assert drain.backlog_rows >= 10
            with pytest.raises(DatabaseUnavailable):
                await ledger.page(1)
            await asyncio.to_thread(server.start)
            await load(100)
            await until(lambda: drain.healthy and drain.backlog_rows == 0)
            assert [row.requests for row in await ledger.usage("tenant")] == [written]
            await drain.aclose()
            journal.close()
            await database.aclose()

        asyncio.run(scenario(server))


def test_a_database_that_cannot_be_reached_is_named_without_its_password(tmp_path: Path) -> None:
    async def scenario() -> None:
        database = Database(f"postgresql://someone:s3cret-word@127.0.0.1:{free_port()}/ledger", tmp_path)
        with pytest.raises(DatabaseUnavailable) as raised:
            await database.prepare()
        assert "127.0.0.1" in raised.value.message
        assert "s3cret-word" not in raised.value.message
        await database.aclose()

    asyncio.run(scenario())


def test_a_locked_sqlite_file_is_unavailable_and_then_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        database = Database("sqlite", tmp_path, busy_seconds=0.05)
        ledger = SqlLedger(database)
        await ledger.write([record(1)])
        other = sqlite3.connect(tmp_path / SQLITE_FILE, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailable, match="locked") as raised:
            await ledger.write([record(2)])
        assert raised.value.retry_after_seconds == 1
        assert (await ledger.page(10))[0] == [record(1)], "readers go on"
        other.execute("ROLLBACK")
        other.close()
        await ledger.write([record(2)])
        assert (await ledger.page(10))[0] == [record(1), record(2)]
        await database.aclose()

    asyncio.run(scenario())


@pytest.mark.parametrize(("power_safe", "level"), [(False, 1), (True, 2)])
def test_commits_are_flushed_to_the_disk_when_asked_for(tmp_path: Path, power_safe: bool, level: int) -> None:
    async def scenario() -> None:
        database = Database("sqlite", tmp_path, power_safe=power_safe)
        query = text("PRAGMA synchronous")
        found = await database.run(database.writing, lambda connection: connection.execute(query).scalar_one())
        assert found == level
        await database.aclose()

    asyncio.run(scenario())
    assert (tmp_path / SQLITE_FILE).stat().st_mode & 0o077 == 0, "nobody else may read it"


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / SQLITE_FILE).write_bytes(b"no database at all" * 100)

    async def scenario() -> None:
        database = Database("sqlite", tmp_path)
        with pytest.raises(DatabaseUnavailable, match="not a database"):
            await database.prepare()
        await database.aclose()

    asyncio.run(scenario())


@pytest.mark.server
def test_of_two_transactions_that_wait_for_each_other_both_are_done(
    postgresql_server: PostgresqlServer, tmp_path: Path
) -> None:
    async def scenario() -> None:
        database = Database(postgresql_server.new_database(), tmp_path)
        both_have_one = threading.Barrier(2)
        tries: list[str] = []

        def transaction(first: str, second: str) -> Callable[[Connection], None]:
            def work(connection: Connection) -> None:
                tries.append(first)
                plus_one = text("UPDATE counters SET value = value + 1 WHERE name = :name")
                connection.execute(plus_one, {"name": first})
                if len(tries) <= 2:
                    both_have_one.wait(60)
                connection.execute(plus_one, {"name": second})

            return work

        a, b = "keys_version", "changes_version"
        await database.prepare()
        await asyncio.gather(
            database.run(database.jobs, transaction(a, b), writes=True),
            database.run(database.writing, transaction(b, a), writes=True),
        )
        values = text("SELECT value FROM counters WHERE name IN ('keys_version', 'changes_version')")
        found = await database.run(database.reading, lambda connection: connection.execute(values).scalars().all())
        await database.aclose()
        assert list(found) == [2, 2] and len(tries) > 2, "each was done once, one of them in another try"

    asyncio.run(scenario())


@pytest.mark.parametrize("url", ["mysql://root@localhost/x", "oracle", "", "postgresql"])
def test_other_databases_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="postgresql://user@host/name"):
        Database(url, tmp_path)


def test_without_its_driver_postgresql_names_the_extra(tmp_path: Path) -> None:
    program = """
import sys
sys.modules["psycopg"] = None  # as if it were not installed
from pathlib import Path
from headgate.errors import MissingExtra
from headgate.stores.database import Database
try:
    Database("postgresql://user@localhost/x", Path(sys.argv[1]))
except MissingExtra as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "headgate[postgres]" in done.stdout


def test_folding_gives_the_room_of_a_sqlite_file_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        def size_bytes() -> int:
            return (tmp_path / SQLITE_FILE).stat().st_size

        database = Database("sqlite", tmp_path)
        ledger = SqlLedger(database)
        await ledger.write([])
        await database.aclose()
        empty = size_bytes()
        database = Database("sqlite", tmp_path)
        ledger = SqlLedger(database)
        for start in range(0, 10_000, 500):
            await ledger.write([record(number) for number in range(start, start + 500)])
        await database.aclose()
        full = size_bytes()
        database = Database("sqlite", tmp_path)
        ledger = SqlLedger(database)
        assert await ledger.compact(MIDNIGHT + DAY) == 10_000
        await database.aclose()
        assert size_bytes() - empty < (full - empty) / 10

    asyncio.run(scenario())


def test_processes_fold_side_by_side_and_count_every_row_once(database_url: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        databases = [Database(database_url, tmp_path) for _ in range(3)]
        ledgers = [SqlLedger(database) for database in databases]
        for start in range(0, 6000, 1000):
            await ledgers[0].write([record(number) for number in range(start, start + 1000)])
        folding = [asyncio.create_task(ledger.compact(MIDNIGHT + DAY)) for ledger in ledgers]
        while not all(task.done() for task in folding):
            assert [row.requests for row in await ledgers[1].usage("day")] == [6000], "at every moment"
        late = [record(number) for number in range(6000, 6050)]
        await ledgers[1].write(late)
        counts = await asyncio.gather(*folding)
        counts.append(await ledgers[2].compact(MIDNIGHT + DAY))
        assert sum(counts) == 6050
        assert [row.requests for row in await ledgers[0].usage("day")] == [6050]
        for database in databases:
            await database.aclose()

    asyncio.run(scenario())
