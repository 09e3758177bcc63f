"""The words of alerts, and their keys.

An alert's key says what is told once: a threshold of a budget's window, a trip, a day's drift, an hour of a store's
absence.
"""

from __future__ import annotations

import hashlib

from headgate.alert_types import (
    Alert,
    BudgetFacts,
    CacheFacts,
    DriftFacts,
    RouterFacts,
    StoreFacts,
    TrialFacts,
    VelocityFacts,
)
from headgate.policy.pricing import format_usd

CACHE_WINDOW_SECONDS = 86_400
STORE_WINDOW_SECONDS = 3600  # a store that stays away is told again after so long
_WHEN_USED_UP = "Requests that would cost more are refused or sent to a cheaper model, as its tier says."
_NOT_ENFORCED = "Its tier has enforce: false, so requests go on."
MAX_KEY_PART = 200  # characters of a name that a caller chose


def budget_alert(tenant: str, facts: BudgetFacts, at: float, *, whose: str = "", once: str = "") -> Alert:
    """A budget has reached a threshold: told once for each window, limit and threshold.

    `whose` is it in words, if not the tenant's, and `once` what tells it from others that are called alike.
    """
    name = facts.budget.replace("_", " ")
    whose = f" of {whose}" if whose else ""
    if facts.limit_tokens:
        spent, limit = f"{facts.spent_tokens:,} tokens", f"{facts.limit_tokens:,} tokens"
        amount = f"{facts.limit_tokens} tokens"
    else:
        spent, limit = f"{_usd(facts.spent_picousd)} USD", f"{_usd(facts.limit_picousd)} USD"
        amount = f"{format_usd(facts.limit_picousd)} USD"
    state = "is used up" if facts.percent >= 100 else f"has reached {facts.percent} %"
    sentence = f"The {name} budget{whose} of tenant {tenant} {state}: {spent} of {limit} in {facts.window}."
    if facts.percent >= 100:
        sentence += f" {_WHEN_USED_UP if facts.is_enforced else _NOT_ENFORCED}"
    return Alert(
        key=_key("budget", tenant, facts.budget, once or facts.of, facts.window, str(facts.percent), amount),
        at=at,
        title=f"Budget {name}{whose} of {tenant} {state}",
        sentence=sentence,
        facts=facts,
        tenant=tenant,
    )


def velocity_alert(tenant: str, facts: VelocityFacts, tripped_at: float, *, whose: str = "", once: str = "") -> Alert:
    """A breaker of spend velocity has tripped: told once for each trip. `tripped_at` is Unix seconds.

    `whose` and `once` are as for `budget_alert`.
    """
    effect = {
        "block": "Its requests are refused until the breaker closes",
        "degrade": "Its requests go to a cheaper model until the breaker closes",
    }.get(facts.action, "Its requests go on")
    usual = f", {facts.baseline_factor:g} times what is usual" if facts.baseline_factor else ""
    whose = f"{whose} of tenant {tenant}" if whose else f"tenant {tenant}"
    return Alert(
        key=_key("velocity", tenant, facts.scope, once or facts.of, str(int(tripped_at))),
        at=tripped_at,
        title=f"Spending of {whose} is unusually fast",
        sentence=f"{whose[0].upper()}{whose[1:]} spent {_usd(facts.spent_picousd)} USD within "
        f"{facts.window_seconds:g} s, more than {_usd(facts.limit_picousd)} USD{usual}. {effect}.",
        facts=facts,
        tenant=tenant,
    )


def drift_alert(facts: DriftFacts, at: float) -> Alert:
    """A bill differs from the ledger: told once for each account, day and amount."""
    difference = facts.billed_picousd - facts.booked_picousd
    booked, billed = _usd(facts.booked_picousd), _usd(facts.billed_picousd)
    direction = "more" if difference > 0 else "less"
    account = f" (account {facts.account})" if facts.account else ""
    return Alert(
        key=_key("drift", facts.provider, facts.account, facts.day, str(difference)),
        at=at,
        title=f"{facts.provider} billed {_usd(abs(difference))} USD {direction} than was booked",
        sentence=f"{facts.provider}{account} billed {billed} USD for {facts.day}, and the ledger has {booked} USD. "
        "`headgate reconcile` shows what the difference consists of.",
        facts=facts,
    )


def store_alert(facts: StoreFacts, at: float) -> Alert:
    """A store does not answer: told at once, and once an hour as long as it stays away."""
    what = "takes no rows" if facts.store == "disk" else "does not answer"
    name = "store of limits and budgets" if facts.store == "redis" else facts.store
    return Alert(
        key=_key("store", facts.store, str(int(at // STORE_WINDOW_SECONDS))),
        at=at,
        title=f"The {name} {what}",
        sentence=f"The {name} {what}: {facts.error.rstrip('.')}. {facts.effect}",
        facts=facts,
    )


def cache_alert(tenant: str | None, facts: CacheFacts, at: float) -> Alert:
    """A semantic cache has turned itself off: told once a day. `tenant` is None if all tenants share it."""
    version = f", prompt version {facts.prompt_version}" if facts.prompt_version else ""
    of = f"the model {facts.model}{version}, {f'tenant {tenant}' if tenant else 'all tenants'}"
    return Alert(
        key=_key("cache", tenant or "", facts.model, facts.prompt_version, str(int(at // CACHE_WINDOW_SECONDS))),
        at=at,
        title=f"The semantic cache of {facts.model} gives no more answers",
        sentence=f"The semantic cache of {of} has turned itself off: {facts.reason}. Providers are asked instead. It "
        "goes on comparing, and comes back when its answers are shown to be right again.",
        facts=facts,
        tenant=tenant,
    )


def router_alert(facts: RouterFacts, at: float) -> Alert:
    """A router has closed itself: told once a day."""
    return Alert(
        key=_key("router", facts.router, str(int(at // CACHE_WINDOW_SECONDS))),
        at=at,
        title=f"The router {facts.router} asks only its best model",
        sentence=f"The router {facts.router} has closed itself: {facts.reason}. Everything goes to its best model, "
        "which costs more. It goes on comparing, and opens when cheaper models are shown to do as well as they must.",
        facts=facts,
    )


def trial_alert(number: str, at: float) -> Alert:
    """Nothing happened. `number` is different each time."""
    return Alert(
        key=_key("test", number),
        at=at,
        title="headgate can reach you",
        sentence="This is a test: `headgate alerts test` was called. Nothing happened.",
        facts=TrialFacts(),
    )


def _usd(picousd: int) -> str:
    """For people: to the millionth of a dollar. The facts are exact."""
    return format_usd(round(picousd, -6))


def _key(*parts: str) -> str:
    """Names may have colons in them and be long; two different alerts must never have one key."""
    return ":".join(_part(part) for part in parts)


def _part(name: str) -> str:
    if len(name) > MAX_KEY_PART:
        name = f"{name[:MAX_KEY_PART]}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:32]}"
    return name.replace("%", "%25").replace(":", "%3A")
