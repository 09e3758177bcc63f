"""Backup and restore: everything that was acknowledged when the backup began is there again, once."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from headgate.clock import SystemClock
from headgate.errors import Conflict, DatabaseUnavailable, NotFound
from headgate.stores.backup import backup
from headgate.stores.database import SQLITE_FILE, Database
from headgate.stores.drain import Drain
from headgate.stores.journal import FileJournal
from headgate.stores.provisional import provisional
from headgate.stores.sql import SqlLedger
from headgate.stores.sql_keys import SqlKeyStore
from headgate.types import KeyRecord, RequestRecord
from tests.stores.records import key, record, request_id, under_way


async def restored(copy: Path, data_dir: Path) -> tuple[list[RequestRecord], list[KeyRecord]]:
    """Copy back, start, and read everything."""
    shutil.copytree(copy, data_dir)
    database = Database("sqlite", data_dir)
    ledger = SqlLedger(database)
    journal = FileJournal(data_dir / "journal", SystemClock())
    drain = Drain(journal, ledger, database.writing)
    await drain.adopt()
    rows, after = await ledger.page(1000)
    while after is not None:
        page, after = await ledger.page(1000, after)
        rows += page
    keys = await SqlKeyStore(database).all()
    await drain.aclose()
    journal.close()
    await database.aclose()
    return rows, keys


def test_rows_of_the_database_and_rows_that_only_the_journal_has_are_restored(tmp_path: Path) -> None:
    async def scenario() -> None:
        data_dir = tmp_path / "data"
        database = Database("sqlite", data_dir)
        ledger = SqlLedger(database)
        journal = FileJournal(data_dir / "journal", SystemClock(), segment_bytes=5000)
        drain = Drain(journal, ledger, database.writing)
        await SqlKeyStore(database).add(key(1))
        (data_dir / "admin_key.sha256").write_text("digest\n")
        for number in range(40):
            journal.append(record(number))
            if number == 25:
                await drain.flush()
        backup(data_dir, tmp_path / "copy")
        for number in range(40, 50):
            journal.append(record(number))
        await drain.aclose()
        journal.close()
        await database.aclose()
        rows, keys = await restored(tmp_path / "copy", tmp_path / "again")
        assert rows == [record(number) for number in range(40)]
        assert keys == [key(1)]

    asyncio.run(scenario())
    assert (tmp_path / "again" / "admin_key.sha256").read_text() == "digest\n"
    assert not (tmp_path / "copy.unfinished").exists()


def test_a_backup_under_load_has_every_row_that_was_acknowledged_before_it(tmp_path: Path) -> None:
    """A real process appends as fast as it can, and another one drains what that process leaves when it dies."""

    async def scenario() -> None:
        data_dir = tmp_path / "data"
        database = Database("sqlite", data_dir)
        await database.prepare()
        journal = FileJournal(data_dir / "journal", SystemClock(), segment_bytes=5000)
        drain = Drain(journal, SqlLedger(database), database.writing)
        drain.start()
        writer = [sys.executable, "-m", "tests.stores.writer", str(data_dir / "journal")]
        for turn in range(3):
            command = [*writer, str((turn + 1) * 10**6)]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: ASYNC220
                assert process.stdout is not None
                named = [int(process.stdout.readline()) for _ in range(300)]
                for number in range(turn * 100, turn * 100 + 100):
                    journal.append(record(number))
                await asyncio.to_thread(backup, data_dir, tmp_path / f"copy{turn}")
                process.kill()
            rows, _ = await restored(tmp_path / f"copy{turn}", tmp_path / f"again{turn}")
            found = [row.id for row in rows]
            assert len(found) == len(set(found))
            assert {request_id(number) for number in (*named, *range(turn * 100 + 100))} <= set(found)
        await drain.aclose()
        journal.close()
        await database.aclose()

    asyncio.run(scenario())


def test_what_was_under_way_at_the_backup_is_charged_by_whoever_starts_on_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        data_dir = tmp_path / "data"
        journal = FileJournal(data_dir / "journal", SystemClock(), slots=3)
        first, second = journal.begin(under_way(1)), journal.begin(under_way(2))
        journal.append(record(1))
        backup(data_dir, tmp_path / "copy")
        journal.append(record(2))
        for slot in (first, second):
            journal.end(slot)
        journal.close()
        rows, _ = await restored(tmp_path / "copy", tmp_path / "again")
        assert rows == [record(1), provisional(under_way(2))]

    asyncio.run(scenario())


def test_with_postgresql_the_journal_alone_is_copied(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    journal = FileJournal(data_dir / "journal", SystemClock())
    journal.append(record(1))
    backup(data_dir, tmp_path / "copy")
    journal.close()
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["journal"]
    assert len(list((tmp_path / "copy" / "journal").iterdir())) == 1


def test_what_cannot_be_backed_up_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        backup(tmp_path / "nowhere", tmp_path / "copy")
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    with pytest.raises(Conflict, match="new folder"):
        backup(data_dir, data_dir)
    (data_dir / SQLITE_FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(DatabaseUnavailable, match="not a database"):
        backup(data_dir, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
