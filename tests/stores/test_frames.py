"""The journal's format: what is whole is read, what is torn or damaged is not, what is unknown is kept."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.stores.frames import (
    REQUEST,
    REQUEST_AND_ATTEMPTS,
    UNDELIVERED,
    Batch,
    FrameReader,
    FrameWriter,
    file_header,
    frame,
    known_header,
)
from headgate.stores.rows import (
    ADDED_TO_ATTEMPTS,
    ADDED_TO_REQUESTS,
    MAX_RAW_BYTES,
    REQUEST_COLUMNS,
    UNTOLD,
    other_rows,
    records_of,
    request_row,
    told_attempt,
)
from headgate.types import RequestRecord
from tests.stores.records import record, record_lists, request_id

WRITER = FrameWriter()
THREE = [WRITER.record(record(number)) for number in range(3)]


def read(data: bytes, *, final: bool = True, limit: int = 1000) -> Batch:
    return FrameReader().read(data, final=final, limit=limit)


@settings(max_examples=25)
@given(records=record_lists())
def test_every_record_is_read_as_it_was_written(records: list[RequestRecord]) -> None:
    data = b"".join(map(WRITER.record, records))
    batch = read(data)
    assert records_of(batch.rows) == records
    assert (batch.end, batch.damaged_bytes, batch.torn_bytes) == (len(data), 0, 0)


def test_torn_at_any_byte_it_yields_exactly_what_is_complete() -> None:
    data = b"".join(THREE)
    ends = [0, len(THREE[0]), len(THREE[0] + THREE[1]), len(data)]
    for cut in range(len(data) + 1):
        complete = sum(end <= cut for end in ends) - 1
        batch = read(data[:cut])
        assert records_of(batch.rows) == [record(number) for number in range(complete)]
        assert batch.torn_bytes == cut - ends[complete]
        assert batch.damaged_bytes == 0
        assert batch.end == cut
        waiting = read(data[:cut], final=False)
        assert (records_of(waiting.rows), waiting.end) == (records_of(batch.rows), ends[complete]), "more may come"


def test_a_tail_of_zeros_is_torn() -> None:
    """As a file system leaves it after a power loss."""
    batch = read(THREE[0] + bytes(5000))
    assert records_of(batch.rows) == [record(0)]
    assert batch.torn_bytes == 5000


@given(position=st.integers(0, len(THREE[1]) - 1), bit=st.integers(0, 7))
def test_one_wrong_bit_costs_one_record(position: int, bit: int) -> None:
    middle = bytearray(THREE[1])
    middle[position] ^= 1 << bit
    batch = read(THREE[0] + middle + THREE[2])
    assert records_of(batch.rows) == [record(0), record(2)]
    assert batch.damaged_bytes == len(middle)


@given(junk=st.binary(max_size=300), limit=st.integers(1, 4))
def test_whatever_lies_between_two_records_both_are_read(junk: bytes, limit: int) -> None:
    data = THREE[0] + junk + THREE[1]
    found: list[RequestRecord] = []
    position = 0
    while position < len(data):
        batch = read(data[position:], limit=limit)
        assert batch.end > 0
        found += records_of(batch.rows)
        position += batch.end
    assert found == [record(0), record(1)]


def test_a_batch_ends_at_its_limit() -> None:
    batch = read(b"".join(THREE), limit=2)
    assert records_of(batch.rows) == [record(0), record(1)]
    assert batch.end == len(THREE[0] + THREE[1])


def test_notes_are_told_from_records() -> None:
    batch = read(THREE[0] + WRITER.undelivered(request_id(0)))
    assert (len(batch.rows.requests), batch.rows.undelivered, batch.frames) == (1, [request_id(0)], 2)


def test_a_kind_of_another_release_is_kept_whole() -> None:
    unknown = frame(77, b"from the future")
    batch = read(THREE[0] + unknown + THREE[1])
    assert records_of(batch.rows) == [record(0), record(1)]
    assert batch.unknown == [unknown]


@pytest.mark.parametrize("kind", [REQUEST, REQUEST_AND_ATTEMPTS])
def test_a_value_of_another_release_is_kept_whole(kind: int) -> None:
    row = request_row(record(1), UNTOLD)
    strange = tuple(
        "teleported" if name == "outcome" else value for name, value in zip(REQUEST_COLUMNS, row, strict=True)
    )
    unknown = frame(kind, msgspec.msgpack.encode(strange if kind == REQUEST else (strange, [])))
    assert read(unknown).unknown == [unknown]


@pytest.mark.parametrize("number_of_attempts", [1, 2])
def test_values_that_a_later_release_adds_are_left_out(number_of_attempts: int) -> None:
    attempts = tuple(
        msgspec.structs.replace(record(1).attempts[0], number=number, id=f"{request_id(1)}.{number}")
        for number in range(1, number_of_attempts + 1)
    )
    row = record(1, attempts=attempts)
    told = told_attempt(row)
    values, others = (*request_row(row, told), "new", 7), [(*each, 0.5) for each in other_rows(row, told)]
    kind, payload = (REQUEST_AND_ATTEMPTS, (values, others)) if others else (REQUEST, values)
    assert records_of(read(frame(kind, msgspec.msgpack.encode(payload))).rows) == [row]


@pytest.mark.parametrize("number_of_attempts", [0, 1, 2])
def test_values_that_the_earlier_release_did_not_have_say_nothing(number_of_attempts: int) -> None:
    """Its rows end before what was written to caches."""
    attempts = tuple(
        msgspec.structs.replace(record(1).attempts[0], number=number, id=f"{request_id(1)}.{number}")
        for number in range(1, number_of_attempts + 1)
    )
    row = record(1, attempts=attempts)
    told = told_attempt(row)
    values, others = request_row(row, told), other_rows(row, told)
    newest = len(ADDED_TO_REQUESTS) - len(ADDED_TO_ATTEMPTS)  # columns that came to requests alone
    for missing in range(len(ADDED_TO_REQUESTS) + 1):
        shorter = values[: len(values) - missing]
        shorter_others = [each[: len(each) - max(0, missing - newest)] for each in others]
        kind, payload = (REQUEST_AND_ATTEMPTS, (shorter, shorter_others)) if others else (REQUEST, shorter)
        batch = read(frame(kind, msgspec.msgpack.encode(payload)))
        assert records_of(batch.rows) == [row]
        assert [found[-len(ADDED_TO_REQUESTS) :] for found in batch.rows.requests] == [ADDED_TO_REQUESTS]
    too_short = frame(REQUEST, msgspec.msgpack.encode(values[: -len(ADDED_TO_REQUESTS) - 1]))
    assert read(too_short).unknown == [too_short]


def test_a_usage_object_out_of_all_proportion_is_not_kept() -> None:
    usage = msgspec.structs.replace(record(1).usage, raw=b'"' + b"x" * MAX_RAW_BYTES + b'"')
    (found,) = records_of(read(WRITER.record(record(1, usage=usage, attempts=()))).rows)
    assert found.usage == record(1).usage


def test_values_that_cannot_be_encoded_do_not_lose_the_record() -> None:
    wild = record(1, model="\ud800", cost_picousd=2**80)
    (row,) = records_of(read(WRITER.record(wild)).rows)
    assert (row.model, row.cost_picousd) == ("?", 2**63 - 1)


def test_an_empty_payload_is_no_frame() -> None:
    assert read(frame(UNDELIVERED, b"")).frames == 0


def test_only_headers_of_known_formats_are_known() -> None:
    header = file_header()
    assert known_header(header + THREE[0])
    assert not known_header(header[:-1])
    assert not known_header(b"HGJL\xff\x00\x00\x00")
    assert not known_header(b"SQLite format 3")
