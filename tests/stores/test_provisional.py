"""Requests whose process died: each is charged what was held for it, once, unless it has a row."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from headgate.clock import SystemClock
from headgate.errors import DatabaseUnavailable
from headgate.metering import UnderWay
from headgate.stores.database import Database
from headgate.stores.drain import CaughtUp, Drain, Heir
from headgate.stores.frames import FrameWriter, file_header, frame
from headgate.stores.journal import FileJournal
from headgate.stores.provisional import provisional
from headgate.stores.sql import SqlLedger
from headgate.stores.underway import SLOT_BYTES
from headgate.types import Counted, Outcome, RequestRecord, Usage
from tests.stores.ledgers import UnsteadyLedger, process
from tests.stores.records import MIDNIGHT, record, request_id, under_way
from tests.stores.test_kill import all_rows
from tests.stores.test_underway import ENCODE, file_of, slot_bytes

WRITER = FrameWriter()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "journal"
    found.mkdir()
    return found


class Witness(Heir):
    """Keeps what it heard."""

    def __init__(self) -> None:
        self.charges: list[RequestRecord] = []
        self.freed_notes: list[UnderWay] = []

    def charged(self, records: Sequence[RequestRecord]) -> None:
        self.charges += records

    def freed(self, notes: Sequence[UnderWay]) -> None:
        self.freed_notes += notes


def leave_table(folder: Path, *numbers: int, name: str = "underway-1-1-1") -> Path:
    """The table of a dead process that had these requests under way."""
    return leave(folder / f"{name}.hgu", file_of(*(slot_bytes(ENCODE(under_way(number))) for number in numbers)))


def leave_segment(folder: Path, *frames: bytes, name: str = "journal-1-1-1") -> Path:
    return leave(folder / f"{name}.hgj", file_header() + b"".join(frames))


def leave(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def live_and_die(folder: Path, begun: int, ended: int, appended: int) -> None:
    """A process as `noter.py` describes it, killed with -9."""
    command = [sys.executable, "-m", "tests.stores.noter", str(folder), *map(str, (begun, ended, appended))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        child.kill()


# --- what is charged ---


def test_all_that_was_held_is_charged() -> None:
    row = provisional(under_way(3, attempt=2, attempt_started_at=MIDNIGHT + 9, endpoint="http://a/v1", session="s"))
    (attempt,) = row.attempts
    assert (row.id, row.tenant, row.user, row.key_id, row.session) == (request_id(3), "acme", "alice", "key_1", "s")
    assert (row.model, row.stream, row.tags, row.config_hash) == ("small", True, ("nightly", "draft"), "c0ffee")
    assert (row.started_at, attempt.started_at) == (MIDNIGHT + 3, MIDNIGHT + 9)
    assert (attempt.id, attempt.number, attempt.endpoint) == (f"{request_id(3)}.2", 2, "http://a/v1")
    for told in (row, attempt):
        assert told.outcome is Outcome.PROVISIONAL and told.error == "process_died"
        assert told.usage == Usage(input=14, output=1000, counted=Counted.ESTIMATED)
        assert (told.cost_picousd, told.price_version, told.provider) == (602_100_000, "config", "openai")


def test_what_is_charged_when_it_is_sent_again_is_booked_and_not_charged() -> None:
    note = msgspec.structs.replace(under_way(3), is_uncharged=True)
    charged, row = provisional(under_way(3)), provisional(note)
    assert row.cost_picousd == 0
    assert row.attempts == charged.attempts and row.attempts[0].cost_picousd == charged.cost_picousd > 0


@pytest.mark.parametrize("adopted", ["by the next start", "by a process that lives"])
def test_of_a_hundred_begun_and_half_of_them_ended_the_other_half_is_charged(
    database_url: str, tmp_path: Path, adopted: str
) -> None:
    """kill -9. Ten of the other half have their row, which the process did not live to know."""

    async def scenario() -> None:
        database = Database(database_url, tmp_path)
        ledger = SqlLedger(database)
        folder = tmp_path / "journal"
        heir = Witness()
        if adopted == "by the next start":
            await asyncio.to_thread(live_and_die, folder, 110, 50, 10)
        journal = FileJournal(folder, SystemClock(), slots=10)
        drain = Drain(journal, ledger, database.writing, heir=heir)
        if adopted == "by a process that lives":
            await asyncio.to_thread(live_and_die, folder, 110, 50, 10)
        await ledger.write([provisional(under_way(number)) for number in (60, 109)])  # as another one had begun to
        for _ in range(2):
            await drain.adopt()
        rows = await all_rows(ledger)
        await drain.aclose()
        journal.close()
        await database.aclose()
        assert sorted(rows, key=lambda row: row.id) == [
            *(record(number) for number in range(60)),
            *(provisional(under_way(number)) for number in range(60, 110)),
        ]
        assert [row.id for row in heir.charges] == [request_id(number) for number in range(61, 109)]
        assert list(folder.iterdir()) == []

    asyncio.run(scenario())


def test_what_is_still_under_way_at_a_proper_end_is_charged_too(folder: Path) -> None:
    """A request whose row the full journal refused: nobody called `end`."""

    async def scenario() -> None:
        ledger = UnsteadyLedger()
        async with process(folder, ledger) as first:
            first.journal.begin(under_way(1))
            first.journal.end(first.journal.begin(under_way(2)))
        async with process(folder, ledger) as second:
            await second.drain.adopt()
            assert await ledger.rows() == [provisional(under_way(1))]

    asyncio.run(scenario())
    assert list(folder.iterdir()) == []


def test_the_latest_attempt_of_a_request_is_charged(folder: Path) -> None:
    async def scenario() -> None:
        notes = [under_way(1, attempt=attempt, held_picousd=attempt) for attempt in (1, 3, 2)]
        leave(folder / "underway-1-1-1.hgu", file_of(*(slot_bytes(ENCODE(note)) for note in notes)))
        assert await adopted(folder) == [provisional(notes[1])]

    asyncio.run(scenario())


def test_between_two_attempts_nothing_is_owed_and_who_counts_is_told(folder: Path) -> None:
    async def scenario() -> None:
        heir = Witness()
        async with process(folder, UnsteadyLedger()) as first:
            for number in range(3):
                slot = first.journal.begin(under_way(number))
                if number != 1:
                    first.journal.failed(slot)
                if number == 2:
                    first.journal.end(slot)
                    first.journal.begin(under_way(2, attempt=2))
        ledger = UnsteadyLedger()
        async with process(folder, ledger, heir=heir) as second:
            for _ in range(2):
                await second.drain.adopt()
            assert await ledger.rows() == [provisional(under_way(1)), provisional(under_way(2, attempt=2))]
        assert heir.freed_notes == [under_way(0)]

    asyncio.run(scenario())
    assert list(folder.iterdir()) == []


async def adopted(folder: Path) -> list[RequestRecord]:
    """What the ledger has after dead processes were looked for twice."""
    ledger = UnsteadyLedger()
    async with process(folder, ledger) as opened:
        for _ in range(2):
            await opened.drain.adopt()
        return await ledger.rows()


# --- once, and never beside a row ---


def test_a_living_process_keeps_its_table(folder: Path) -> None:
    async def scenario() -> None:
        ledger = UnsteadyLedger()
        async with process(folder, ledger) as living, process(folder, ledger) as other:
            slot = living.journal.begin(under_way(1))
            for opened in (living, other):
                await opened.drain.adopt()
            assert len(ledger) == 0
            living.journal.end(slot)

    asyncio.run(scenario())


def test_a_table_waits_for_segments_that_somebody_else_is_adopting(folder: Path) -> None:
    """Its row must not come after a charge, which would keep it out."""

    async def scenario() -> None:
        segment = leave_segment(folder, WRITER.record(record(1)))
        table = leave_table(folder, 1, 2)
        ledger = UnsteadyLedger()
        async with process(folder, ledger) as opened, process(folder, ledger) as slow:
            orphan = slow.drain._orphanage.adopt(frozenset())
            assert orphan is not None and orphan.path == segment
            await opened.drain.adopt()
            assert len(ledger) == 0 and table.exists()
            orphan.close()
            await opened.drain.adopt()
            assert await ledger.rows() == [record(1), provisional(under_way(2))]
            assert not table.exists()

    asyncio.run(scenario())


def test_a_table_waits_for_rows_that_only_a_newer_release_can_read(folder: Path) -> None:
    async def scenario() -> None:
        segment = leave_segment(folder, frame(77, b"a row from the future"))
        table = leave_table(folder, 1)
        leave_table(folder, 2, name="underway-1-10-1")  # of another process
        assert await adopted(folder) == [provisional(under_way(2))]
        assert segment.exists() and table.exists()
        segment.unlink()  # the newer release has read it
        assert await adopted(folder) == [provisional(under_way(1))]

    asyncio.run(scenario())
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("lost", ["the question", "the answer"])
def test_while_the_database_is_away_a_table_is_kept(folder: Path, lost: str) -> None:
    async def scenario() -> None:
        table = leave_table(folder, *range(1500))
        ledger = UnsteadyLedger()
        async with process(folder, ledger) as opened:
            ledger.away, ledger.answers_lost = (True, 0) if lost == "the question" else (False, 1)
            with pytest.raises(DatabaseUnavailable):
                await opened.drain.adopt()
            assert table.exists()
            ledger.away = False
            await opened.drain.adopt()
            rows = [row.id for row in await ledger.rows()]
            assert len(rows) == len(set(rows)) == 1500
            assert not table.exists()

    asyncio.run(scenario())


def test_counters_that_begin_anew_hear_of_what_waits_and_of_what_dead_processes_left(folder: Path) -> None:
    async def scenario() -> None:
        leave_segment(folder, WRITER.record(record(1)))
        leave_table(folder, 1, 2)
        ledger = UnsteadyLedger()
        async with process(folder, ledger) as opened:
            opened.journal.append(record(3))
            (row,) = await CaughtUp(ledger, opened.drain).used("user", "acme", since=MIDNIGHT)
            spent = sum(each.cost_picousd for each in (record(1), provisional(under_way(2)), record(3)))
            assert (row.group, row.requests, row.cost_picousd) == ("alice", 3, spent)
            assert await CaughtUp(ledger, opened.drain).used("user", "hobby", since=MIDNIGHT) == []

    asyncio.run(scenario())


# --- files of other releases, and what is left of files ---


@pytest.mark.parametrize(
    "content",
    [b"", b"HGU", bytes(3 * SLOT_BYTES), file_of(), file_of(slot_bytes(ENCODE(under_way(1)))[:-1])],
    ids=["empty", "half a header", "never written", "nothing under way", "a torn note"],
)
def test_tables_that_say_nothing_are_deleted(folder: Path, content: bytes) -> None:
    table = leave(folder / "underway-1-1-1.hgu", content)
    assert asyncio.run(adopted(folder)) == []
    assert not table.exists()


def test_a_table_cut_at_any_slot_is_charged_as_far_as_it_goes(folder: Path) -> None:
    async def scenario() -> None:
        whole = leave_table(folder, 1, 2, 3).read_bytes()
        for size in range(SLOT_BYTES // 2, len(whole) + 1, SLOT_BYTES // 2):
            leave(folder / "underway-1-1-1.hgu", whole[:size])
            slots = (size - SLOT_BYTES // 2) // SLOT_BYTES  # half a slot is all of a note
            assert await adopted(folder) == [provisional(under_way(number + 1)) for number in range(slots)]

    asyncio.run(scenario())


def test_a_table_of_a_newer_format_is_left_alone(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = b"HGUW\xff\0\0\0" + leave_table(folder, 1).read_bytes()[8:]
    table = leave(folder / "underway-1-1-1.hgu", content)
    assert asyncio.run(adopted(folder)) == []
    assert table.read_bytes() == content
    assert caplog.text.count("left for a newer release") == 1


def test_a_note_of_a_newer_release_is_left_for_it_and_the_others_are_charged(folder: Path) -> None:
    content = file_of(slot_bytes(ENCODE(under_way(1))), slot_bytes(ENCODE({"from": "the future"})))
    table = leave(folder / "underway-1-1-1.hgu", content)

    async def scenario() -> None:
        ledger = UnsteadyLedger()
        async with process(folder, ledger) as opened:
            for _ in range(2):
                await opened.drain.adopt()
            assert opened.drain.unknown_frames == 1
        async with process(folder, ledger) as opened:
            await opened.drain.adopt()
        assert await ledger.rows() == [provisional(under_way(1))]

    asyncio.run(scenario())
    assert table.read_bytes() == content
