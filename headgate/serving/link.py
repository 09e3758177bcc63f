"""What a worker and its parent say to each other: at the start `WorkerOptions`, then one word a line over a pair of
sockets.

    worker: ready     it serves, and the database has answered
    worker: reload    it has read the configuration again, all others shall
    parent: reload    read the configuration again
    worker: reloaded  it did, or told its log why not
    parent: reloaded  all others did

Either side learns from the end of the stream that the other one has died.
"""

from __future__ import annotations

import asyncio
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

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._others_reloaded = asyncio.Event()

    async def follow(self, reload: Callable[[], None]) -> None:
        """Do what the parent says until it is gone."""
        try:
            while word := await read_word(self._reader):
                if word == RELOAD:
                    reload()
                    self._say(RELOADED)
                elif word == RELOADED:
                    self._others_reloaded.set()
        finally:
            self._writer.close()
            self._others_reloaded.set()

    def tell_ready(self) -> None:
        """Say that this worker serves."""
        self._say(READY)

    async def reload_others(self) -> None:
        """Return when every other worker has read the configuration again, or the parent is gone."""
        if not self._writer.is_closing():
            self._others_reloaded.clear()
            self._say(RELOAD)
            await self._others_reloaded.wait()

    def _say(self, word: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(word)


async def read_word(reader: asyncio.StreamReader) -> bytes:
    """The next line, or nothing when the other side is gone."""
    try:
        return await reader.readline()
    except ConnectionError:
        return b""
