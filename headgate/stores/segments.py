"""Reading the journal: stretches of this process's own segments, and the segments of dead processes.

Everything here blocks on files and belongs on the drain's thread. Knows no ledger: what was read is handed over as a
batch, and a segment is deleted only when the drain says that its batches arrived.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from headgate.stores.frames import FILE_HEADER, Batch, FrameReader, file_header, known_header
from headgate.stores.journal import SUFFIX
from headgate.stores.ownership import UNBORN_SUFFIX, take

log = logging.getLogger(__name__)

CHUNK_BYTES = 128 * 2**10


def read_frames(reader: FrameReader, descriptor: int, start: int, end: int, limit: int) -> Batch:
    """Up to `limit` frames between two offsets of a file; `end` of the batch is an offset in the file too."""
    size = CHUNK_BYTES
    while True:
        data = os.pread(descriptor, min(size, end - start), start)
        final = start + len(data) >= end or not data
        batch = reader.read(data, final=final, limit=limit)
        if batch.end or final:
            break
        size *= 2  # a frame larger than the chunk, or damage that goes on beyond it
    batch.end = start + batch.end if data else end
    return batch


class Orphan:
    """A dead process's segment, locked by us while it is read."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.position = FILE_HEADER.size
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._unknown: list[bytes] = []
        self._readable = 0
        self._reader = FrameReader()

    def read(self, limit: int) -> Batch | None:
        """The next batch, None at the end. Reading on says that the last batch is in the ledger."""
        if self.position >= self._size:
            return None
        batch = read_frames(self._reader, self._descriptor, self.position, self._size, limit)
        self.position = batch.end
        self._unknown += batch.unknown
        self._readable += batch.readable
        return batch

    def finish(self) -> int:
        """All of it is in the ledger: delete it, but leave what another release must read; returns how many frames."""
        if not self._unknown:
            self.path.unlink()
        elif self._readable:
            rest = self.path.with_suffix(UNBORN_SUFFIX)
            rest.write_bytes(file_header() + b"".join(self._unknown))
            rest.replace(self.path)
        return len(self._unknown)

    def close(self) -> None:
        """Unlock it; unless it was finished, it waits for a later attempt."""
        os.close(self._descriptor)


class Orphanage:
    """Finds segments whose owner is dead, one at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._left: set[tuple[str, int]] = (
            set()
        )  # name and size of segments that hold only what this release cannot read

    def adopt(self, own: frozenset[Path]) -> Orphan | None:
        """The next segment that nobody holds, locked. `own` are this process's, which some file systems would lock
        again."""
        for path in sorted(self._directory.glob(f"*{UNBORN_SUFFIX}")):
            if (descriptor := take(path)) is not None:
                path.unlink(missing_ok=True)
                os.close(descriptor)
        for path in sorted(self._directory.glob(f"*{SUFFIX}")):
            if path in own or (descriptor := take(path)) is None:
                continue
            size = os.fstat(descriptor).st_size
            if (path.name, size) in self._left:
                os.close(descriptor)
            elif size >= FILE_HEADER.size and not known_header(os.pread(descriptor, FILE_HEADER.size, 0)):
                log.error(
                    "a journal segment in an unknown format is left for a newer release", extra={"path": str(path)}
                )
                self.leave(path)
                os.close(descriptor)
            else:
                return Orphan(path, descriptor)
        return None

    def leave(self, path: Path) -> None:
        """Do not offer this segment again as it is now."""
        self._left.add((path.name, path.stat().st_size))


def has_segments(directory: Path, life: str) -> bool:
    """Whether there are still segments of this life of a process."""
    return any(directory.glob(f"journal-{life}-*{SUFFIX}"))
