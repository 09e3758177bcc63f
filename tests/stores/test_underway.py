"""Notes of what is under way: whole or not there, at whatever instant the process dies, whatever befalls the file."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.clock import SystemClock
from headgate.errors import DataDirUnusable
from headgate.metering import NO_SLOT, UnderWay
from headgate.stores import underway
from headgate.stores.journal import FileJournal
from headgate.stores.underway import (
    FILE_HEADER,
    FREE,
    HEAD,
    PAYLOAD_BYTES,
    SLOT_BYTES,
    UnderWayTable,
    file_header,
    known_header,
    read_notes,
    slot_bytes,
)
from tests.stores.records import counts, texts, times, under_way
from tests.stores.test_journal_files import largest_file

ENCODE = msgspec.msgpack.Encoder().encode

anything = st.builds(
    UnderWay,
    request_id=texts,
    started_at=times,
    tenant=texts,
    user=st.none() | texts,
    key_id=texts,
    route=texts,
    dialect=texts,
    model=texts,
    stream=st.booleans(),
    deployment=texts,
    provider=texts,
    upstream_model=texts,
    held_input_tokens=counts,
    held_output_tokens=counts,
    held_picousd=counts,
    price_version=texts,
    config_hash=texts,
    session=st.none() | texts,
    tags=st.lists(texts, max_size=3).map(tuple),
    attempt=st.integers(1, 9),
    attempt_started_at=times,
    endpoint=texts,
    key_fingerprint=texts,
)


@contextmanager
def opened(folder: Path, slots: int) -> Iterator[UnderWayTable]:
    table = UnderWayTable(folder, 1, slots)
    yield table
    table.close()


def content(folder: Path) -> bytes:
    """Of the only table."""
    (path,) = folder.glob("*.hgu")
    return path.read_bytes()


def file_of(*slots: bytes) -> bytes:
    return b"".join(place.ljust(SLOT_BYTES, b"\0") for place in (file_header(), *slots))


def noted(data: bytes) -> list[UnderWay]:
    return sorted(read_notes(data).requests, key=lambda note: note.request_id)


# --- a table and its file ---


def test_the_file_says_what_is_under_way_at_every_moment(tmp_path: Path) -> None:
    with opened(tmp_path, 3) as table:
        first, second = table.begin(under_way(1)), table.begin(under_way(2))
        assert noted(content(tmp_path)) == [under_way(1), under_way(2)]
        table.end(first)
        assert noted(content(tmp_path)) == [under_way(2)]
        table.begin(under_way(3))
        table.begin(under_way(4))
        table.end(second)
        assert noted(content(tmp_path)) == [under_way(3), under_way(4)]
        assert known_header(content(tmp_path))
        assert read_notes(content(tmp_path)).torn == 0


def test_a_failed_attempt_is_told_from_one_under_way(tmp_path: Path) -> None:
    with opened(tmp_path, 3) as table:
        first, second = table.begin(under_way(1)), table.begin(under_way(2))
        table.failed(first)
        notes = read_notes(content(tmp_path))
        assert (notes.requests, notes.failed, notes.torn) == ([under_way(2)], [under_way(1)], 0)
        table.end(first)
        table.begin(under_way(3))
        table.failed(first)
        table.failed(second)
        notes = read_notes(content(tmp_path))
        assert (notes.requests, notes.failed) == ([under_way(3)], [under_way(2)])


@given(st.lists(anything, max_size=5))
def test_every_value_is_read_as_it_was_noted(tmp_path_factory: pytest.TempPathFactory, given: list[UnderWay]) -> None:
    folder = tmp_path_factory.mktemp("notes")
    with opened(folder, 5) as table:
        for each in given:
            table.begin(each)
        assert read_notes(content(folder)).requests == given


def test_slots_are_used_again_and_what_finds_none_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with opened(tmp_path, 2) as table:
        for round_number in range(3):
            slots = [table.begin(under_way(number)) for number in range(2)]
            assert table.begin(under_way(9)) == table.begin(under_way(9)) == NO_SLOT
            assert table.unnoted == 2 * (round_number + 1)
            for slot in (*slots, *slots, NO_SLOT):
                table.end(slot)
            assert table.slots == 2
    assert caplog.text.count("without a note") == 1


def test_more_slots_can_be_had_while_some_are_in_use(tmp_path: Path) -> None:
    with opened(tmp_path, 1) as table:
        slots = [table.begin(under_way(0))]
        table.reserve(1)
        assert len(table.paths()) == 1
        table.reserve(3)
        slots += [table.begin(under_way(number)) for number in (1, 2)]
        assert NO_SLOT not in slots and table.begin(under_way(3)) == NO_SLOT
        assert [len(read_notes(path.read_bytes()).requests) for path in sorted(table.paths())] == [1, 2]
        for slot in slots:
            table.end(slot)
        assert [read_notes(path.read_bytes()).requests for path in table.paths()] == [[], []]
    assert list(tmp_path.iterdir()) == []


def test_a_bound_keeps_the_table_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(underway, "MAX_SLOTS", 5)
    with opened(tmp_path, 10**9) as table:
        assert table.slots == 5


def test_without_slots_there_is_no_file(tmp_path: Path) -> None:
    with opened(tmp_path, 0) as table:
        assert table.begin(under_way(1)) == NO_SLOT
        assert list(tmp_path.iterdir()) == []


def test_closing_leaves_a_file_only_if_something_is_under_way(tmp_path: Path) -> None:
    with opened(tmp_path, 3) as table:
        slot = table.begin(under_way(1))
        table.end(slot)
    assert list(tmp_path.iterdir()) == []
    with opened(tmp_path, 3) as table:
        table.begin(under_way(1))
    assert noted(content(tmp_path)) == [under_way(1)]
    assert table.begin(under_way(2)) == NO_SLOT


def test_a_table_is_named_after_its_process_and_locked(tmp_path: Path) -> None:
    with opened(tmp_path, 1) as first, opened(tmp_path, 1) as second:
        assert first.life != second.life
        for table in (first, second):
            (path,) = table.paths()
            assert path.name == f"underway-{table.life}-1.hgu" and table.life.startswith(f"{os.getpid()}-")
            with path.open() as file, pytest.raises(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_segments_and_table_of_a_process_have_its_name(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, SystemClock(), slots=1)
    names = {path.name.split("-", 1)[1].rpartition("-")[0] for path in journal.paths()}
    assert len(journal.paths()) == 2 and len(names) == 1
    journal.close()


def test_a_full_disk_is_an_error_at_the_start_and_not_later(tmp_path: Path) -> None:
    with largest_file(100 * SLOT_BYTES):
        with pytest.raises(DataDirUnusable, match=r"server\.data_dir"):
            FileJournal(tmp_path, SystemClock(), slots=100)
        assert list(tmp_path.iterdir()) == []
        journal = FileJournal(tmp_path, SystemClock(), slots=99)
        journal.reserve(1000)
        assert len([journal.begin(under_way(number)) for number in range(99)]) == 99
        assert journal.unnoted == 0
        (path,) = tmp_path.glob("*.hgu")
        assert path.stat().st_blocks * 512 >= 100 * SLOT_BYTES, "all of its space is taken"
    journal.close()


# --- what does not fit ---


def test_what_is_too_long_is_noted_without_tags_and_session(tmp_path: Path) -> None:
    long = "x" * 256  # the longest value of a header
    with opened(tmp_path, 4) as table:
        table.begin(under_way(1, user=long, session=long, tags=("a", "b")))
        table.begin(under_way(2, user=long, session=long, tags=(long,) * 16))
        table.begin(under_way(3, user=long, session=PAYLOAD_BYTES * "y", tags=("a",)))
        assert table.begin(under_way(4, user=PAYLOAD_BYTES * "y")) == NO_SLOT
        assert table.unnoted == 1
        assert noted(content(tmp_path)) == [
            under_way(1, user=long, session=long, tags=("a", "b")),
            under_way(2, user=long, session=long, tags=()),
            under_way(3, user=long, session=None, tags=()),
        ]


def test_values_that_no_database_could_hold_are_noted_as_the_nearest(tmp_path: Path) -> None:
    with opened(tmp_path, 2) as table:
        table.begin(under_way(1, user="\ud800", held_picousd=2**80))
        assert noted(content(tmp_path)) == [under_way(1, user="?", held_picousd=2**63 - 1)]


# --- what dying and damage leave ---


@pytest.mark.parametrize("before", [b"", slot_bytes(ENCODE(under_way(1)))], ids=["never used", "used before"])
def test_killed_in_the_middle_of_a_note_it_is_whole_or_not_there(before: bytes) -> None:
    """The copy may have come to any byte. A slot that was ended has a free head and an old payload."""
    ended = FREE + before[HEAD.size :]
    slot = slot_bytes(ENCODE(under_way(2)))
    whole = 0
    for copied in range(len(slot) + 1):
        notes = read_notes(file_of(slot[:copied] + ended[copied:]))
        whole += notes.requests == [under_way(2)]
        assert notes.requests in ([], [under_way(2)])
        assert len(notes.requests) + notes.torn == (copied > 0)
    assert whole >= 1


def test_killed_in_the_middle_of_an_end_it_is_there_or_not() -> None:
    slot = slot_bytes(ENCODE(under_way(1)))
    for copied in range(HEAD.size + 1):
        notes = read_notes(file_of(FREE[:copied] + slot[copied:]))
        assert notes.requests == ([under_way(1)] if copied == 0 else [])


def test_a_file_cut_at_any_byte_tells_what_is_whole_in_it() -> None:
    slots = [slot_bytes(ENCODE(under_way(number))) for number in range(3)]
    data = file_of(slots[0], FREE, slots[1], slots[2])
    ends = {number: place * SLOT_BYTES + len(slots[number]) for number, place in ((0, 1), (1, 3), (2, 4))}
    for size in range(len(data) + 1):
        whole = [under_way(number) for number, end in ends.items() if end <= size]
        assert read_notes(data[:size]).requests == whole


@given(st.lists(st.tuples(st.integers(0, 6 * SLOT_BYTES - 1), st.integers(0, 7)), min_size=1, max_size=40), st.data())
def test_flipped_bits_cost_the_slots_they_are_in(flips: list[tuple[int, int]], data: st.DataObject) -> None:
    """Most flips are aimed at slots' heads and the beginnings of payloads, where everything is read."""
    aimed = data.draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 60), st.integers(0, 7)), max_size=10))
    notes = [under_way(number) for number in range(4)]
    whole = file_of(*(slot_bytes(ENCODE(note)) for note in notes), FREE + slot_bytes(ENCODE(under_way(9)))[HEAD.size :])
    damaged = bytearray(whole)
    for place, bit in [*flips, *((place * SLOT_BYTES + offset, bit) for place, offset, bit in aimed)]:
        damaged[place] ^= 1 << bit
    found = read_notes(bytes(damaged))
    for number, note in enumerate(notes, start=1):
        start = number * SLOT_BYTES
        length = len(slot_bytes(ENCODE(note)))
        if damaged[start : start + length] == whole[start : start + length]:
            assert note in found.requests
    assert all(note in notes for note in found.requests), "nothing is made up, and what was ended stays ended"
    assert found.unknown == 0


