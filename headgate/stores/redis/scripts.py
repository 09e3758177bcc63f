"""The Lua scripts. Each is known to the server by the hash of its text, so that two releases run side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from headgate.stores.redis.encoding import bulk

FORMAT = 1  # of the keys; a release that lays them out differently counts up, and begins anew from the ledger
CACHE_NAMES = ("cache_get", "cache_put", "cache_find", "cache_flush", "cache_size", "lead")
SESSION_NAMES = ("session_get", "session_keep")
NAMES = ("admit", "extend", "work", "read", "doubtful", "rebuild", "resume", "enter", "reset", "lease")


class Script:
    """One script: its text, and the beginning of the command that runs it."""

    __slots__ = ("hash", "name", "run", "text")

    def __init__(self, name: str, text: bytes) -> None:
        self.name = name
        self.text = text
        self.hash = hashlib.sha1(text, usedforsecurity=False).hexdigest()
        self.run = b"$7\r\nEVALSHA\r\n" + bulk(self.hash.encode())

    def load(self) -> bytes:
        """The command that makes it known to the server."""
        return b"*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n" + bulk(self.text)


def packaged() -> dict[str, Script]:
    """All scripts of the counters by name. Each begins with what all share."""
    return _read(("meters", "holds"), NAMES)


def of_cache() -> dict[str, Script]:
    """All scripts of the cache."""
    return _read(("cache",), CACHE_NAMES)


def of_sessions() -> dict[str, Script]:
    """All scripts of routers' conversations."""
    return _read((), SESSION_NAMES)


def _read(shared: Sequence[str], names: Sequence[str]) -> dict[str, Script]:
    folder = Path(__file__).parent
    texts = [(folder / f"{name}.lua").read_bytes() for name in shared]
    return {name: Script(name, b"\n".join([*texts, (folder / f"{name}.lua").read_bytes()])) for name in names}
