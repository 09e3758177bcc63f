"""Alerts of every kind, and a channel that does what a test says."""

from __future__ import annotations

from collections.abc import Callable

from headgate.alert_types import Alert, BudgetFacts, CacheFacts, DriftFacts, RouterFacts, StoreFacts, VelocityFacts
from headgate.outgoing.undelivered import Undelivered
from headgate.policy.alerting import (
    budget_alert,
    cache_alert,
    drift_alert,
    router_alert,
    store_alert,
    trial_alert,
    velocity_alert,
)

USD = 10**12
AT = 1_795_000_000.25  # 2026-11-18T11:06:40.25Z
EVERYTHING = frozenset({"budget", "velocity", "drift", "store"})


def budget(percent: int = 80, *, tenant: str = "acme", at: float = AT) -> Alert:
    facts = BudgetFacts(
        "tenant_month", tenant, "2026-11", percent, limit_picousd=50 * USD, spent_picousd=percent * USD // 2,
        held_picousd=1, resets_at=1_796_079_600.0,
    )  # fmt: skip
    return budget_alert(tenant, facts, at)


def tokens(at: float = AT) -> Alert:
    facts = BudgetFacts("user_day", "alice", "2026-11-18", 100, limit_tokens=1000, spent_tokens=1001)
    return budget_alert("acme", facts, at, whose="user alice")


def velocity(at: float = AT) -> Alert:
    facts = VelocityFacts("key", "key_1", "block", 2 * USD, USD, 300.0, baseline_picousd=USD // 10)
    return velocity_alert("acme", facts, at, whose="key key_1")


def drift(at: float = AT) -> Alert:
    return drift_alert(DriftFacts("openai", "org-1", "2026-11-17", 10 * USD, 12 * USD), at)


def store(at: float = AT) -> Alert:
    return store_alert(StoreFacts("database", "connection refused", "Requests go on."), at)


def router(at: float = AT) -> Alert:
    return router_alert(RouterFacts("auto", "it loses at least 12.0%"), at)


def cache(at: float = AT) -> Alert:
    return cache_alert("acme", CacheFacts("support", "", 0.01, "5 of 100 verified hits were false"), at)


def trial(at: float = AT) -> Alert:
    return trial_alert("1", at)


class Scripted:
    """Answers each attempt with the next of the answers, and with the last again and again. None: delivered."""

    def __init__(self, name: str = "one", kinds: frozenset[str] = EVERYTHING, *answers: Undelivered | None) -> None:
        self.name = name
        self.kinds = kinds
        self.answers = answers or (None,)
        self.attempts: list[tuple[str, float]] = []  # key, when
        self.before: Callable[[], None] = lambda: None

    async def send(self, alert: Alert, now: float) -> str:
        answer = self.answers[min(len(self.attempts), len(self.answers) - 1)]
        self.attempts.append((alert.key, now))
        self.before()
        if answer is not None:
            raise answer
        return "204"

    async def aclose(self) -> None:
        """Nothing is open."""
