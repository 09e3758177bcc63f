"""Writes many short lines to a file descriptor without ever holding up the event loop.

Owns the buffer, its bound and the thread that may block on a slow reader. Must not know what the lines say.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import stat
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

FLUSH_SECONDS = 0.1
FLUSH_BYTES = 256 * 1024  # each flush wakes a thread, which takes the interpreter lock from the event loop
MAX_BUFFERED_BYTES = 4 * 1024 * 1024
MAX_UNMADE = 64  # lines made in one go: that holds up the event loop for a tenth of a millisecond

_log = logging.getLogger(__name__)


class LineWriter:
    """Collects lines and writes them every FLUSH_SECONDS, or sooner when FLUSH_BYTES have come together.

    A line that is only promised (`write_later`) is made together with others, because code that runs 64 times in a row
    takes half the time of code that runs once between two requests.

    While a reader does not keep up, at most `max_buffered_bytes` wait; further lines are dropped and counted, because a
    log that nobody reads must not stop the traffic. Used from one event loop; does not close the descriptor.
    """

    def __init__(self, descriptor: int, max_buffered_bytes: int = MAX_BUFFERED_BYTES) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._max_buffered_bytes = max_buffered_bytes
        self._unmade: list[Callable[[], bytes]] = []
        self._lines: list[bytes] = []
        self._buffered_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._failed = False  # the last time; said once, not ten times a second
        self._dropped_told = 0
        self._batches: SimpleQueue[list[bytes] | None] = SimpleQueue()  # what the thread shall write; None: end
        self._thread: threading.Thread | None = None
        self._idle = asyncio.Event()  # the thread has nothing to write
        self._idle.set()

    def write(self, line: bytes) -> None:
        """Take one line, with its newline. Must be called on the event loop."""
        self._take([line])

    def write_later(self, make: Callable[[], bytes]) -> None:
        """Take a line that `make` will make before the next flush; if it raises, that line is lost and said to be."""
        self._unmade.append(make)
        if len(self._unmade) >= MAX_UNMADE:
            self._make_lines()
        elif self._timer is None:
            self._start_timer()

    async def aclose(self, timeout_seconds: float = 2.0) -> None:
        """Write what is left, but wait no longer than this for a reader that does not read."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while self._unmade or self._lines or not self._idle.is_set():
                    self._flush()
                    await self._idle.wait()
        except TimeoutError:
            _log.warning("the reader of the request log did not read: its last lines are lost")
        if self._timer:
            self._timer.cancel()
        self._batches.put(None)

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)

    def _make_lines(self) -> None:
        unmade, self._unmade = self._unmade, []
        lines: list[bytes] = []
        for make in unmade:
            try:
                lines.append(make())
            except Exception:  # whatever a provider or a caller made up, it must not cost the lines of others
                _log.exception("a line of the request log cannot be made")
        self._take(lines)

    def _take(self, lines: list[bytes]) -> None:
        size = sum(map(len, lines))
        if self._buffered_bytes + size > self._max_buffered_bytes:
            self.dropped += len(lines)
            return
        self._lines += lines
        self._buffered_bytes += size
        if self._buffered_bytes >= FLUSH_BYTES:
            self._flush()
        elif self._timer is None:
            self._start_timer()

    def _flush(self) -> None:
        if self._unmade:
            self._make_lines()
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if not self._idle.is_set() or not self._lines:
            return
        lines, self._lines, self._buffered_bytes = self._lines, [], 0
        self._idle.clear()
        if self._thread is None:
            # A daemon, not an executor's thread: those are waited for when the process ends, and this may be stuck.
            loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._write_batches, args=(loop,), name="headgate-log", daemon=True)
            self._thread.start()
        self._batches.put(lines)

    def _write_batches(self, loop: asyncio.AbstractEventLoop) -> None:
        while (lines := self._batches.get()) is not None:
            failure = None
            try:
                _write_lines(self._descriptor, lines)
            except OSError as error:
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop was closed in the meantime
                loop.call_soon_threadsafe(self._written, failure)

    def _written(self, failure: OSError | None) -> None:
        self._idle.set()
        if failure and not self._failed:
            _log.error("the request log cannot be written, its lines are lost: %s", failure)
        self._failed = failure is not None
        if self.dropped > self._dropped_told:
            _log.warning("the request log is read too slowly: %d lines dropped so far", self.dropped)
            self._dropped_told = self.dropped
        if self._buffered_bytes >= FLUSH_BYTES:
            self._flush()


def _write_lines(descriptor: int, lines: list[bytes]) -> None:
    """Blocks until all is written. Raises OSError."""
    # Several workers may share one pipe, and only writes up to PIPE_BUF are never mixed with those of others.
    is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    for piece in _pieces(lines, select.PIPE_BUF) if is_pipe else (b"".join(lines),):
        while piece:
            piece = piece[os.write(descriptor, piece) :]


def _pieces(lines: list[bytes], limit: int) -> Iterator[bytes]:
    """Whole lines joined up to the limit; a longer line is a piece of its own."""
    piece: list[bytes] = []
    size = 0
    for line in lines:
        if piece and size + len(line) > limit:
            yield b"".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if piece:
        yield b"".join(piece)
