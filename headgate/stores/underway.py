"""What is under way: a note of each dispatched request, in a file that is mapped into memory.

Noting and forgetting a request are copies into the page cache, without a system call, and what was copied survives
`kill -9`. All of a file's space is taken when it is made, so a full disk shows then and not in the middle of a copy.

A file has places of `SLOT_BYTES`. The first has the header (magic, format version), each other one is a slot: `HEAD`
(state, length and CRC-32 of the payload) and a MessagePack payload, an `UnderWay` as an array. A free slot's head is
all zero, so that a write which the process did not live to finish never brings back what was there before. The state of
an attempt that failed is another: its request owes nothing, and counters outside this process may not know that yet.
"""

from __future__ import annotations

import errno
import logging
import mmap
import os
import struct
from functools import partial
from pathlib import Path
from zlib import crc32

import msgspec

from headgate.metering import NO_SLOT, UnderWay
from headgate.stores.cleaning import cleaned
from headgate.stores.ownership import create_owned

log = logging.getLogger(__name__)

SUFFIX = ".hgu"
MAGIC = b"HGUW"
FORMAT_VERSION = 1
FILE_HEADER = struct.Struct("<4sI")
SLOT_BYTES = 1024
HEAD = struct.Struct("<BxHI")
PAYLOAD_BYTES = SLOT_BYTES - HEAD.size
UNDER_WAY = 0xA5
FAILED = 0xAF
FREE = bytes(HEAD.size)
MAX_SLOTS = 65_536  # 64 MB

Place = tuple[mmap.mmap, int]  # where a slot is: a mapped file and an offset


class Notes(msgspec.Struct):
    """What was read from a file."""

    requests: list[UnderWay] = msgspec.field(default_factory=list)
    failed: list[UnderWay] = msgspec.field(default_factory=list)  # nothing came of their last attempt
    torn: int = 0  # slots that are damaged, or that the process did not live to finish
    unknown: int = 0  # intact, and written by a release that knows more


def file_header() -> bytes:
    return FILE_HEADER.pack(MAGIC, FORMAT_VERSION)


def known_header(data: bytes) -> bool:
    """Whether this is a table in a format that this release can read."""
    if len(data) < FILE_HEADER.size:
        return False
    magic, version = FILE_HEADER.unpack_from(data)
    return bool(magic == MAGIC and version <= FORMAT_VERSION)


def slot_bytes(payload: bytes) -> bytes:
    return HEAD.pack(UNDER_WAY, len(payload), crc32(payload)) + payload


def read_notes(data: bytes) -> Notes:
    """What a whole file, or what is left of one, says to be under way. Its header is somebody else's to check."""
    notes, decode = Notes(), msgspec.msgpack.Decoder(UnderWay).decode
    for offset in range(SLOT_BYTES, len(data), SLOT_BYTES):
        head = data[offset : offset + HEAD.size]
        if not head.strip(b"\0"):
            continue
        payload = b""
        if len(head) == HEAD.size:
            state, length, checksum = HEAD.unpack(head)
            if state in (UNDER_WAY, FAILED) and 0 < length <= PAYLOAD_BYTES:
                payload = data[offset + HEAD.size : offset + HEAD.size + length]
        if not payload or len(payload) != length or crc32(payload) != checksum:
            notes.torn += 1
            continue
        try:
            (notes.failed if state == FAILED else notes.requests).append(decode(payload))
        except msgspec.DecodeError:
            notes.unknown += 1
    return notes