@given(st.binary(max_size=4 * SLOT_BYTES))
def test_any_bytes_can_be_read(data: bytes) -> None:
    assert read_notes(data).requests == []
    known_header(data)


def test_an_empty_payload_is_no_note() -> None:
    assert read_notes(file_of(HEAD.pack(underway.UNDER_WAY, 0, 0))).torn == 1


# --- other releases ---


def test_a_newer_release_may_add_fields() -> None:
    newer = ENCODE([*msgspec.to_builtins(under_way(1)), "a field that came later", 7])
    assert read_notes(file_of(slot_bytes(newer))).requests == [under_way(1)]


def test_an_older_release_may_lack_fields() -> None:
    older = ENCODE(list(msgspec.to_builtins(under_way(1)))[:15])
    (note,) = read_notes(file_of(slot_bytes(older))).requests
    assert note == under_way(1, price_version="", config_hash="", session=None, tags=())


def test_what_only_another_release_understands_is_told_from_damage() -> None:
    notes = read_notes(file_of(slot_bytes(ENCODE({"a": "map"})), slot_bytes(ENCODE(under_way(1)))))
    assert (notes.unknown, notes.torn, notes.requests) == (1, 0, [under_way(1)])


def test_headers_of_newer_formats_are_not_known() -> None:
    newer = FILE_HEADER.pack(b"HGUW", underway.FORMAT_VERSION + 1)
    assert [known_header(data) for data in (file_header(), newer, b"HGJL\1\0\0\0", b"HGU")] == [
        True,
        False,
        False,
        False,
    ]
