"""The drain: nothing is lost and nothing doubled, whatever dies, goes away or is damaged in between."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from headgate.errors import DatabaseUnavailable, LedgerFull
from headgate.metering import NO_SLOT
from headgate.stores.frames import FrameWriter, file_header, frame
from headgate.types import Outcome
from tests.stores.ledgers import Process, UnsteadyLedger, open_process, process, until
from tests.stores.records import record, request_id, under_way

WRITER = FrameWriter()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "journal"
    found.mkdir()
    return found


def leave_behind(folder: Path, content: bytes, name: str = "journal-1-1-1") -> Path:
    """A segment whose process is dead."""
    path = folder / f"{name}.hgj"
    path.write_bytes(content)
    return path


def test_rows_arrive_in_the_background(folder: Path) -> None:
    async def scenario() -> None:
        ledger = UnsteadyLedger()
        async with process(folder, ledger) as opened:
            opened.drain.start()
            for number in range(50):
                opened.journal.append(record(number))
            await until(lambda: len(ledger) == 50)
            assert opened.drain.healthy

    asyncio.run(scenario())


def test_while_the_database_is_away_rows_wait_and_then_arrive(folder: Path) -> None:
    async def scenario() -> None:
        ledger = UnsteadyLedger()
        async with process(folder, ledger, max_bytes=200_000) as opened:
            ledger.away = True
            opened.drain.start()
            taken = 0
            with pytest.raises(LedgerFull):
                while True:
                    opened.journal.append(record(taken))
                    taken += 1
            await ledger.failed.wait()
            await until(lambda: not opened.drain.healthy)
            assert "away for a test" in opened.drain.last_error
            assert opened.drain.backlog_rows == taken
            assert 0 < opened.drain.backlog_bytes <= 200_000
            assert not opened.journal.room()
            with pytest.raises(DatabaseUnavailable):
                await opened.drain.flush()
            ledger.away = False
            await until(lambda: opened.drain.healthy)
            assert opened.journal.room()
            assert opened.drain.backlog_bytes == opened.drain.backlog_rows == 0
            assert await ledger.rows() == [record(number) for number in range(taken)]

    asyncio.run(scenario())


def test_a_write_whose_answer_is_lost_is_not_doubled(folder: Path) -> None:
    async def scenario() -> None:
        ledger = UnsteadyLedger()
        async with process(folder, ledger) as opened:
            opened.journal.append(record(1))
            ledger.answers_lost = 1
            with pytest.raises(DatabaseUnavailable):
                await opened.drain.flush()
            await opened.drain.flush()
            assert await ledger.rows() == [record(1)]

    asyncio.run(scenario())


def test_closing_moves_what_is_left_or_leaves_it_for_the_next_start(folder: Path) -> None:
    async def scenario() -> None:
        ledger = UnsteadyLedger()
        async with process(folder, ledger) as opened:
            opened.journal.append(record(1))
        assert len(ledger) == 1
        async with process(folder, ledger) as opened:
            opened.journal.append(record(2))
            ledger.away = True
        assert len(ledger) == 1
        ledger.away = False
        async with process(folder, ledger) as opened:
            await opened.drain.adopt()
            assert await ledger.rows() == [record(1), record(2)]

    asyncio.run(scenario())
    assert list(folder.iterdir()) == []


def test_a_living_process_keeps_its_segments(folder: Path) -> None:
    async def scenario() -> None:
        ledger = UnsteadyLedger()
        async with process(folder, ledger) as living, process(folder, ledger) as other:
            living.journal.append(record(1))
            await other.drain.adopt()
            assert len(ledger) == 0

    asyncio.run(scenario())


def test_dead_processes_are_found_in_the_background(folder: Path) -> None:
    async def scenario() -> None:
        path = leave_behind(folder, file_header() + WRITER.record(record(1)) + WRITER.undelivered(request_id(1)))
        half_made = folder / "journal-1-1-2.new"
        half_made.write_bytes(b"HG")
        ledger = UnsteadyLedger()
        async with process(folder, ledger) as opened:
            opened.drain.start()
            await until(lambda: not path.exists())
            (row,) = await ledger.rows()
            assert row.undelivered
            assert not half_made.exists()

    asyncio.run(scenario())


@pytest.mark.parametrize("content", [b"", b"HGJ", file_header()], ids=["empty", "half a header", "no rows"])
def test_segments_without_rows_are_deleted(folder: Path, content: bytes) -> None:
    async def scenario() -> None:
        path = leave_behind(folder, content)
        async with process(folder, UnsteadyLedger()) as opened:
            await opened.drain.adopt()
            assert not path.exists()

    asyncio.run(scenario())


def test_a_torn_tail_is_dropped_and_a_damaged_middle_skipped(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        rows = [WRITER.record(record(number)) for number in range(4)]
        damaged = rows[1][:40] + b"\0" + rows[1][41:]
        path = leave_behind(folder, file_header() + rows[0] + damaged + rows[2] + rows[3][:-7])
        ledger = UnsteadyLedger()
        async with process(folder, ledger) as opened:
            await opened.drain.adopt()
            assert await ledger.rows() == [record(0), record(2)]
            assert opened.drain.damaged_bytes == len(damaged)
            assert not path.exists()

    asyncio.run(scenario())
    assert "damaged bytes in the journal were skipped" in caplog.text
    assert "an unfinished write at the end of a journal was dropped" in caplog.text


def test_damage_larger_than_what_is_read_at_once_is_skipped(folder: Path) -> None:
    async def scenario() -> None:
        junk = b"\xffHG\n" + b"x" * 2_000_000
        large = record(2, tags=("y" * 1_000_000,))
        leave_behind(folder, file_header() + WRITER.record(record(1)) + junk + WRITER.record(large))
        ledger = UnsteadyLedger()
        async with process(folder, ledger) as opened:
            await opened.drain.adopt()
            assert await ledger.rows() == [record(1), large]
            assert opened.drain.damaged_bytes == len(junk)

    asyncio.run(scenario())


def test_what_only_another_release_knows_is_left_for_it(folder: Path) -> None:
    async def scenario() -> None:
        unknown = frame(77, b"from the future")
        path = leave_behind(folder, file_header() + unknown + WRITER.record(record(1)) + unknown)
        stranger = leave_behind(folder, b"HGJL\xff\0\0\0" + unknown, "journal-1-1-2")
        ledger = UnsteadyLedger()
        for _ in range(2):  # the second process of this release leaves it as well
            async with process(folder, ledger) as opened:
                await opened.drain.adopt()
                await opened.drain.adopt()
                assert opened.drain.unknown_frames == 2
                assert path.read_bytes() == file_header() + unknown + unknown
                assert stranger.exists()
                assert await ledger.rows() == [record(1)]

    asyncio.run(scenario())


def test_an_orphan_is_kept_while_the_database_is_away(folder: Path) -> None:
    async def scenario() -> None:
        path = leave_behind(folder, file_header() + b"".join(WRITER.record(record(number)) for number in range(500)))
        ledger = UnsteadyLedger()
        async with process(folder, ledger) as opened:
            ledger.answers_lost = 1
            with pytest.raises(DatabaseUnavailable):
                await opened.drain.adopt()
            assert path.exists()
            await opened.drain.adopt()
            assert await ledger.rows() == [record(number) for number in range(500)]

    asyncio.run(scenario())


def test_rows_are_flushed_to_the_disk_in_groups(folder: Path) -> None:
    async def scenario() -> None:
        ledger = UnsteadyLedger()
        ledger.away = True
        async with process(folder, ledger, sync_seconds=0.01) as opened:
            opened.drain.start()
            for number in range(3):
                opened.journal.append(record(number))
                assert opened.journal.needs_sync
                await until(lambda: not opened.journal.needs_sync)

    asyncio.run(scenario())


class Processes(RuleBasedStateMachine):
    """Some processes on one folder and one ledger: they begin, append, drain, die and adopt in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.worker = ThreadPoolExecutor(1)
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        self.ledger = self.runner.run(self.make_ledger())
        self.processes = [self.start(), self.start()]
        self.number = 0
        self.under_way: list[dict[int, int]] = [{}, {}]  # by process: slots and the numbers of their requests
        self.acknowledged: set[str] = set()
        self.cut: set[str] = set()  # under way when their process died, and without a row

    async def make_ledger(self) -> UnsteadyLedger:
        return UnsteadyLedger()

    def start(self) -> Process:
        return open_process(self.folder, self.ledger, self.worker)

    @rule(index=st.integers(0, 1), count=st.integers(1, 6))
    def append(self, index: int, count: int) -> None:
        for _ in range(count):
            self.number += 1
            self.record(index, self.number)

    @rule(index=st.integers(0, 1))
    def begin(self, index: int) -> None:
        self.number += 1
        slot = self.processes[index].journal.begin(under_way(self.number))
        assert slot != NO_SLOT
        self.under_way[index][slot] = self.number

    @rule(index=st.integers(0, 1), forgets=st.booleans())
    def settle(self, index: int, forgets: bool) -> None:
        """The process may die between the row and the end of its slot: then it never comes to the second."""
        if self.under_way[index]:
            slot, number = self.under_way[index].popitem()
            self.record(index, number)
            if forgets:
                self.processes[index].journal.end(slot)

    def record(self, index: int, number: int) -> None:
        self.processes[index].journal.append(record(number))
        self.acknowledged.add(request_id(number))

    @rule(index=st.integers(0, 1), lose_answer=st.booleans())
    def drain(self, index: int, lose_answer: bool) -> None:
        self.ledger.answers_lost = int(lose_answer)
        self.attempt(self.processes[index].drain.flush())

    @rule(index=st.integers(0, 1), lose_answer=st.booleans())
    def adopt(self, index: int, lose_answer: bool) -> None:
        self.ledger.answers_lost = int(lose_answer)
        self.attempt(self.processes[index].drain.adopt())

    @rule(index=st.integers(0, 1), torn=st.binary(max_size=30))
    def die_and_restart(self, index: int, torn: bytes) -> None:
        """Closing unlocks and leaves what waits, which is all that death does; half a row may be left at the end."""
        dead = self.processes[index].journal
        mine = dead.paths()
        self.close(index)
        for path in mine:
            if path.exists() and torn:
                with path.open("ab") as file:
                    file.write(torn)
        self.processes[index] = self.start()

    def close(self, index: int) -> None:
        self.processes[index].journal.close()
        self.cut |= {request_id(number) for number in self.under_way[index].values()}
        self.under_way[index] = {}

    @invariant()
    def nothing_is_doubled_or_made_up(self) -> None:
        rows = self.runner.run(self.ledger.rows())
        charged = {row.id for row in rows if row.outcome is Outcome.PROVISIONAL}
        recorded = {row.id for row in rows} - charged
        assert len(rows) == len(charged) + len(recorded)
        assert charged <= self.cut and recorded <= self.acknowledged

    def attempt(self, work: Coroutine[object, object, None]) -> None:
        with contextlib.suppress(DatabaseUnavailable):
            self.runner.run(work)
        self.ledger.answers_lost = 0

    def teardown(self) -> None:
        for index, each in enumerate(self.processes):
            self.attempt(each.drain.flush())
            self.close(index)
        last = self.start()
        self.attempt(last.drain.adopt())
        self.attempt(last.drain.aclose())
        last.journal.close()
        rows = {row.id for row in self.runner.run(self.ledger.rows())}
        left = [path.name for path in self.folder.iterdir()]
        self.runner.close()
        self.worker.shutdown()
        self.temporary.cleanup()
        assert rows == self.acknowledged | self.cut, "every acknowledged row is in the ledger, and every other's charge"
        assert left == []


Processes.TestCase.settings = settings(max_examples=40, stateful_step_count=20)
TestProcesses = Processes.TestCase
