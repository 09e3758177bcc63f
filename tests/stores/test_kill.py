"""The promise itself: a row whose append has returned is in the ledger exactly once, whenever the process is killed."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import pytest

from headgate.clock import SystemClock
from headgate.stores.database import Database
from headgate.stores.drain import Drain
from headgate.stores.journal import FileJournal
from headgate.stores.sql import SqlLedger
from headgate.types import RequestRecord
from tests.stores.records import request_id

ROWS_PER_LIFE = 1_000_000


def live_and_die(folder: Path, life: int, rows: int) -> list[int]:
    """Let a process append until it has named so many rows, kill it with -9; the numbers that it named."""
    command = [sys.executable, "-m", "tests.stores.writer", str(folder), str(life * ROWS_PER_LIFE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = b""
        while said.count(b"\n") < rows:
            piece = process.stdout.read1(4096)
            assert piece, "the writer ended by itself"
            said += piece
        process.kill()
        said += process.stdout.read()
    return [int(line) for line in said[: said.rfind(b"\n")].split(b"\n")]


async def all_rows(ledger: SqlLedger) -> list[RequestRecord]:
    rows: list[RequestRecord] = []
    page, after = await ledger.page(1000)
    rows += page
    while after is not None:
        page, after = await ledger.page(1000, after)
        rows += page
    return rows


@pytest.mark.parametrize("lives", [3, pytest.param(20, marks=pytest.mark.full)])
def test_killed_at_any_instant_no_named_row_is_missing_or_double(tmp_path: Path, lives: int) -> None:
    chance = random.Random(lives)
    folder = tmp_path / "journal"

    async def scenario() -> None:
        database = Database("sqlite", tmp_path)
        ledger = SqlLedger(database)
        journal = FileJournal(folder, SystemClock())
        drain = Drain(journal, ledger, database.writing)
        named: list[int] = []
        for life in range(lives):
            named += await asyncio.to_thread(live_and_die, folder, life, chance.randrange(1, 500))
            if chance.random() < 0.7:  # else two dead processes are adopted together
                await drain.adopt()
        await drain.adopt()
        rows = [row.id for row in await all_rows(ledger)]
        await drain.aclose()
        journal.close()
        await database.aclose()
        assert len(rows) == len(set(rows))
        assert {request_id(number) for number in named} <= set(rows)
        assert len(rows) <= len(named) + lives, "at most one row of each life was written and not named"
        assert list(folder.iterdir()) == []  # nothing else runs here

    asyncio.run(scenario())
