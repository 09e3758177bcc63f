"""Which process asks a provider, of all that were asked the same: a mark in Redis with the process's name.

A mark is believed as long as its process gives signs of life, which it does while it has any.
"""

from __future__ import annotations

import asyncio
from typing import Any

from headgate.errors import StoreUnavailable
from headgate.stores.redis.cache import RedisCache
from headgate.stores.redis.line import ScriptFailed

CLAIM_SECONDS = 600.0  # no answer takes longer
DEAD_SECONDS = 3.0  # without a sign of life
SIGN_SECONDS = 1.0


class RedisLeads:
    """Implements `ports.Leads` beside the answers that are kept, on their connection."""

    def __init__(self, cache: RedisCache, process: str, dead_seconds: float = DEAD_SECONDS) -> None:
        """`process` is unique among all of them."""
        self._cache = cache
        self._process = process
        self._claimed: set[bytes] = set()
        self._dead_ms = b"%d" % int(dead_seconds * 1000)
        self._sign: asyncio.TimerHandle | None = None

    async def claim(self, key: bytes, question: bytes) -> str:
        self._claimed.add(key)  # now: who is cancelled while he waits for the answer may have it too
        if self._sign is None:
            self._sign = asyncio.get_running_loop().call_later(SIGN_SECONDS, self._give_sign)
        told = await self._ask(b"claim", self._process, key, question)
        if told:
            self._claimed.discard(key)
        return str(told or b"", "ascii")

    async def asks(self, process: str, key: bytes) -> bool:
        return bool(await self._ask(b"asks", process, key))

    def release(self, key: bytes) -> None:
        if key in self._claimed:
            self._claimed.discard(key)
            self._cache.post("lead", self._arguments(b"release", self._process, key))

    def _give_sign(self) -> None:
        self._sign = None
        if self._claimed:
            self._cache.post("lead", self._arguments(b"live", self._process))
            self._sign = asyncio.get_running_loop().call_later(SIGN_SECONDS, self._give_sign)

    async def _ask(self, what: bytes, process: str, key: bytes, question: bytes = b"") -> Any:
        """None: the server is away."""
        told = self._cache.post("lead", self._arguments(what, process, key, question))
        if told is None:
            return None
        try:
            return await told
        except (StoreUnavailable, ScriptFailed):
            return None

    def _arguments(self, what: bytes, process: str, key: bytes = b"", question: bytes = b"") -> list[bytes]:
        return [what, process.encode(), key, question, b"%d" % int(CLAIM_SECONDS * 1000), self._dead_ms]
