"""What was used before this process, or this store, knew anybody: read from the ledger, which knows everything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import tzinfo
from typing import Protocol, runtime_checkable

import msgspec

from headgate.errors import DatabaseUnavailable, StoreUnavailable
from headgate.metering import Dated, Meter
from headgate.policy import calendar, metered
from headgate.policy.calendar import zone_of
from headgate.ports import Clock, Counters
from headgate.types import Caller, Measure, MeterKind, Rule, Scope, UsageRow

PARTS = 12  # of a rolling window, that are told apart
AGAIN_SECONDS = (1.0, 10.0)  # others write within a quarter of a second, as a rule
LOOK_SECONDS = 0.5
SESSION_SECONDS = 86_400.0  # a session that was quiet for longer begins anew
_GROUPS = {
    Scope.TENANT: "tenant",
    Scope.USER: "who",
    Scope.KEY: "key",
    Scope.MODEL: "model",
    Scope.SESSION: "session",
    Scope.TAG: "tags",
}
_tags = msgspec.json.Decoder(tuple[str, ...])


class Past(Protocol):
    """A ledger, as far as it must know what was used until now."""

    async def used(
        self, by: str, tenant: str, *, since: float, until: float | None = None, without: Sequence[str] = ()
    ) -> list[UsageRow]:
        """As `ports.Ledger` has it. Raises DatabaseUnavailable."""


@runtime_checkable
class SharedCounters(Protocol):
    """Counters of many processes, which the ledger hears of at other moments than they do."""

    async def doubtful(self, tenant: str) -> Sequence[str]:
        """Requests that are counted here by their settlements, whatever the ledger says: it must be read without them.

        Waits after a loss, until the processes that have some under way have announced them. Raises StoreUnavailable.
        """


class Rebuilder:
    """Tells counters that know nothing of a tenant what the ledger knows, once for all who wait for it.

    Counters that many processes share may have been emptied while these worked. What is under way then, and what ends
    before they are there again, is counted by its settlements, and the ledger is read without it. What a process did
    that was too slow to say so is in neither: it is read again soon after. So is what was let in without them.
    """

    def __init__(
        self, counters: Counters, ledger: Past, clock: Clock, rules_of: Callable[[str], Iterable[Rule]] | None
    ) -> None:
        """`rules_of` has every rule that any key of a tenant may have, if that is more than a caller's own."""
        self._counters = counters
        self._shared = counters if isinstance(counters, SharedCounters) else None
        self._ledger = ledger
        self._clock = clock
        self._rules_of = rules_of
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._again: list[tuple[float, Caller, bool]] = []  # when it is read again, and after a loss?

    async def rebuild(self, caller: Caller, *, were_known: bool) -> None:
        """`were_known`: they did know the tenant once. Raises StoreUnavailable or DatabaseUnavailable."""
        task = self._under_way.get(caller.tenant)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._rebuild(caller, were_known))
            self._under_way[caller.tenant] = task
            task.add_done_callback(lambda done: self._under_way.pop(caller.tenant, None))
        await asyncio.shield(task)

    def read_later(self, caller: Caller, *, after_loss: bool = False) -> None:
        """What the ledger will know soon, counters may not."""
        now = self._clock.monotonic()
        known = {one.tenant for _, one, _ in self._again}
        if after_loss or caller.tenant not in known:
            self._again += [(now + seconds, caller, after_loss) for seconds in AGAIN_SECONDS]

    async def keep_reading(self) -> None:
        """For ever: what the ledger knows by now of the tenants that were rebuilt is counted at least."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.read_again()

    async def read_again(self) -> None:
        """As `keep_reading`, for those whose time has come."""
        now, again, self._again = self._clock.monotonic(), self._again, []
        for at, caller, after_loss in again:
            try:
                if at <= now:
                    await self._read(caller, after_loss=after_loss)
                else:
                    self._again.append((at, caller, after_loss))
            except (StoreUnavailable, DatabaseUnavailable):
                self._again.append((now + max(AGAIN_SECONDS), caller, after_loss))

    async def _rebuild(self, caller: Caller, were_known: bool) -> None:
        was_known = await self._read(caller)
        if were_known and not was_known:
            self.read_later(caller, after_loss=True)

    async def _read(self, caller: Caller, *, after_loss: bool = False) -> bool:
        others = self._rules_of(caller.tenant) if self._rules_of is not None else ()
        rules = dict.fromkeys((*caller.tier.rules, *others))
        without: Sequence[str] = ()
        if self._shared is not None:
            without, after_loss = await self._shared.doubtful(caller.tenant), True
        zone, now = zone_of(caller.timezone), self._clock.now()
        ledger = Asked(self._ledger, caller.tenant, without)
        late = await dated(ledger, rules, zone, now)
        whole = await spent(ledger, rules, zone, now)
        return await self._counters.rebuild(caller.tenant, whole, late, after_loss=after_loss)


class Asked:
    """A ledger's answers about a tenant, each asked for once."""

    def __init__(self, ledger: Past, tenant: str, without: Sequence[str] = ()) -> None:
        self._ledger = ledger
        self._tenant = tenant
        self._without = without
        self._told: dict[tuple[str, float, float | None], Sequence[UsageRow]] = {}

    async def used(self, by: str, since: float, until: float | None = None) -> Sequence[UsageRow]:
        """Raises DatabaseUnavailable."""
        question = by, since, until
        if question not in self._told:
            self._told[question] = await self._ledger.used(
                by, self._tenant, since=since, until=until, without=self._without
            )
        return self._told[question]


