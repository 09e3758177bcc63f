"""Answers kept in Redis or Valkey, shared by all processes. A server that is away has nothing: that is a miss.

What is kept is bounded by our own account of it, in the order of `memory_cache`. A look is one round trip; answers are
put in the background, on the same connection, so that a process finds what it has put.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from headgate.cache_types import CachedAnswer, CacheScope, CacheSize
from headgate.errors import StoreUnavailable
from headgate.stores.memory_cache import ENTRY_BYTES, LEAST_COST_PICOUSD
from headgate.stores.redis import scripts
from headgate.stores.redis.encoding import bulk
from headgate.stores.redis.line import Line, ScriptFailed

LIMIT_SECONDS = 0.1  # what a look may cost a request
_PREFIX = f"headgate:{scripts.FORMAT}:cache:{{cache}}:".encode()
_LOOKED_AT = b"500"  # answers in one go, when some are dropped
_ANSWER = msgspec.msgpack.Decoder(CachedAnswer)

log = logging.getLogger(__name__)


class RedisCache:
    """The port `CacheStore` on Redis 6 or later. Make it inside the event loop. `now` is wall time, Unix seconds.

    Bounds may be changed at any time; they hold for the answers of all processes together.
    """

    def __init__(
        self,
        url: str,
        now: Callable[[], float],
        *,
        max_entries: int,
        max_bytes: int,
        max_entry_bytes: int,
        limit_seconds: float = LIMIT_SECONDS,
    ) -> None:
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.max_entry_bytes = max_entry_bytes
        self._now = now
        self._scripts = scripts.of_cache()
        loaded = {**self._scripts, **scripts.of_sessions()}
        self.line = Line(url, loaded, _log_trouble, limit_seconds, "cache")
        self.line.open()
        self._size = CacheSize(0, 0)

    @property
    def last_error(self) -> str:
        """Why the server cannot be used; empty if it can."""
        return self.line.last_error

    async def start(self) -> None:
        """Connect. Raises StoreUnavailable; it is tried again in the background then."""
        await self.line.reach()

    async def get(self, key: bytes) -> CachedAnswer | None:
        if not self.line.healthy:
            return None
        try:
            answer = _read(await self._run("cache_get", [key]))
        except (StoreUnavailable, ScriptFailed):
            return None
        return answer if answer is not None and answer.expires_at > self._now() else None

    async def get_all(self, keys: Sequence[bytes]) -> list[CachedAnswer | None]:
        if not self.line.healthy:
            return [None for _ in keys]
        asked = [self.post("cache_get", [key]) for key in keys]
        told = await asyncio.gather(*[one for one in asked if one is not None], return_exceptions=True)
        now = self._now()
        found = [None if isinstance(one, BaseException) else _read(one) for one in told]
        return [one if one is not None and one.expires_at > now else None for one in found]

    def put(self, answer: CachedAnswer) -> None:
        length, now = len(answer.body) + len(answer.tail), self._now()
        lives_ms = int((answer.expires_at - now) * 1000)
        if length > self.max_entry_bytes or lives_ms <= 0 or not self.line.healthy:
            return
        size = ENTRY_BYTES + length
        value = max(answer.cost_picousd, LEAST_COST_PICOUSD) / size
        known = (
            size,
            answer.request_id,
            answer.tenant,
            answer.model,
            answer.answered_by,
            answer.prompt_version,
            answer.user or "",
        )
        arguments = [
            answer.key, msgspec.msgpack.encode(answer), msgspec.msgpack.encode(known), b"%d" % size, b"%.17g" % value,
            b"%d" % lives_ms, answer.request_id.encode(), self._now_ms(), b"%d" % self.max_entries,
            b"%d" % self.max_bytes,
        ]  # fmt: skip
        told = self.post("cache_put", arguments)
        if told is not None:
            told.add_done_callback(self._learn)

    async def find(self, request_id: str) -> CachedAnswer | None:
        answer = _read(await self._run("cache_find", [request_id.encode()]))
        return answer if answer is not None and answer.expires_at > self._now() else None

    async def flush(self, scope: CacheScope) -> int:
        given: list[bytes] = []
        for name in (scope.tenant, scope.model, scope.prompt_version, scope.user):
            given += [b"0", b""] if name is None else [b"1", name.encode()]
        cursor, dropped = b"0", 0
        while True:
            cursor, count = await self._run("cache_flush", [cursor, _LOOKED_AT, *given])
            dropped += int(count)
            if cursor == b"0":
                await self._refresh()
                return dropped

    def size(self) -> CacheSize:
        told = self.post("cache_size", [self._now_ms()])
        if told is not None:
            told.add_done_callback(self._learn)
        return self._size

    def post(self, name: str, arguments: Sequence[bytes]) -> asyncio.Future[Any] | None:
        """Run a script of the cache; None if the server is away."""
        return self.line.post(*self._command(name, arguments))

    async def aclose(self) -> None:
        await self.line.aclose()

    # --- parts ---

    async def _refresh(self) -> None:
        self._size = CacheSize(*await self._run("cache_size", [self._now_ms()]))

    async def _run(self, name: str, arguments: Sequence[bytes]) -> Any:
        return await self.line.run(*self._command(name, arguments))

    def _command(self, name: str, arguments: Sequence[bytes]) -> tuple[scripts.Script, int, bytes]:
        parts = [b"1", _PREFIX, *arguments]
        return self._scripts[name], len(parts), b"".join([bulk(part) for part in parts])

    def _now_ms(self) -> bytes:
        return b"%d" % int(self._now() * 1000)

    def _learn(self, told: asyncio.Future[Any]) -> None:
        if not told.cancelled() and told.exception() is None:
            self._size = CacheSize(*told.result())


def _read(data: bytes | None) -> CachedAnswer | None:
    """What another release has put may be of no use to this one."""
    try:
        return None if data is None else _ANSWER.decode(data)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return None


def _log_trouble(trouble: str) -> None:
    if trouble:
        log.warning("%s. Requests are answered by providers.", trouble.removesuffix("."))
    else:
        log.warning("the cache is back")
