"""The log of alerts in memory: for simulations and tests."""

from __future__ import annotations

from headgate.alert_types import AlertRecord


class MemoryAlertLog:
    """The port `AlertLog` in memory, bounded: beyond `max_alerts` the oldest ones are forgotten."""

    def __init__(self, max_alerts: int = 10_000) -> None:
        self._max_alerts = max_alerts
        self._records: dict[str, AlertRecord] = {}  # by key, the first that was entered first
        self._claimed_until: dict[str, float] = {}  # by key, where something is pending

    async def claim(self, record: AlertRecord, until: float) -> bool:
        if record.alert.key in self._records:
            return False
        if len(self._records) >= self._max_alerts:
            self._forget(next(iter(self._records)))
        self._put(record, until)
        return True

    async def save(self, record: AlertRecord, until: float) -> None:
        if record.alert.key in self._records:
            self._put(record, until)

    async def resume(self, now: float, until: float) -> list[AlertRecord]:
        given_up = [key for key, claimed_until in self._claimed_until.items() if claimed_until < now]
        self._claimed_until.update(dict.fromkeys(given_up, until))
        return [self._records[key] for key in given_up]

    async def recent(self, limit: int) -> list[AlertRecord]:
        newest = sorted(self._records.values(), key=lambda record: (-record.alert.at, record.alert.key))
        return newest[:limit]

    async def prune(self, before: float) -> int:
        old = [key for key, record in self._records.items() if record.alert.at < before]
        for key in old:
            self._forget(key)
        return len(old)

    def _put(self, record: AlertRecord, until: float) -> None:
        key = record.alert.key
        self._records[key] = record
        self._claimed_until.pop(key, None)
        if record.pending:
            self._claimed_until[key] = until

    def _forget(self, key: str) -> None:
        del self._records[key]
        self._claimed_until.pop(key, None)
