"""The file-backed journal: where a settled request is written before its last byte leaves.

Owns this process's segments in `data_dir/journal/`, the room they may take, and beside them the table of what is under
way. Knows nothing of the ledger: the drain asks for what is unread, and says what arrived. Everything here runs on the
event loop and never waits for a disk flush; what `write(2)` has taken survives the death of the process, and
`unsynced` hands out what a power loss could still take.

A segment is locked (`flock`) by its owner for the owner's life. A lock that can be taken means that the owner is
dead, and any process may adopt the segment.
"""

from __future__ import annotations

import errno
import logging
import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import msgspec

from headgate.config.schema import ServerConfig
from headgate.errors import DataDirUnusable, LedgerFull
from headgate.metering import UnderWay
from headgate.ports import Clock
from headgate.stores.frames import FILE_HEADER, FrameWriter, file_header
from headgate.stores.ownership import create_owned
from headgate.stores.rows import Rows
from headgate.stores.underway import UnderWayTable
from headgate.types import RequestRecord

log = logging.getLogger(__name__)

SUFFIX = ".hgj"
SEGMENT_BYTES = 8 * 2**20
RESERVE_BYTES = 4 * 2**20  # kept for requests that are already admitted when the room runs out: thousands of rows
PROBE_BYTES = 64 * 2**10  # must be writable after a write has failed, before requests are admitted again
UNWRITTEN_BYTES = 4 * 2**20  # of rows that a full disk took none of, in memory until it does
KEPT_FRAMES = 5000  # that wait and are in memory too, so that the drain need not read them: 6 MB
KEPT_TOGETHER = 1000  # go into the ledger in one transaction
RETRY_SECONDS = 5.0  # the drain asks the database at least this often, so room may come this soon


class Kept(msgspec.Struct):
    """Rows that are in memory too. Its frames end at the offset `end`."""

    rows: Rows
    end: int = 0


class Segment:
    """One file of the journal, open and locked. Offsets are bytes from the start of the file."""

    __slots__ = ("descriptor", "drained", "frames", "kept", "kept_from", "path", "size", "torn")

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.size = FILE_HEADER.size  # everything before it is whole frames
        self.drained = FILE_HEADER.size  # everything before it is in the ledger
        self.frames = 0  # between the two
        self.kept: deque[Kept] = deque()  # what the frames from `kept_from` to `size` say
        self.kept_from = FILE_HEADER.size
        self.torn = False  # holds half a frame that could not be cut off: nothing may be added


class Span(msgspec.Struct, frozen=True):
    """A stretch of whole frames that the ledger does not have yet."""

    segment: Segment
    start: int
    end: int
    rows: Rows | None = None  # what its frames say, if that is still in memory


