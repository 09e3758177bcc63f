"""Migrations: many processes at once, two releases side by side, and a clear no where that cannot be."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, insert, inspect, text
from sqlalchemy.engine import Engine, make_url

from headgate.errors import IncompatibleDatabase
from headgate.stores.database import SQLITE_FILE, Database
from headgate.stores.inserts import inserter
from headgate.stores.migrations import STEPS, Migration, migrate
from headgate.stores.rows import ADDED_TO_ATTEMPTS, ADDED_TO_REQUESTS, ATTEMPT_COLUMNS, REQUEST_COLUMNS, rows_of
from headgate.stores.schema import daily_totals, metadata, other_attempts, requests
from headgate.stores.sql import SqlLedger
from headgate.stores.sql_keys import SqlKeyStore
from headgate.types import Counted, Outcome, RequestRecord, Usage
from tests.servers import PostgresqlServer
from tests.stores.records import key, record

PREPARE = """
import asyncio, sys
from pathlib import Path
from headgate.stores.database import Database
async def main():
    database = Database(sys.argv[1], Path(sys.argv[2]))
    await database.prepare()
    await database.aclose()
asyncio.run(main())
"""


def next_release(compatible_since: int) -> Sequence[Migration]:
    """What the release after this one might add."""
    statements = (
        "ALTER TABLE requests ADD COLUMN carbon_grams DOUBLE PRECISION",
        "ALTER TABLE requests ADD COLUMN region TEXT NOT NULL DEFAULT ''",
        "CREATE TABLE of_tomorrow (id TEXT NOT NULL PRIMARY KEY)",
        "CREATE INDEX requests_model ON requests (model)",
    )
    version = len(STEPS) + 1
    return (*STEPS, Migration(f"release {version}", {"sqlite": statements, "postgresql": statements}, compatible_since))


async def upgrade(database: Database, compatible_since: int) -> None:
    await database.run(
        database.writing, lambda connection: migrate(connection, next_release(compatible_since)), writes=True
    )


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def database_url(request: pytest.FixtureRequest) -> str:
    """Of a database without tables."""
    if request.param == "sqlite":
        return "sqlite"
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    return server.empty_database()


def plain_engine(database_url: str, folder: Path) -> Engine:
    """A database without the migrations of this release."""
    if database_url == "sqlite":
        return create_engine(f"sqlite:///{folder / SQLITE_FILE}")
    return create_engine(make_url(database_url).set(drivername="postgresql+psycopg"))


def columns(connection: Connection) -> dict[str, set[str]]:
    found = inspect(connection)
    return {table: {column["name"] for column in found.get_columns(table)} for table in found.get_table_names()}


def test_the_steps_make_the_tables_that_the_queries_expect(database_url: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        database = Database(database_url, tmp_path)
        expected = {table.name: set(table.columns.keys()) for table in metadata.tables.values()}
        assert await database.run(database.reading, columns) == expected
        await database.aclose()

    asyncio.run(scenario())


def test_processes_may_all_start_at_once(database_url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", PREPARE, database_url, str(tmp_path)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(6)]
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 6, b"\n".join(errors).decode()

    async def applied() -> int:
        database = Database(database_url, tmp_path)
        query = text("SELECT count(*) FROM migrations")
        count = await database.run(database.reading, lambda connection: connection.execute(query).scalar_one())
        await database.aclose()
        return int(count)

    assert asyncio.run(applied()) == len(STEPS)


def test_this_release_goes_on_beside_the_next_one(database_url: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        running = Database(database_url, tmp_path)
        ledger, keys = SqlLedger(running), SqlKeyStore(running)
        await ledger.write([record(1)])
        await upgrade(running, compatible_since=1)
        started_later = Database(database_url, tmp_path)
        for database in (running, started_later):
            assert (await SqlLedger(database).page(10))[0][0] == record(1)
        await ledger.write([record(2)])
        await SqlLedger(started_later).write([record(number) for number in range(3, 90)])
        await keys.add(key(1))
        assert len((await ledger.page(100))[0]) == 89
        assert await ledger.compact(2**40) == 89
        assert [row.requests for row in await ledger.usage("tenant")] == [89]
        await started_later.aclose()
        await running.aclose()

    asyncio.run(scenario())


def test_the_release_before_goes_on_beside_this_one(database_url: str, tmp_path: Path) -> None:
    """It names the columns that it knows, before and after this release has added its own."""

    def write_as_before(connection: Connection, records: Sequence[RequestRecord]) -> None:
        rows = rows_of(records)
        for table, known, values in (
            (requests, REQUEST_COLUMNS[: -len(ADDED_TO_REQUESTS)], rows.requests),
            (other_attempts, ATTEMPT_COLUMNS[: -len(ADDED_TO_ATTEMPTS)], rows.attempts),
        ):
            inserter(table, known, connection.dialect.name)(connection, [row[: len(known)] for row in values])

    def fold_as_before(connection: Connection) -> None:
        known = [name for name in daily_totals.columns.keys() if not name.startswith(("cache_write", "saved"))]  # noqa: SIM118
        values = [20_000, "acme", "alice", "key_1", "small", "done", 1, 7, 0, 0, 0, 5]
        connection.execute(insert(daily_totals).values(dict(zip(known, values, strict=True))))

    before = plain_engine(database_url, tmp_path)
    told_apart = record(2, outcome=Outcome.FAILED)
    with before.begin() as connection:
        migrate(connection, STEPS[:1])
        write_as_before(connection, [record(1), told_apart])

    async def scenario() -> None:
        database = Database(database_url, tmp_path)
        ledger = SqlLedger(database)
        assert (await ledger.page(10))[0] == [record(1), told_apart]
        new = record(3, usage=Usage(12, 0, 30, 0, Counted.REPORTED, 5, 7, b'{"cost": 1}'))
        await ledger.write([new])
        with before.begin() as connection:
            write_as_before(connection, [record(4)])
            fold_as_before(connection)
        assert (await ledger.page(10))[0] == [record(1), told_apart, new, record(4)]
        (total,) = await ledger.usage("tenant")
        assert (total.requests, total.cache_write_tokens, total.cache_write_1h_tokens) == (5, 5, 7)
        assert await ledger.compact(2**40) == 4
        assert await ledger.usage("tenant") == [total]
        await database.aclose()

    asyncio.run(scenario())
    before.dispose()


def test_a_change_that_this_release_cannot_live_with_is_named(database_url: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        running = Database(database_url, tmp_path)
        await upgrade(running, compatible_since=len(STEPS) + 1)
        later = Database(database_url, tmp_path)
        with pytest.raises(IncompatibleDatabase, match=r"Upgrade headgate, or restore the backup"):
            await later.prepare()
        await later.aclose()
        await running.aclose()

    asyncio.run(scenario())


def test_a_step_that_fails_leaves_nothing_behind(database_url: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        database = Database(database_url, tmp_path)
        before = await database.run(database.reading, columns)
        statements = ("CREATE TABLE half (id TEXT)", "CREATE TABLE half (id TEXT)")
        steps = (*STEPS, Migration("broken", {"sqlite": statements, "postgresql": statements}))
        with pytest.raises(Exception, match="half"):
            await database.run(database.writing, lambda connection: migrate(connection, steps), writes=True)
        assert await database.run(database.reading, columns) == before
        await database.aclose()

    asyncio.run(scenario())
