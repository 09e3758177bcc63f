"""The journal's file format: one header, then frames. Knows bytes and rows, no files and no ledger.

A file starts with `FILE_HEADER` (magic, format version). A frame is `FRAME` (marker, kind, payload length, CRC-32 of
kind and payload) and a MessagePack payload. The marker starts with a byte that UTF-8 text never contains, so that a
reader can find the next frame behind damaged bytes. A request is written as the values of its row, without names, and
read as what the database is given. A later release only adds values at the end, which an older one leaves out, and
knows what to put there when they are missing. A value whose loss would matter gets a new kind; a kind that this
release does not know, or cannot decode, is handed back as it is.
"""

from __future__ import annotations

import struct
from typing import Any
from zlib import crc32

import msgspec

from headgate.stores.cleaning import cleaned
from headgate.stores.layout import Layout
from headgate.stores.rows import (
    ADDED_TO_ATTEMPTS,
    ADDED_TO_REQUESTS,
    ATTEMPT_COLUMNS,
    REQUEST_COLUMNS,
    UNTOLD,
    Rows,
    other_rows,
    request_row,
    told_attempt,
)
from headgate.stores.schema import other_attempts, requests
from headgate.types import RequestRecord

MAGIC = b"HGJL"
FORMAT_VERSION = 1
FILE_HEADER = struct.Struct("<4sI")
FRAME = struct.Struct("<4sBII")
MARKER = b"\xffHG\n"
MAX_PAYLOAD_BYTES = 64 * 2**20  # a larger length can only be damage

NO_FRAME, CUT_OFF, END_OF_DATA = -1, -2, -3  # instead of the end of a frame

REQUEST = 1  # the row of a request, which tells its only attempt
UNDELIVERED = 2  # the id of a request whose answer was complete but not taken by the client
REQUEST_AND_ATTEMPTS = 3  # the row of a request, and the rows of the attempts that it does not tell


def file_header() -> bytes:
    return FILE_HEADER.pack(MAGIC, FORMAT_VERSION)


def known_header(data: bytes) -> bool:
    """Whether the file is a journal in a format that this release can read."""
    if len(data) < FILE_HEADER.size:
        return False
    magic, version = FILE_HEADER.unpack_from(data)
    return bool(magic == MAGIC and version <= FORMAT_VERSION)


def frame(kind: int, payload: bytes) -> bytes:
    return FRAME.pack(MARKER, kind, len(payload), crc32(payload, kind)) + payload


class FrameWriter:
    """Turns records into frames; keeps its encoder."""

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode

    def record(self, record: RequestRecord, rows: Rows | None = None) -> bytes:
        """The frame of a record, whose rows are added to `rows` too."""
        try:
            return self._record(record, rows)
        except (UnicodeEncodeError, OverflowError):  # a provider's or client's value that no database could hold either
            return self._record(cleaned(record), rows)

    def _record(self, record: RequestRecord, rows: Rows | None) -> bytes:
        told = told_attempt(record)
        row = request_row(record, told)
        if len(record.attempts) == (told is not UNTOLD):
            written, others = frame(REQUEST, self._encode(row)), []
        else:
            others = other_rows(record, told)
            written = frame(REQUEST_AND_ATTEMPTS, self._encode((row, others)))
        if rows is not None:
            rows.requests.append(row)
            rows.attempts += others
        return written

    def undelivered(self, request_id: str) -> bytes:
        return frame(UNDELIVERED, self._encode(request_id))


class Batch(msgspec.Struct):
    """What was read from a stretch of a journal. `end` is the offset behind the last frame that was consumed."""

    rows: Rows
    unknown: list[bytes]  # whole frames that this release cannot decode
    end: int = 0
    damaged_bytes: int = 0  # skipped, with good frames behind them
    torn_bytes: int = 0  # dropped at the end: a write that the process did not live to finish

    @property
    def readable(self) -> int:
        """Frames that were decoded."""
        return len(self.rows.requests) + len(self.rows.undelivered)

    @property
    def frames(self) -> int:
        return self.readable + len(self.unknown)

    def add(self, following: Batch) -> None:
        """Make one of this and what was read behind it."""
        self.rows.add(following.rows)
        self.unknown += following.unknown
        self.end = following.end
        self.damaged_bytes += following.damaged_bytes
        self.torn_bytes += following.torn_bytes


class FrameReader:
    """Turns bytes into batches; keeps its decoders."""

    def __init__(self) -> None:
        self._requests = Layout(requests, REQUEST_COLUMNS, ADDED_TO_REQUESTS)
        self._attempts = Layout(other_attempts, ATTEMPT_COLUMNS, ADDED_TO_ATTEMPTS)
        self._request = msgspec.msgpack.Decoder(self._requests.type).decode
        self._request_id = msgspec.msgpack.Decoder(str).decode
        self._list = msgspec.msgpack.Decoder(list[Any]).decode
        self._request_and_attempts = msgspec.msgpack.Decoder(tuple[list[Any], list[list[Any]]]).decode

    def read(self, data: bytes, *, final: bool, limit: int) -> Batch:
        """Up to `limit` frames from the start of `data`.

        `final` says that nothing follows `data`: what is incomplete then is torn. Otherwise reading stops before it.
        """
        batch = Batch(Rows(), [])
        position = 0
        for _ in range(limit):
            begin = position
            end = self._add(batch, data, begin)
            while end == NO_FRAME or (end == CUT_OFF and final):
                begin = data.find(MARKER, begin + 1)
                end = self._add(batch, data, begin) if begin != -1 else END_OF_DATA
            if end < 0:
                break
            batch.damaged_bytes += begin - position
            position = end
        if final and end == END_OF_DATA:
            batch.torn_bytes = len(data) - position
            position = len(data)
        batch.end = position
        return batch

    def _add(self, batch: Batch, data: bytes, begin: int) -> int:
        """Add the frame that begins here; where it ends, or why there is none."""
        start = begin + FRAME.size
        if start > len(data):
            return CUT_OFF if begin < len(data) else END_OF_DATA
        marker, kind, length, checksum = FRAME.unpack_from(data, begin)
        if marker != MARKER or not 0 < length <= MAX_PAYLOAD_BYTES:
            return NO_FRAME
        end: int = start + length
        if end > len(data):
            return CUT_OFF
        payload = data[start:end]
        if crc32(payload, kind) != checksum:
            return NO_FRAME
        if kind == REQUEST:
            try:
                batch.rows.requests.append(self._request(payload))
                return end
            except msgspec.DecodeError:
                pass  # intact, so another release wrote it: with more columns, or a new outcome, say
        try:
            self._add_rarer(batch.rows, kind, payload)
        except msgspec.DecodeError:
            batch.unknown.append(data[begin:end])
        return end

    def _add_rarer(self, rows: Rows, kind: int, payload: bytes) -> None:
        if kind == UNDELIVERED:
            rows.undelivered.append(self._request_id(payload))
        elif kind == REQUEST:
            rows.requests.append(self._requests.fitted(self._list(payload)))
        elif kind == REQUEST_AND_ATTEMPTS:
            values, others = self._request_and_attempts(payload)
            row, attempts = self._requests.fitted(values), [self._attempts.fitted(each) for each in others]
            rows.requests.append(row)
            rows.attempts += attempts
        else:
            raise msgspec.ValidationError(f"kind {kind}")
