"""The embedder of this machine for a server: a process beside it that embeds, texts of many requests in one go.

Owns that process (`child.py`), the queue in front of it, and a memory of recent texts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import msgspec

from headgate.embedding import prepared
from headgate.embedding.child import LENGTH
from headgate.embedding.memory import RecentVectors, readable
from headgate.errors import EmbedderUnavailable
from headgate.ports import Used, Vector

START_SECONDS = 60.0  # making the embedder from its weights included
EMBED_SECONDS = 10.0
RETRY_SECONDS = 30.0  # after a start that failed
MAX_WAITING = 256  # texts; 0.4 s of work
MAX_BATCH = 16  # texts that go to the process together

_log = logging.getLogger(__name__)


class LocalEmbedder:
    """Implements `ports.Embedder`. The process starts with the first text, or with `start`, and anew if it fails."""

    name = prepared.NAME
    dimensions = prepared.DIMENSIONS

    def __init__(self, folder: Path, *, max_waiting: int = MAX_WAITING) -> None:
        """`folder`: where the prepared embedder is, or is to be made from an installed package."""
        self._folder = folder
        self._max_waiting = max_waiting
        self._child: asyncio.subprocess.Process | None = None
        self._waiting: OrderedDict[str, asyncio.Future[Vector]] = OrderedDict()  # in the order of arrival
        self._memory = RecentVectors()
        self._worker: asyncio.Task[None] | None = None
        self._closed = False
        self._failed: tuple[float, str] | None = None  # when the last start failed, and why

    async def embed(self, texts: Sequence[str], used: Used | None = None) -> list[Vector]:
        """As `ports.Embedder`; nobody charges. A text that somebody waits for already is embedded once."""
        found: list[Vector | asyncio.Future[Vector]] = []
        for text in texts:
            key = readable(text)
            vector = self._memory.get(key)
            found.append(self._wait_for(key) if vector is None else vector)
        return [one if isinstance(one, bytes) else await asyncio.shield(one) for one in found]

    async def start(self) -> None:
        """Load the model before the first request needs it. Raises EmbedderUnavailable."""
        await self.embed(["headgate"])

    async def aclose(self) -> None:
        """End the process. Who waits gets EmbedderUnavailable."""
        self._closed = True
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        self._refuse(EmbedderUnavailable("The embedder is closed: this process is shutting down."))
        await self._stop()

    # --- the queue ---

    def _wait_for(self, text: str) -> asyncio.Future[Vector]:
        future = self._waiting.get(text)
        if future is not None:
            return future
        loop = asyncio.get_running_loop()
        if self._closed:
            raise EmbedderUnavailable("The embedder is closed: this process is shutting down.")
        if self._failed is not None and loop.time() < self._failed[0] + RETRY_SECONDS:
            raise EmbedderUnavailable(self._failed[1])
        if len(self._waiting) >= self._max_waiting:
            words = f"{len(self._waiting)} texts wait for the embedder already. Send fewer, or run more processes."
            raise EmbedderUnavailable(words, retry_after_seconds=1)
        future = self._waiting[text] = loop.create_future()
        future.add_done_callback(_noticed)
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._work())
        return future

    async def _work(self) -> None:
        """Until nobody waits."""
        while self._waiting:
            batch = dict(list(self._waiting.items())[:MAX_BATCH])
            try:
                vectors = await self._ask(list(batch))
            except EmbedderUnavailable as error:
                self._refuse(error)
            except (OSError, EOFError, TimeoutError, msgspec.MsgspecError) as error:
                _log.warning("the embedding process failed, the next text gets a new one: %r", error)
                self._refuse(EmbedderUnavailable("The embedding process failed. Send it again."))
            else:
                for text, vector in zip(batch, vectors, strict=True):
                    self._memory.put(text, vector)
                    self._waiting.pop(text).set_result(vector)

    def _refuse(self, error: EmbedderUnavailable) -> None:
        while self._waiting:
            _, future = self._waiting.popitem(last=False)
            future.set_exception(EmbedderUnavailable(error.message))

    # --- the process ---

    async def _ask(self, texts: list[str]) -> list[Vector]:
        child = self._child or await self._start()
        assert child.stdin is not None
        request = msgspec.msgpack.encode(texts)
        try:
            async with asyncio.timeout(EMBED_SECONDS):
                child.stdin.write(LENGTH.pack(len(request)) + request)
                await child.stdin.drain()
                vectors = await _read(child)
                if isinstance(vectors, str) or len(vectors) != len(texts):
                    raise EOFError("an answer to something else")
                return vectors
        except BaseException:
            # Cancelled or broken in the middle: an answer may still come, and must not be taken for the next one's.
            await self._stop()
            raise

    async def _start(self) -> asyncio.subprocess.Process:
        # A session of its own keeps the terminal's Ctrl-C from it: it ends when its stdin does.
        self._child = child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "headgate.embedding.child", str(self._folder)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                trouble = await _read(child)
        except BaseException:
            await self._stop()
            raise
        if trouble:
            await self._stop()
            self._failed = asyncio.get_running_loop().time(), str(trouble)
            raise EmbedderUnavailable(str(trouble))
        return child

    async def _stop(self) -> None:
        child, self._child = self._child, None
        if child and child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()


async def _read(child: asyncio.subprocess.Process) -> str | list[bytes]:
    assert child.stdout is not None
    (length,) = LENGTH.unpack(await child.stdout.readexactly(LENGTH.size))
    return msgspec.msgpack.decode(await child.stdout.readexactly(length), type=str | list[bytes])


def _noticed(future: asyncio.Future[Vector]) -> None:
    """Whoever waited may be gone: an exception that nobody takes is no error of the loop."""
    if not future.cancelled():
        future.exception()