async def spent(ledger: Asked, rules: Iterable[Rule], zone: tzinfo, now: float) -> list[tuple[Meter, int]]:
    """What every meter of a tenant has used of its window until now. Raises DatabaseUnavailable."""
    found: list[tuple[Meter, int]] = []
    for rule in rules:
        if rule.scope not in _GROUPS or rule.kind in (MeterKind.CONCURRENCY, MeterKind.REPEAT):
            continue
        rows = await ledger.used(_GROUPS[rule.scope], _since(rule, zone, now))
        for name, amount in _by_name(rule, rows).items():
            if not rule.only or name in rule.only:
                found.append((metered.meter(rule, name, zone, now), amount))
    return found


async def dated(ledger: Asked, rules: Iterable[Rule], zone: tzinfo, now: float) -> list[Dated]:
    """When it was that rolling meters have used what they have, the latest first. An amount counts up to a PARTS-th of
    its window too long, never too short. Raises DatabaseUnavailable."""
    found: list[Dated] = []
    for rule in rules:
        if rule.kind is not MeterKind.ROLLING or rule.scope not in _GROUPS:
            continue
        by, width, totals = _GROUPS[rule.scope], rule.period_seconds / PARTS, dict[str, int]()
        for part in range(PARTS):
            ends_at = now - part * width
            rows = await ledger.used(by, ends_at - width, ends_at if part else None)
            for name, amount in _by_name(rule, rows).items():
                if amount and (not rule.only or name in rule.only):
                    totals[name] = totals.get(name, 0) + amount
                    found.append(Dated(metered.meter(rule, name, zone, now), totals[name], ends_at))
    return found


def _since(rule: Rule, zone: tzinfo, now: float) -> float:
    if rule.kind is not MeterKind.BUDGET:
        return now - rule.period_seconds
    return now - SESSION_SECONDS if rule.scope is Scope.SESSION else calendar.period(rule.window, zone, now).begins_at


def _by_name(rule: Rule, rows: Sequence[UsageRow]) -> dict[str, int]:
    amounts: dict[str, int] = {}
    for row in rows:
        for name in _names(rule.scope, row.group):
            amounts[name] = amounts.get(name, 0) + _amount(rule, row)
    return amounts


def _names(scope: Scope, group: str) -> tuple[str, ...]:
    if scope is Scope.TENANT:
        return ("",)
    if scope is Scope.TAG:
        return tuple(dict.fromkeys(_tags.decode(group)))
    return (group,) if group else ()


def _amount(rule: Rule, row: UsageRow) -> int:
    if rule.measure is Measure.USD:
        return row.cost_picousd
    return row.input_tokens + row.output_tokens if rule.measure is Measure.TOKENS else row.requests - row.refused