class FileJournal:
    """The port `Journal` on files. One per process, created after any fork, used on the event loop only."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        *,
        max_bytes: int = 256_000_000,
        segment_bytes: int = SEGMENT_BYTES,
        slots: int = 0,
    ) -> None:
        """Creates the directory, the first segment, and a table for so many requests under way at a time.

        Raises DataDirUnusable.
        """
        self.directory = directory
        self.appended_bytes = 0  # since the start
        self.drained_bytes = 0  # of these, known to be in the ledger
        self.waiting_frames = 0
        self._max_bytes = max_bytes
        self._reserve_bytes = min(RESERVE_BYTES, max_bytes // 4)
        self._segment_bytes = segment_bytes
        self._writer = FrameWriter()
        self._number = 0
        self._disk_full = False
        self._unwritten: deque[tuple[bytes, Rows]] = deque()
        self._unwritten_bytes = 0
        self._names_unsynced = True
        self._unsynced: set[Segment] = set()
        self._segments: deque[Segment] = deque()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._table = UnderWayTable(directory, int(clock.now() * 1000), slots)
            self._current = self._open_segment()
        except OSError as error:
            raise DataDirUnusable(f"The journal cannot be made in server.data_dir: {error}.") from error

    @property
    def waiting_bytes(self) -> int:
        """What the ledger does not have yet."""
        return self.appended_bytes - self.drained_bytes

    @property
    def unnoted(self) -> int:
        """Requests that `begin` could not note since the start."""
        return self._table.unnoted

    def paths(self) -> frozenset[Path]:
        """All files that are this process's."""
        return frozenset(segment.path for segment in self._segments) | self._table.paths()

    def append(self, record: RequestRecord) -> None:
        self.append_all((record,))

    def append_all(self, records: Sequence[RequestRecord]) -> None:
        rows = Rows([], [], [])
        data = b"".join([self._writer.record(record, rows) for record in records])
        if self.appended_bytes - self.drained_bytes + len(data) > self._max_bytes:
            raise LedgerFull(
                "The database is away and the journal is full (server.ledger.journal_max_bytes).",
                retry_after_seconds=RETRY_SECONDS,
            )
        try:
            self._write(data, rows)
        except LedgerFull:
            self._put_by(data, rows)
            raise

    def mark_undelivered(self, request_id: str) -> None:
        """A note is small and at most one per record, so it may go beyond the bound; on a full disk it is lost."""
        try:
            self._write(self._writer.undelivered(request_id), Rows(undelivered=[request_id]))
        except LedgerFull:
            log.warning("the note that a client did not take its answer is lost", extra={"request_id": request_id})

    def room(self) -> bool:
        return not self._disk_full and self.waiting_bytes + self._reserve_bytes <= self._max_bytes

    def begin(self, under_way: UnderWay) -> int:
        return self._table.begin(under_way)

    def end(self, slot: int) -> None:
        self._table.end(slot)

    def failed(self, slot: int) -> None:
        self._table.failed(slot)

    def reserve(self, slots: int) -> None:
        """Let so many requests be noted at a time from now on, if the disk has space for them."""
        try:
            self._table.reserve(slots)
        except OSError as error:
            log.error("no more requests under way can be noted than before: %s", error)

    @property
    def disk_trouble(self) -> str:
        """Why the disk takes nothing; "" if it does."""
        if not self._disk_full:
            return ""
        if not self.directory.is_dir():
            return "the folder in server.data_dir is gone: put it back and start again"
        return "full: free space in server.data_dir"

    def look_at_disk(self) -> None:
        """To be called all the time: keeps the reserve free for those already admitted, and notices new space."""
        was_full, self._disk_full = self._disk_full, not self._disk_has_space()
        if self._disk_full and not was_full:
            log.error("no place for the journal: %s", self.disk_trouble, extra={"directory": str(self.directory)})
        elif was_full and not self._disk_full:
            log.info("the journal has place again", extra={"directory": str(self.directory)})
            self._write_late()

    def _disk_has_space(self) -> bool:
        """The file system's word, and, once a write has failed, a probe: it does not know of quotas."""
        try:
            found = os.statvfs(self.directory)
            if found.f_bavail * found.f_frsize < self._reserve_bytes:
                return False
            if not self._disk_full:
                return True
            if self._current.torn:
                self._rotate()
            probe = os.write(self._current.descriptor, bytes(PROBE_BYTES))
            os.ftruncate(self._current.descriptor, self._current.size)
        except (OSError, LedgerFull):
            self._cut_torn_tail()
            return False
        return probe == PROBE_BYTES

    def unread(self) -> Span | None:
        """The oldest stretch that is not in the ledger. Its rows are handed out once: a second time it must be read."""
        for segment in self._segments:
            if segment.drained == segment.size:
                continue
            if segment.drained < segment.kept_from:
                return Span(segment, segment.drained, segment.kept_from)
            kept = segment.kept.popleft()
            segment.kept_from = kept.end
            return Span(segment, segment.drained, kept.end, kept.rows)
        return None

    def arrived(self, segment: Segment, end: int, frames: int) -> None:
        """The ledger has everything of this segment before `end`: give the room back, and the file when it is done."""
        if end == segment.size:
            frames = segment.frames  # damaged ones were not counted by the reader
        self.drained_bytes += end - segment.drained
        self.waiting_frames -= frames
        segment.frames -= frames
        segment.drained = end
        if segment.drained < segment.size:
            return
        if segment is not self._current:
            self._remove(segment)
        elif not segment.torn:
            # Not left until the segment is full: a row read again after retention folded it would count twice.
            os.ftruncate(segment.descriptor, FILE_HEADER.size)
            segment.size = segment.drained = segment.kept_from = FILE_HEADER.size

    @property
    def needs_sync(self) -> bool:
        """Whether a power loss could take something that was appended and not handed out by `unsynced` since."""
        return self._names_unsynced or bool(self._unsynced)

    def unsynced(self) -> list[int]:
        """Duplicates of all descriptors that need `fsync` before everything appended so far survives a power loss."""
        descriptors = [os.dup(segment.descriptor) for segment in self._unsynced]
        self._unsynced.clear()
        if self._names_unsynced:
            descriptors.append(os.open(self.directory, os.O_RDONLY))
            self._names_unsynced = False
        return descriptors

    def close(self) -> None:
        """Unlock everything; what still waits or is under way is adopted by another process or the next start."""
        self._write_late()
        for segment in tuple(self._segments):
            if segment.drained >= segment.size:
                self._remove(segment)
            else:
                os.close(segment.descriptor)
        self._segments.clear()
        self._table.close()

    def _write(self, data: bytes, rows: Rows) -> None:
        """Append frames, which say `rows`."""
        segment = self._current
        if segment.torn or segment.size + len(data) > self._segment_bytes:
            segment = self._rotate()
        try:
            written = os.write(segment.descriptor, data)
        except OSError as error:
            raise self._no_space(str(error)) from error
        if written != len(data):
            raise self._no_space("no space left on the device")
        segment.size += written
        frames = len(rows.requests) + len(rows.undelivered)
        segment.frames += frames
        self.appended_bytes += written
        self.waiting_frames += frames
        if self.waiting_frames > KEPT_FRAMES:
            segment.kept.clear()
            segment.kept_from = segment.size
        else:
            self._keep(segment, rows)
        self._unsynced.add(segment)

    def _put_by(self, data: bytes, rows: Rows) -> None:
        """Their requests are refused the end of their answers, but a provider is paid for them."""
        if self._unwritten_bytes + len(data) > UNWRITTEN_BYTES:
            log.error("%d rows of the ledger are lost: too many wait for place on the disk", len(rows.requests))
            return
        self._unwritten.append((data, rows))
        self._unwritten_bytes += len(data)

    def _write_late(self) -> None:
        """What was put by, as far as the disk takes it."""
        while self._unwritten:
            data, rows = self._unwritten[0]
            try:
                self._write(data, rows)
            except LedgerFull:
                return
            self._unwritten.popleft()
            self._unwritten_bytes -= len(data)

    def _keep(self, segment: Segment, rows: Rows) -> None:
        if not segment.kept or len(segment.kept[-1].rows.requests) >= KEPT_TOGETHER:
            segment.kept.append(Kept(rows, segment.size))
        else:
            segment.kept[-1].rows.add(rows)
            segment.kept[-1].end = segment.size

    def _no_space(self, reason: str) -> LedgerFull:
        self._cut_torn_tail()
        self._disk_full = True
        log.error("the journal cannot be written: %s", reason, extra={"directory": str(self.directory)})
        return LedgerFull(
            f"The journal cannot be written: {reason}. Free space in server.data_dir.",
            retry_after_seconds=RETRY_SECONDS,
        )

    def _cut_torn_tail(self) -> None:
        try:
            os.ftruncate(self._current.descriptor, self._current.size)
        except OSError:
            self._current.torn = True

    def _rotate(self) -> Segment:
        """Start a new segment; when that fails, a whole one may grow beyond its size."""
        before = self._current
        try:
            self._current = self._open_segment()
        except OSError as error:
            if before.torn:
                raise self._no_space(str(error)) from error
            return before
        if before.drained >= before.size:
            self._remove(before)
        return self._current

    def _open_segment(self) -> Segment:
        while True:
            self._number += 1
            path = self.directory / f"journal-{self._table.life}-{self._number}{SUFFIX}"
            descriptor = create_owned(path, _write_header)
            if descriptor is None:
                continue
            segment = Segment(path, descriptor)
            self._segments.append(segment)
            self._names_unsynced = True
            return segment

    def _remove(self, segment: Segment) -> None:
        segment.path.unlink(missing_ok=True)
        self._segments.remove(segment)
        self._unsynced.discard(segment)
        os.close(segment.descriptor)


def _write_header(descriptor: int) -> None:
    if os.write(descriptor, file_header()) != FILE_HEADER.size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def open_journal(server: ServerConfig, clock: Clock) -> FileJournal:
    """The journal of a process, in its data directory."""
    directory, most = Path(server.data_dir) / "journal", server.ledger.journal_max_bytes
    return FileJournal(directory, clock, max_bytes=most, slots=server.max_in_flight)
