"""Which meters a request passes, and what of it they need to know: found once for each kind of request, and kept."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from headgate.metering import Meter
from headgate.policy import metered
from headgate.policy.calendar import zone_of
from headgate.policy.groups import Amounts
from headgate.policy.metered import Subject
from headgate.types import Call, Caller, Measure, MeterKind, Rule, Scope

_MOST_KEPT = 10_000

Key = tuple[int, str, str | None]  # the caller's identity, the model, the user that the call names
VaryingKey = tuple[Key, str | None, tuple[str, ...]]  # with the session and the tags


class Applying(NamedTuple):
    """The rules for one caller, model, user, session and tags. Not to be used from `until` on: a window ends then."""

    caller: Caller
    until: float
    meters: tuple[Meter, ...]
    caps: tuple[Rule, ...]  # on a single request
    counts_tokens: bool  # or money
    has_budget: bool  # that is enforced, a cap on a single request among them
    looks_for_repeats: bool
    request_meters: tuple[Meter, ...]  # those that count requests: all that an answer without a provider passes
    most_tokens: float  # of a single request, by the caps, enforced or tried
    most_picousd: float
    varies: bool  # with the session and the tags of a request

    def passes_caps(self, asked: Amounts) -> bool:
        """Whether no cap on a single request has to lower or refuse it."""
        _, tokens, picousd = asked
        return tokens <= self.most_tokens and picousd <= self.most_picousd


class RuleBook:
    """Remembers what applies to whom. The same tuple of meters each time: counters know it again by its identity."""

    def __init__(self) -> None:
        self._kept: dict[Key, Applying] = {}
        self._varying: dict[tuple[Key, str | None, tuple[str, ...]], Applying] = {}  # and tags, where rules name them

    def applying(self, caller: Caller, call: Call, model: str, global_rules: tuple[Rule, ...], now: float) -> Applying:
        """What applies to a call that is put to a model."""
        key = (id(caller), model, call.user)
        kept = self._kept.get(key)
        if kept is not None and kept.varies:
            kept = self._varying.get((key, call.session, call.tags))
        if kept is None or kept.caller is not caller or kept.until <= now:
            kept = self._find(key, caller, call, global_rules, now)
        return kept

    def _find(self, key: Key, caller: Caller, call: Call, global_rules: tuple[Rule, ...], now: float) -> Applying:
        if len(self._kept) + len(self._varying) >= _MOST_KEPT:
            self._kept.clear()
            self._varying.clear()
        subject = Subject(caller.key_id, caller.user or call.user, key[1], call.session, call.tags)
        found = self._kept[key] = _applying(caller, subject, global_rules, now)
        if found.varies:
            self._varying[key, call.session, call.tags] = found
        return found


def _applying(caller: Caller, subject: Subject, global_rules: tuple[Rule, ...], now: float) -> Applying:
    zone, rules = zone_of(caller.timezone), (*caller.tier.rules, *global_rules)
    caps = tuple(rule for rule in rules if rule.scope is Scope.REQUEST)
    counted = [rule for rule in rules if rule.scope is not Scope.REQUEST]
    meters = tuple(metered.meters(counted, subject, zone, now))
    most_tokens, most_picousd = (metered.request_cap(caps, measure) for measure in (Measure.TOKENS, Measure.USD))
    budgets = [meter.rule for meter in meters if meter.rule.counts_budget]
    return Applying(
        caller=caller,
        until=metered.valid_until(counted, zone, now),
        meters=meters,
        caps=caps,
        counts_tokens=bool(caps) or any(meter.rule.measure is not Measure.REQUESTS for meter in meters),
        has_budget=any(rule.enforce for rule in (*caps, *budgets)),
        looks_for_repeats=any(meter.rule.kind is MeterKind.REPEAT for meter in meters),
        request_meters=tuple([meter for meter in meters if meter.rule.measure is Measure.REQUESTS]),
        most_tokens=inf if most_tokens is None else most_tokens,
        most_picousd=inf if most_picousd is None else most_picousd,
        varies=any(rule.scope in metered.VARYING for rule in rules),
    )
