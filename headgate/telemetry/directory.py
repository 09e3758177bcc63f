"""How the workers of one service show the same numbers: each keeps its own in a file that the others read.

Owns the files and whose they are. Every worker holds one *slot*, a number with a lock file that the kernel frees when
the process dies, however it dies. A worker that takes over a slot goes on counting where its predecessor stopped, so
no counter ever goes back and there are never more files than there were workers at once. The numbers begin at zero
with every start of the service, as those of a single process do.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec

from headgate.telemetry import totals
from headgate.telemetry.totals import Snapshot

_log = logging.getLogger(__name__)


def start_directory(root: Path) -> Path:
    """A new, empty directory below `root` for one start of the service; those of services that ended are removed.

    Called once by the process that starts the workers. Raises OSError if `root` cannot be written.
    """
    root.mkdir(parents=True, exist_ok=True)
    for old in root.iterdir():
        if not any(_is_held(lock) for lock in old.glob("*.lock")):
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix="service-", dir=root))


class MetricsDirectory:
    """One worker's place in the directory that all workers of a service share. May be used from several threads.

    Raises OSError if the directory cannot be written.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._directory.mkdir(parents=True, exist_ok=True)
        self._slot, self._lock_file = self._take_slot()
        self._inherited = self._read(self._slot).totals
        self._write(Snapshot(totals=self._inherited))  # the gauges in the file were the predecessor's
        self._lock = threading.Lock()  # over the two that follow, and the file
        self._published_number = 0
        self._closed = False

    def publish(self, own: Snapshot) -> Snapshot:
        """Let the others see this worker's numbers; returns them with what was inherited."""
        published = Snapshot(own.number, gauges=own.gauges)
        published.totals.add(self._inherited)
        published.totals.add(own.totals)
        with self._lock:
            if own.number > self._published_number and not self._closed:
                self._write(published)
                self._published_number = own.number
        return published

    def merged(self, own: Snapshot) -> Snapshot:
        """The numbers of all workers: totals of the dead ones too, gauges only of the living.

        They are published first: what one worker has shown, the next one to be asked must not fall short of.
        """
        merged = self.publish(own)
        for slot in self._slots():
            if slot == self._slot:
                continue
            other = self._read(slot)
            merged.totals.add(other.totals)
            if _is_held(self._lock_path(slot)):
                merged.gauges.add(other.gauges)
        return merged

    def close(self) -> None:
        """Give up the slot; its totals stay and are counted on."""
        with self._lock:
            self._closed = True
            os.close(self._lock_file)

    def _take_slot(self) -> tuple[int, int]:
        slot = 0
        while True:
            lock_file = os.open(self._lock_path(slot), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock_file)
                slot += 1
            else:
                return slot, lock_file

    def _read(self, slot: int) -> Snapshot:
        try:
            return totals.decode(self._file(slot).read_bytes())
        except FileNotFoundError:
            return Snapshot()
        except msgspec.MsgspecError as error:
            _log.warning("metrics of worker slot %d cannot be read and are left out: %s", slot, error)
            return Snapshot()

    def _write(self, snapshot: Snapshot) -> None:
        path = self._file(self._slot)
        temporary = path.with_suffix(".new")
        temporary.write_bytes(totals.encode(snapshot))
        temporary.replace(path)

    def _slots(self) -> Iterator[int]:
        return (int(path.stem) for path in self._directory.glob("*.mp"))

    def _file(self, slot: int) -> Path:
        return self._directory / f"{slot}.mp"

    def _lock_path(self, slot: int) -> Path:
        return self._directory / f"{slot}.lock"


def _is_held(lock: Path) -> bool:
    """Whether a living process holds the lock. Asking for a shared lock disturbs nobody but a worker just starting,
    which then takes the next slot."""
    try:
        lock_file = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock_file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock_file)
    return False
