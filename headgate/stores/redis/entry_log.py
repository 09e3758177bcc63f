"""Notes about entries in a Redis stream, which every process reads from its beginning: replicas know the same.

A process hears its own notes when they come back, so all apply them in one order. The stream is bounded: a new replica
begins with what is left of it. While the server is away a process applies its own notes at once and alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from headgate.errors import MissingExtra
from headgate.stores.redis import scripts

MOST_NOTES = 50_000  # in the stream: about 100 MB at 384 dimensions
KEPT_SECONDS = 30 * 86_400  # after the last note: nobody reads the stream of an embedder that is not used any more
MOST_QUEUED = 1_000  # that are not sent yet; beyond, a note stays in this process
MOST_AT_ONCE = 100
APPLIED_IN_ONE_GO = 10  # before others have their turn: a few milliseconds
BLOCK_MILLISECONDS = 5_000
LIMIT_SECONDS = 10.0  # for an answer, the blocking read included
RETRY_SECONDS = 1.0
_FIELD = b"note"

log = logging.getLogger(__name__)

Apply = Callable[[bytes], None]


class RedisEntryLog:
    """Implements `vector_ports.EntryLog` on Redis 6 or later. Make it inside the event loop."""

    def __init__(self, url: str, name: str, apply: Apply, *, most_notes: int = MOST_NOTES) -> None:
        """`name`: of the stream; processes with another embedder have another one. Raises MissingExtra."""
        try:
            from redis.asyncio import Redis
            from redis.exceptions import RedisError
        except ImportError as error:
            words = "A store on Redis needs the package redis: pip install 'headgate[redis]'."
            raise MissingExtra(words) from error
        self._errors = (RedisError, OSError, TimeoutError)
        self._client: Redis = Redis.from_url(url, socket_timeout=LIMIT_SECONDS, socket_connect_timeout=1.0)
        self._stream = f"headgate:{scripts.FORMAT}:semantic:{name}"
        self._apply = apply
        self._most_notes = most_notes
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(MOST_QUEUED)
        self._last = b"0-0"  # the newest note that was read
        self.healthy = False
        self.is_current = False
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._read_forever()), loop.create_task(self._write_forever())]

    def write(self, note: bytes) -> None:
        """As `vector_ports.EntryLog`."""
        if not self._tasks:
            return
        if self.healthy and not self._queue.full():
            self._queue.put_nowait(note)
        else:
            self._apply(note)

    async def aclose(self) -> None:
        """As `vector_ports.EntryLog`."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    async def _read_forever(self) -> None:
        while self._tasks:  # a cancellation may be lost in the client, which makes an error of it
            try:
                block = BLOCK_MILLISECONDS if self.healthy and self.is_current else None
                found = await self._client.xread({self._stream: self._last}, MOST_AT_ONCE, block)
            except self._errors as error:
                if self._tasks:
                    self._lost(error)
                    await asyncio.sleep(RETRY_SECONDS)
                continue
            if not self.healthy:
                self.healthy = True
                log.info("the semantic cache is kept in step with other processes")
            entries = [notes for _, notes in _entries(found)]
            for notes in entries:
                await self._take(notes)
            self.is_current = self.is_current or sum(map(len, entries)) < MOST_AT_ONCE

    async def _take(self, notes: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
        for place, (number, fields) in enumerate(notes):
            self._last = number
            if (note := fields.get(_FIELD)) is not None:
                self._apply(note)
            if place % APPLIED_IN_ONE_GO == APPLIED_IN_ONE_GO - 1:
                await asyncio.sleep(0)

    async def _write_forever(self) -> None:
        while self._tasks:
            notes = [await self._queue.get()]
            while not self._queue.empty() and len(notes) < MOST_AT_ONCE:
                notes.append(self._queue.get_nowait())
            try:
                async with self._client.pipeline(transaction=False) as pipeline:
                    for note in notes:
                        pipeline.xadd(self._stream, {_FIELD: note}, maxlen=self._most_notes, approximate=True)
                    pipeline.expire(self._stream, KEPT_SECONDS)
                    await pipeline.execute()
            except self._errors as error:
                self._lost(error)
                for note in notes:
                    self._apply(note)  # some may come back too: a note may be applied twice

    def _lost(self, error: Exception) -> None:
        if self.healthy:
            log.warning("the semantic cache of this process is on its own until Redis is back: %r", error)
        self.healthy = False


def _entries(found: Any) -> list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]:
    """The same from both versions of the protocol."""
    if isinstance(found, dict):
        return [(name, [entry for part in parts for entry in part]) for name, parts in found.items()]
    return list(found or ())
