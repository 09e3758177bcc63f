"""Billing records, adjustments and leases in memory: for simulations and tests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from headgate.bills import Adjustment, Amount, Booked, LedgerAttempt, LedgerLine, Reconciliation, Slot, Tokens
from headgate.errors import Conflict, InvalidRequest
from headgate.ports import Clock
from headgate.stores.groups import SECONDS_PER_DAY, day_of
from headgate.stores.memory import MemoryLedger
from headgate.types import AttemptRecord, Counted, RequestRecord, Usage

EVERYTHING = 2**40


class MemoryBillingRecords:
    """The port `BillingRecords` on a `MemoryLedger`."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger

    async def first_day(self, provider: str) -> int | None:
        records, _ = await self._ledger.page(EVERYTHING)
        return min((day_of(record.started_at) for record in records if record.provider == provider), default=None)

    async def lines(self, provider: str, day: int) -> list[LedgerLine]:
        found: dict[tuple[str, str, str], list[Usage]] = defaultdict(list)
        costs: dict[tuple[str, str, str], int] = defaultdict(int)
        for record, attempt in await self._used(provider, day):
            group = (attempt.upstream_model, attempt.key_fingerprint, record.tenant)
            found[group].append(attempt.usage)
            costs[group] += attempt.cost_picousd
        lines = []
        for (model, key, tenant), usages in sorted(found.items()):
            amount = Amount(len(usages), _sum(usages), costs[model, key, tenant])
            estimated = sum(usage.counted is not Counted.REPORTED for usage in usages)
            lines.append(LedgerLine(day, model, key, tenant, amount, estimated))
        return lines

    async def doubles(self, provider: str, day: int) -> list[LedgerAttempt]:
        seen: set[tuple[str, str, str]] = set()
        copies = []
        for _, attempt in await self._used(provider, day):
            one = (attempt.upstream_model, attempt.key_fingerprint, attempt.upstream_id)
            if attempt.upstream_id and one in seen:
                copies.append(_attempt(attempt, day))
            seen.add(one)
        return copies

    async def around_midnight(self, provider: str, day: int, seconds: float) -> list[LedgerAttempt]:
        found = [_attempt(attempt, day) for _, attempt in await self._used(provider, day)]
        first, last = day * SECONDS_PER_DAY + seconds, (day + 1) * SECONDS_PER_DAY - seconds
        return [one for one in found if one.started_at < first or one.ended_at >= last]

    async def _used(self, provider: str, day: int) -> list[tuple[RequestRecord, AttemptRecord]]:
        records, _ = await self._ledger.page(EVERYTHING)
        return sorted(_attempts_of(records, provider, day), key=lambda pair: (pair[1].started_at, pair[1].id))


class MemoryAdjustments:
    """The port `Adjustments` in memory."""

    def __init__(self) -> None:
        self._rows: list[Adjustment] = []
        self._reports: list[Reconciliation] = []

    async def booked(self, provider: str, first_day: int, last_day: int) -> Booked:
        amounts: dict[tuple[Slot, str], int] = defaultdict(int)
        for row in self._rows:
            if row.provider == provider and first_day <= row.slot.day <= last_day:
                amounts[row.slot, row.account] += row.amount_picousd
        return Booked(dict(amounts), self._version(provider))

    async def book(self, rows: Sequence[Adjustment], report: Reconciliation, version: int) -> None:
        if self._version(report.provider) != version:
            raise Conflict(f"Somebody else has booked for {report.provider} meanwhile. Run it again.")
        self._rows += rows
        self._reports.append(report)

    async def note(self, report: Reconciliation) -> None:
        self._reports.append(report)

    async def page(self, limit: int, after: str | None = None) -> tuple[list[Adjustment], str | None]:
        if after is not None and not after.isdecimal():
            raise InvalidRequest("`after` is not a cursor that was given out here.", param="after")
        start = int(after or 0)
        end = start + max(1, limit)
        return self._rows[start:end], str(end) if end < len(self._rows) else None

    async def reports(self, limit: int, provider: str | None = None) -> list[Reconciliation]:
        found = [report for report in reversed(self._reports) if provider in (None, report.provider)]
        return found[:limit]

    def _version(self, provider: str) -> int:
        return sum(row.provider == provider for row in self._rows)


class MemoryLeases:
    """The port `Leases` in memory."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[str, tuple[str, int, float]] = {}  # owner, token, until

    async def take(self, name: str, owner: str, seconds: float) -> int | None:
        holder, token, until = self._held.get(name, ("", 0, 0.0))
        now = self._clock.now()
        if holder not in ("", owner) and now < until <= now + 2 * seconds:
            return None
        token = token if holder == owner else token + 1
        self._held[name] = (owner, token, now + seconds)
        return token

    async def release(self, name: str, owner: str) -> None:
        holder, token, _ = self._held.get(name, ("", 0, 0.0))
        if holder == owner:
            self._held[name] = ("", token, 0.0)


def _attempts_of(
    records: Sequence[RequestRecord], provider: str, day: int
) -> Iterator[tuple[RequestRecord, AttemptRecord]]:
    for record in records:
        for attempt in record.attempts:
            used = attempt.usage.input > 0 or attempt.usage.output > 0
            if attempt.provider == provider and used and day_of(attempt.started_at) == day:
                yield record, attempt


def _attempt(attempt: AttemptRecord, day: int) -> LedgerAttempt:
    return LedgerAttempt(
        id=attempt.id,
        day=day,
        model=attempt.upstream_model,
        key=attempt.key_fingerprint,
        started_at=attempt.started_at,
        ended_at=attempt.started_at + attempt.seconds,
        amount=Amount(1, _sum([attempt.usage]), attempt.cost_picousd),
    )


def _sum(usages: Sequence[Usage]) -> Tokens:
    return Tokens(
        sum(usage.input for usage in usages),
        sum(usage.cached_input for usage in usages),
        sum(usage.cache_write for usage in usages),
        sum(usage.cache_write_1h for usage in usages),
        sum(usage.output for usage in usages),
    )
