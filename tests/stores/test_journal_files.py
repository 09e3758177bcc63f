"""The file-backed journal: its segments, its locks, its bounds and a disk that is full."""

from __future__ import annotations

import fcntl
import logging
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headgate.clock import SystemClock
from headgate.errors import DataDirUnusable, LedgerFull
from headgate.stores.database import Database
from headgate.stores.frames import FILE_HEADER, FrameReader, FrameWriter
from headgate.stores.journal import KEPT_FRAMES, KEPT_TOGETHER, PROBE_BYTES, FileJournal
from headgate.stores.rows import records_of
from headgate.stores.segments import read_frames
from headgate.types import RequestRecord
from tests.stores.records import record, request_id

ROW_BYTES = len(FrameWriter().record(record(1)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@contextmanager
def opened(folder: Path, **bounds: int) -> Iterator[FileJournal]:
    journal = FileJournal(folder, SystemClock(), **bounds)
    yield journal
    journal.close()


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A write beyond this size is cut short or refused, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def drain(journal: FileJournal) -> list[RequestRecord]:
    """What the drain would take, all at once."""
    rows: list[RequestRecord] = []
    while (span := journal.unread()) is not None:
        batch = read_frames(FrameReader(), span.segment.descriptor, span.start, span.end, 3)
        rows += records_of(batch.rows)
        journal.arrived(span.segment, batch.end, batch.frames)
    return rows


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.hgj"))


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    for make in (lambda path: FileJournal(path / "journal", SystemClock()), lambda path: Database("sqlite", path)):
        with pytest.raises(DataDirUnusable, match=r"server\.data_dir: .*data"):
            make(tmp_path / "data")


def test_segments_are_named_after_the_process_and_locked(folder: Path) -> None:
    with opened(folder):
        (path,) = segments(folder)
        assert path.name.startswith(f"journal-{os.getpid()}-")
        with path.open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_rows_move_to_new_segments_and_drained_ones_are_deleted(folder: Path) -> None:
    records = [record(number) for number in range(20)]
    with opened(folder, segment_bytes=5 * ROW_BYTES) as journal:
        for each in records:
            journal.append(each)
        assert len(segments(folder)) >= 4
        assert journal.waiting_frames == 20
        assert drain(journal) == records
        assert (journal.waiting_frames, journal.waiting_bytes) == (0, 0)
        assert [path.stat().st_size for path in segments(folder)] == [FILE_HEADER.size]


def test_what_was_drained_is_not_left_behind(folder: Path) -> None:
    with opened(folder) as journal:
        for number in range(5):
            journal.append(record(number))
            assert drain(journal) == [record(number)]
            (path,) = segments(folder)
            assert path.stat().st_size == FILE_HEADER.size


def test_closing_deletes_drained_segments_and_keeps_the_others(folder: Path) -> None:
    with opened(folder) as journal:
        journal.append(record(1))
        drain(journal)
    assert list(folder.iterdir()) == []
    with opened(folder) as journal:
        journal.append(record(1))
    assert len(segments(folder)) == 1


def test_processes_share_the_folder(folder: Path) -> None:
    with opened(folder) as first, opened(folder) as second:
        first.append(record(1))
        second.append(record(2))
        assert drain(first) == [record(1)]
        assert drain(second) == [record(2)]


def test_the_bound_counts_what_the_ledger_does_not_have(folder: Path) -> None:
    with opened(folder, max_bytes=8 * ROW_BYTES) as journal:
        for number in range(8):
            assert journal.room() == (number <= 6), "a quarter is kept for requests that are under way"
            journal.append(record(number))
        with pytest.raises(LedgerFull, match="journal_max_bytes"):
            journal.append(record(8))
        journal.mark_undelivered(request_id(7))
        assert len(drain(journal)) == 8
        assert journal.room()
        journal.append(record(8))
        assert drain(journal) == [record(8)]


def test_a_full_disk_refuses_and_what_it_refused_is_written_later(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with opened(folder) as journal:
        journal.append(record(1))
        (path,) = segments(folder)
        size = path.stat().st_size
        for number, space in enumerate((0, 1, ROW_BYTES // 2, ROW_BYTES - 1), start=2):
            with largest_file(size + space), pytest.raises(LedgerFull, match=r"server\.data_dir"):
                journal.append(record(number))
            assert path.stat().st_size == size
            assert not journal.room()
            with largest_file(size + space):
                journal.look_at_disk()
            with largest_file(size):
                journal.mark_undelivered(request_id(1))
            assert not journal.room()
        with largest_file(size + PROBE_BYTES):
            journal.look_at_disk()
            journal.look_at_disk()
        assert journal.room()
        assert [record.message for record in caplog.records].count("the journal has place again") == 1
        journal.append(record(6))
        assert drain(journal) == [record(number) for number in range(1, 7)]


def test_what_a_full_disk_refused_is_written_at_the_end_or_its_loss_is_said(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headgate.stores.journal.UNWRITTEN_BYTES", 3 * ROW_BYTES)
    with opened(folder) as journal:
        (path,) = segments(folder)
        with largest_file(path.stat().st_size):
            for number in range(5):
                with pytest.raises(LedgerFull):
                    journal.append(record(number))
            journal.look_at_disk()
        assert [entry.message for entry in caplog.records if " are lost" in entry.message] == [
            "1 rows of the ledger are lost: too many wait for place on the disk"
        ] * 2
        journal.close()
        assert path.stat().st_size > 3 * ROW_BYTES


def test_when_no_new_segment_can_be_made_the_old_one_grows(folder: Path) -> None:
    with opened(folder, segment_bytes=2 * ROW_BYTES) as journal:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            for number in range(5):
                journal.append(record(number))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert len(segments(folder)) == 1
        assert drain(journal) == [record(number) for number in range(5)]


def test_a_folder_that_is_gone_is_not_called_a_full_disk(folder: Path) -> None:
    with opened(folder) as journal:
        assert journal.disk_trouble == ""
        path = folder.with_name("gone")
        journal.directory.rename(path)
        journal.look_at_disk()
        assert not journal.room() and "is gone" in journal.disk_trouble
        path.rename(journal.directory)
        journal.look_at_disk()
        assert journal.room() and journal.disk_trouble == ""


def test_what_needs_a_disk_flush_is_handed_out_once(folder: Path) -> None:
    with opened(folder) as journal:
        handed = []
        for rows in (1, 0):
            for _ in range(rows):
                journal.append(record(1))
            descriptors = journal.unsynced()
            handed.append(len(descriptors))
            for descriptor in descriptors:
                os.fsync(descriptor)
                os.close(descriptor)
        assert handed == [2, 0], "the segment and the folder with its name"


def test_rows_in_memory_are_those_in_the_file(folder: Path) -> None:
    with opened(folder) as journal:
        told_twice = record(1, error="timeout")
        journal.append_all([record(0), told_twice])
        journal.mark_undelivered(request_id(0))
        span = journal.unread()
        assert span is not None and span.rows is not None
        assert (len(span.rows.attempts), span.rows.undelivered) == (1, [request_id(0)])
        batch = read_frames(FrameReader(), span.segment.descriptor, span.start, span.end, 100)
        assert records_of(span.rows) == records_of(batch.rows) and batch.end == span.end


def test_rows_that_did_not_arrive_are_read_again(folder: Path) -> None:
    """Their memory is needed for those that come."""
    with opened(folder) as journal:
        journal.append(record(1))
        lost = journal.unread()
        journal.append(record(2))
        again = journal.unread()
        assert lost is not None and again is not None and again.rows is None
        assert (again.start, again.end) == (lost.start, lost.end)
        assert drain(journal) == [record(1), record(2)]


def test_rows_in_memory_are_handed_out_a_transaction_at_a_time(folder: Path) -> None:
    with opened(folder) as journal:
        for number in range(0, 2 * KEPT_TOGETHER + 10, 10):
            journal.append_all([record(number + one) for one in range(10)])
        counts = []
        while (span := journal.unread()) is not None:
            assert span.rows is not None
            counts.append(len(span.rows.requests))
            journal.arrived(span.segment, span.end, counts[-1])
        assert counts == [KEPT_TOGETHER, KEPT_TOGETHER, 10]
        assert (journal.waiting_frames, journal.waiting_bytes) == (0, 0)


def test_few_waiting_rows_are_kept_in_memory(folder: Path) -> None:
    with opened(folder) as journal:
        journal.append_all([record(number) for number in range(KEPT_FRAMES)])
        journal.append(record(KEPT_FRAMES))
        too_many = journal.unread()
        assert too_many is not None and too_many.rows is None
        journal.arrived(too_many.segment, too_many.end, KEPT_FRAMES + 1)
        journal.append(record(1))
        few = journal.unread()
        assert few is not None and few.rows is not None and records_of(few.rows) == [record(1)]
