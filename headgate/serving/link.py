"""What a worker and its parent say to each other: at the start `WorkerOptions`, then one word a line over a pair of
sockets.

    worker: ready     it accepts connections
    worker: reload    it has read the configuration again, all others shall
    parent: reload    read the configuration again
    worker: reloaded  it did, or told its log why not
    parent: reloaded  all others did

Either side learns from the end of the stream that the other one has died.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import msgspec

READY = b"ready\n"
RELOAD = b"reload\n"
RELOADED = b"reloaded\n"


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker is started. The sockets are inherited descriptors."""

    config: str | None  # the path; None: no file
    listen: int
    metrics: int | None
    metrics_directory: str
    link: int = -1
    is_first: bool = False


class Link:
    """The worker's end."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._writer: asyncio.StreamWriter | None = None
        self._others_reloaded = asyncio.Event()

    async def follow(self, reload: Callable[[], None]) -> None:
        """Say that this worker is ready, then do what the parent says until it is gone."""
        reader, self._writer = await asyncio.open_connection(sock=self._end)
        try:
            self._writer.write(READY)
            while word := await read_word(reader):
                if word == RELOAD:
                    reload()
                    self._writer.write(RELOADED)
                elif word == RELOADED:
                    self._others_reloaded.set()
        finally:
            self._writer.close()
            self._writer = None
            self._others_reloaded.set()

    async def reload_others(self) -> None:
        """Return when every other worker has read the configuration again, or the parent is gone."""
        if self._writer is not None:
            self._others_reloaded.clear()
            self._writer.write(RELOAD)
            await self._others_reloaded.wait()


async def read_word(reader: asyncio.StreamReader) -> bytes:
    """The next line, or nothing when the other side is gone."""
    try:
        return await reader.readline()
    except ConnectionError:
        return b""
