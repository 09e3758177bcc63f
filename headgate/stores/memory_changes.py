"""Run-time changes and their trail in memory: for simulations and tests."""

from __future__ import annotations

from collections import deque

from headgate.change_types import AuditEntry, Change, Setting
from headgate.errors import Conflict, NotFound


class MemoryChanges:
    """The port `Changes` in memory. The trail is bounded: beyond `max_entries` the oldest ones are forgotten."""

    def __init__(self, max_entries: int = 10_000) -> None:
        self._changes: dict[Setting, Change] = {}
        self._version = 0
        self._trail: deque[tuple[int, AuditEntry]] = deque(maxlen=max_entries)
        self._numbered = 0

    async def version(self) -> int:
        return self._version

    async def all(self) -> list[Change]:
        return sorted(self._changes.values(), key=lambda change: (change.at, change.setting.written))

    async def put(self, change: Change, entry: AuditEntry, version: int) -> None:
        self._count_change(version)
        self._changes[change.setting] = change
        await self.note(entry)

    async def remove(self, setting: Setting, entry: AuditEntry, version: int) -> None:
        if setting not in self._changes:
            raise NotFound(f"Nobody changed '{setting.written}' at run time.", param="setting")
        self._count_change(version)
        del self._changes[setting]
        await self.note(entry)

    async def note(self, entry: AuditEntry) -> None:
        self._numbered += 1
        self._trail.append((self._numbered, entry))

    async def trail(self, limit: int, after: str | None = None) -> tuple[list[AuditEntry], str | None]:
        older = [(number, entry) for number, entry in reversed(self._trail) if after is None or number < int(after)]
        following = str(older[limit - 1][0]) if len(older) > limit else None
        return [entry for _, entry in older[:limit]], following

    def _count_change(self, version: int) -> None:
        if version != self._version:
            raise Conflict("Somebody else changed a setting at the same moment. Look at it and try again.")
        self._version += 1
