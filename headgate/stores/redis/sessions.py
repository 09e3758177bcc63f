"""Which model each conversation was given, in Redis or Valkey: the same for all processes.

A look is one round trip; what is kept is sent in the background, on the same connection. A process remembers its own
conversations too, and goes by that while the server is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from headgate.errors import StoreUnavailable
from headgate.stores import memory_sessions
from headgate.stores.redis import scripts
from headgate.stores.redis.encoding import bulk
from headgate.stores.redis.line import Line, ScriptFailed

MOST_SESSIONS = 200_000  # of all processes together; about 210 bytes each
_PREFIX = f"headgate:{scripts.FORMAT}:sessions:{{sessions}}:".encode()


class RedisSessions:
    """Implements `route_ports.Sessions` on the connection of the cache. `now` is wall time, Unix seconds."""

    def __init__(self, line: Line, now: Callable[[], float], most: int = MOST_SESSIONS) -> None:
        self._line = line
        self._scripts = scripts.of_sessions()
        self._now = now
        self._most = most
        own = min(most, memory_sessions.MOST_SESSIONS)
        self._own = memory_sessions.MemorySessions(now, own)
        self._untold = memory_sessions.MemorySessions(now, own)  # newer than what the server knows

    async def model(self, session: bytes) -> str:
        if not self._line.healthy or self._untold.known(session):
            return self._own.known(session)
        try:
            told = await self._line.run(*self._command("session_get", [session, self._now_ms()]))
        except (StoreUnavailable, ScriptFailed):
            return self._own.known(session)
        return str(told, "utf-8") if told else self._own.known(session)  # a server that began anew knows nothing

    def keep(self, session: bytes, model: str, seconds: float, unless: Sequence[str] = ()) -> None:
        self._own.keep(session, model, seconds, unless)
        lives, most = b"%d" % int(seconds * 1000), b"%d" % self._most
        arguments = [session, model.encode(), lives, self._now_ms(), most, *(name.encode() for name in unless)]
        told = self._line.post(*self._command("session_keep", arguments))
        if told is None:
            self._untold.keep(session, model, seconds, unless)
            return
        self._untold.forget(session)
        told.add_done_callback(partial(self._heard, session, model, seconds))

    def _heard(self, session: bytes, model: str, seconds: float, told: asyncio.Future[Any]) -> None:
        if not told.cancelled() and told.exception() is not None:
            self._untold.keep(session, model, seconds)

    def _command(self, name: str, arguments: Sequence[bytes]) -> tuple[scripts.Script, int, bytes]:
        parts = [b"1", _PREFIX, *arguments]
        return self._scripts[name], len(parts), b"".join([bulk(part) for part in parts])

    def _now_ms(self) -> bytes:
        return b"%d" % int(self._now() * 1000)
