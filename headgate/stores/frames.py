"""The journal's file format: one header, then frames. Knows bytes and records, no files and no ledger.

A file starts with `FILE_HEADER` (magic, format version). A frame is `FRAME` (marker, kind, payload length, CRC-32 of
kind and payload) and a MessagePack payload. The marker starts with a byte that UTF-8 text never contains, so that a
reader can find the next frame behind damaged bytes. Records are written as maps: a reader of another release skips
members it does not know and gives absent ones their default. A member whose loss would matter gets a new kind; a kind
that this release does not know, or cannot decode, is handed back as it is.
"""

from __future__ import annotations

import struct
from zlib import crc32

import msgspec

from headgate.stores.cleaning import cleaned
from headgate.types import RequestRecord

MAGIC = b"HGJL"
FORMAT_VERSION = 1
FILE_HEADER = struct.Struct("<4sI")
FRAME = struct.Struct("<4sBII")
MARKER = b"\xffHG\n"
MAX_PAYLOAD_BYTES = 64 * 2**20  # a larger length can only be damage

KIND_OFFSET = len(MARKER)
NO_FRAME, CUT_OFF, END_OF_DATA = -1, -2, -3  # instead of the end of a frame

RECORD = 1  # a RequestRecord with its attempts
UNDELIVERED = 2  # the id of a request whose answer was complete but not taken by the client


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

    def record(self, record: RequestRecord) -> bytes:
        try:
            payload = self._encode(record)
        except (UnicodeEncodeError, OverflowError):  # a provider's or client's value that no database could hold either
            payload = self._encode(cleaned(record))
        return frame(RECORD, payload)

    def undelivered(self, request_id: str) -> bytes:
        return frame(UNDELIVERED, self._encode(request_id))


class Batch(msgspec.Struct):
    """What was read from a stretch of a journal. `end` is the offset behind the last frame that was consumed."""

    records: list[RequestRecord]
    undelivered: list[str]
    unknown: list[bytes]  # whole frames that this release cannot decode
    end: int = 0
    damaged_bytes: int = 0  # skipped, with good frames behind them
    torn_bytes: int = 0  # dropped at the end: a write that the process did not live to finish

    @property
    def frames(self) -> int:
        return len(self.records) + len(self.undelivered) + len(self.unknown)


class FrameReader:
    """Turns bytes into batches; keeps its decoders."""

    def __init__(self) -> None:
        self._record = msgspec.msgpack.Decoder(RequestRecord)
        self._request_id = msgspec.msgpack.Decoder(str)

    def read(self, data: bytes, *, final: bool, limit: int) -> Batch:
        """Up to `limit` frames from the start of `data`.

        `final` says that nothing follows `data`: what is incomplete then is torn. Otherwise reading stops before it.
        """
        batch = Batch([], [], [])
        view = memoryview(data)
        position = 0
        for _ in range(limit):
            begin = position
            end = _end_of_frame(view, begin)
            while end == NO_FRAME or (end == CUT_OFF and final):
                begin = data.find(MARKER, begin + 1)
                end = _end_of_frame(view, begin) if begin != -1 else END_OF_DATA
            if end < 0:
                break
            batch.damaged_bytes += begin - position
            self._add(batch, view[begin:end])
            position = end
        if final and end == END_OF_DATA:
            batch.torn_bytes = len(data) - position
            position = len(data)
        batch.end = position
        return batch

    def _add(self, batch: Batch, whole: memoryview) -> None:
        kind = whole[KIND_OFFSET]
        payload = whole[FRAME.size :]
        try:
            if kind == RECORD:
                batch.records.append(self._record.decode(payload))
            elif kind == UNDELIVERED:
                batch.undelivered.append(self._request_id.decode(payload))
            else:
                batch.unknown.append(bytes(whole))
        except msgspec.DecodeError:  # intact, so another release wrote it: a new outcome, say
            batch.unknown.append(bytes(whole))


def _end_of_frame(view: memoryview, begin: int) -> int:
    """Where an intact frame that begins here ends, or why there is none."""
    payload = begin + FRAME.size
    if payload > len(view):
        return CUT_OFF if begin < len(view) else END_OF_DATA
    marker, kind, length, checksum = FRAME.unpack_from(view, begin)
    if marker != MARKER or not 0 < length <= MAX_PAYLOAD_BYTES:
        return NO_FRAME
    end: int = payload + length
    if end > len(view):
        return CUT_OFF
    return end if crc32(view[payload:end], kind) == checksum else NO_FRAME
