"""Writes many short lines to a file descriptor without ever holding up the event loop.

Owns the buffer, its bound and the thread that may block on a slow reader. Must not know what the lines say.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

FLUSH_SECONDS = 0.1
FLUSH_BYTES = 64 * 1024
MAX_BUFFERED_BYTES = 4 * 1024 * 1024

_log = logging.getLogger(__name__)


class LineWriter:
    """Collects lines and writes them every FLUSH_SECONDS, or sooner when FLUSH_BYTES have come together.

    While a reader does not keep up, at most `max_buffered_bytes` wait; further lines are dropped and counted, because a
    log that nobody reads must not stop the traffic. Used from one event loop; does not close the descriptor.
    """

    def __init__(self, descriptor: int, max_buffered_bytes: int = MAX_BUFFERED_BYTES) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._max_buffered_bytes = max_buffered_bytes
        self._lines: list[bytes] = []
        self._buffered_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="headgate-log")

    def write(self, line: bytes) -> None:
        """Take one line, with its newline. Must be called on the event loop."""
        if self._buffered_bytes + len(line) > self._max_buffered_bytes:
            self.dropped += 1
            return
        self._lines.append(line)
        self._buffered_bytes += len(line)
        if self._buffered_bytes >= FLUSH_BYTES:
            self._flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)

    async def aclose(self, timeout_seconds: float = 2.0) -> None:
        """Write what is left, but wait no longer than this for a reader that does not read."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while self._lines or self._writing:
                    self._flush()
                    if self._writing:
                        await asyncio.wait((self._writing,))
        except TimeoutError:
            _log.warning("the request log's reader did not read: %d lines are lost", len(self._lines) + self.dropped)
        if self._timer:
            self._timer.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _flush(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._writing or not self._lines:
            return
        lines, self._lines, self._buffered_bytes = self._lines, [], 0
        loop = asyncio.get_running_loop()
        self._writing = loop.run_in_executor(self._thread, _write_lines, self._descriptor, lines)
        self._writing.add_done_callback(self._written)

    def _written(self, writing: asyncio.Future[None]) -> None:
        self._writing = None
        if not writing.cancelled() and (error := writing.exception()):
            _log.error("the request log could not be written: %s", error)
        if self._buffered_bytes >= FLUSH_BYTES:
            self._flush()


def _write_lines(descriptor: int, lines: list[bytes]) -> None:
    """Blocks until all is written. Raises OSError."""
    # Several workers may share one pipe, and only writes up to PIPE_BUF are never mixed with those of others.
    limit = select.PIPE_BUF if stat.S_ISFIFO(os.fstat(descriptor).st_mode) else FLUSH_BYTES
    for piece in _pieces(lines, limit):
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