class UnderWayTable:
    """This process's notes in `data_dir/journal/`. Created after any fork, used on the event loop only."""

    def __init__(self, directory: Path, started: int, slots: int) -> None:
        """`started` is when the process did, in milliseconds. Raises OSError, also when the disk is full."""
        self.unnoted = 0  # requests for which there was no slot since the start
        self._directory = directory
        self._started = started
        self._encode = msgspec.msgpack.Encoder().encode
        self._files: list[tuple[Path, int, mmap.mmap]] = []
        self._free: list[Place] = []  # the last one first: few pages are written again and again
        self._used: dict[int, Place] = {}
        self._last = 0
        self.reserve(slots)

    @property
    def life(self) -> str:
        """Names this process's life; no other process with a table has the same."""
        return f"{os.getpid()}-{self._started}"

    @property
    def slots(self) -> int:
        """How many requests can be noted at a time."""
        return len(self._free) + len(self._used)

    def paths(self) -> frozenset[Path]:
        return frozenset(path for path, _, _ in self._files)

    def reserve(self, slots: int) -> None:
        """See to it that there are so many slots, or `MAX_SLOTS`. Raises OSError when the disk has no space."""
        missing = min(slots, MAX_SLOTS) - self.slots
        if missing > 0:
            self._free[:0] = self._new_file(missing)

    def begin(self, under_way: UnderWay) -> int:
        """Note a request; see the port `Journal`."""
        if not self._free:
            return self._not_noted("all slots are in use")
        try:
            payload = self._encode(under_way)
        except (UnicodeEncodeError, OverflowError):  # a provider's or client's value that no database could hold
            under_way = cleaned(under_way)
            payload = self._encode(under_way)
        if len(payload) > PAYLOAD_BYTES:
            payload = self._shortened(under_way)
            if not payload:
                return self._not_noted("it does not fit into a slot")
        place = self._free.pop()
        mapped, offset = place
        data = slot_bytes(payload)
        mapped[offset : offset + len(data)] = data
        self._last += 1
        self._used[self._last] = place
        return self._last

    def end(self, slot: int) -> None:
        """Forget it; see the port `Journal`."""
        place = self._used.pop(slot, None)
        if place is not None:
            mapped, offset = place
            mapped[offset : offset + HEAD.size] = FREE
            self._free.append(place)

    def failed(self, slot: int) -> None:
        """Nothing came of its attempt; see the port `Journal`."""
        if slot in self._used:
            mapped, offset = self._used[slot]
            mapped[offset] = FAILED

    def close(self) -> None:
        """Unlock the files. They stay if something is still under way: then somebody charges it."""
        for path, descriptor, mapped in self._files:
            mapped.close()
            if not self._used:
                path.unlink(missing_ok=True)
            os.close(descriptor)
        self._files.clear()
        self._free.clear()
        self._used.clear()

    def _shortened(self, under_way: UnderWay) -> bytes:
        """Without what it is not charged to first of all; empty if that is still too long."""
        for fewer in ({"tags": ()}, {"tags": (), "session": None}):
            payload = self._encode(msgspec.structs.replace(under_way, **fewer))
            if len(payload) <= PAYLOAD_BYTES:
                return payload
        return b""

    def _not_noted(self, reason: str) -> int:
        if not self.unnoted:
            log.warning("a request is under way without a note, so a crash would lose its charge: %s", reason)
        self.unnoted += 1
        return NO_SLOT

    def _new_file(self, slots: int) -> list[Place]:
        """Its slots, the first one last."""
        size = (slots + 1) * SLOT_BYTES
        while (descriptor := create_owned(path := self._next_path(), partial(_fill, size))) is None:
            if not self._files:
                self._started += 1  # another life has this name
        try:
            mapped = mmap.mmap(descriptor, size)
        except OSError:
            path.unlink(missing_ok=True)
            os.close(descriptor)
            raise
        self._files.append((path, descriptor, mapped))
        return [(mapped, offset) for offset in range(size - SLOT_BYTES, 0, -SLOT_BYTES)]

    def _next_path(self) -> Path:
        return self._directory / f"underway-{self.life}-{len(self._files) + 1}{SUFFIX}"


def _fill(size: int, descriptor: int) -> None:
    """The header and zeros, with space on the disk for all of it."""
    if os.write(descriptor, file_header()) != FILE_HEADER.size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    elif os.write(descriptor, bytes(size - FILE_HEADER.size)) != size - FILE_HEADER.size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
