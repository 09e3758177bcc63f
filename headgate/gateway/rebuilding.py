"""What was used before this process, or this store, knew anybody: read from the ledger, which knows everything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from typing import Protocol

import msgspec

from headgate.metering import Dated, Meter
from headgate.policy import calendar, metered
from headgate.types import Measure, MeterKind, Rule, Scope, UsageRow

PARTS = 12  # of a rolling window, that are told apart
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

    async def usage(
        self, by: str, *, since: float | None = None, until: float | None = None, tenant: str | None = None
    ) -> list[UsageRow]:
        """As `ports.Ledger` has it. Raises DatabaseUnavailable."""


async def spent(ledger: Past, tenant: str, rules: Iterable[Rule], zone: tzinfo, now: float) -> list[tuple[Meter, int]]:
    """What every meter of a tenant has used of its window until now. Raises DatabaseUnavailable."""
    found: list[tuple[Meter, int]] = []
    asked: dict[tuple[str, float], Sequence[UsageRow]] = {}
    for rule in rules:
        if rule.scope not in _GROUPS or rule.kind in (MeterKind.CONCURRENCY, MeterKind.REPEAT):
            continue
        question = _GROUPS[rule.scope], _since(rule, zone, now)
        if question not in asked:
            by, since = question
            asked[question] = await ledger.usage(by, since=since, tenant=tenant)
        for name, amount in _by_name(rule, asked[question]).items():
            if not rule.only or name in rule.only:
                found.append((metered.meter(rule, name, zone, now), amount))
    return found


async def dated(ledger: Past, tenant: str, rules: Iterable[Rule], zone: tzinfo, now: float) -> list[Dated]:
    """When it was that rolling meters have used what they have, the latest first. An amount counts up to a PARTS-th of
    its window too long, never too short. Raises DatabaseUnavailable."""
    found: list[Dated] = []
    asked: dict[tuple[str, float, int], Sequence[UsageRow]] = {}
    for rule in rules:
        if rule.kind is not MeterKind.ROLLING or rule.scope not in _GROUPS:
            continue
        by, width, totals = _GROUPS[rule.scope], rule.period_seconds / PARTS, dict[str, int]()
        for part in range(PARTS):
            question = by, rule.period_seconds, part
            ends_at = now - part * width
            if question not in asked:
                until = ends_at if part else None
                asked[question] = await ledger.usage(by, since=ends_at - width, until=until, tenant=tenant)
            for name, amount in _by_name(rule, asked[question]).items():
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
