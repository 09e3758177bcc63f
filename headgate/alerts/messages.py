"""An alert as a webhook's body, as Slack's, and as mail. `docs/alerts.md` promises the members of the first.

Pure. Money is decimal text in USD, times are RFC 3339 or, in `resets_at`, Unix seconds.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

import msgspec

from headgate.alert_types import (
    Alert,
    AlertFacts,
    BudgetFacts,
    CacheFacts,
    DriftFacts,
    RouterFacts,
    StoreFacts,
    TrialFacts,
    VelocityFacts,
)
from headgate.policy.pricing import format_usd
from headgate.types import Frozen


class BudgetData(Frozen, frozen=True):
    """Of `budget.threshold`. A budget of USD has no tokens, one of tokens no USD."""

    budget: str
    of: str
    window: str
    percent: int
    limit_usd: str | None
    spent_usd: str | None
    held_usd: str | None
    limit_tokens: int | None
    spent_tokens: int | None
    held_tokens: int | None
    resets_at: float | None
    enforced: bool


class VelocityData(Frozen, frozen=True):
    """Of `velocity.tripped`."""

    scope: str
    of: str
    action: str
    spent_usd: str
    limit_usd: str
    baseline_usd: str | None
    window_seconds: float
    baseline_factor: float | None


class DriftData(Frozen, frozen=True):
    """Of `drift.found`. The difference is billed minus booked."""

    provider: str
    account: str
    day: str
    booked_usd: str
    billed_usd: str
    difference_usd: str


class StoreData(Frozen, frozen=True):
    """Of `store.unreachable`."""

    store: str
    error: str
    effect: str


class CacheData(Frozen, frozen=True):
    """Of `cache.bound_broken`."""

    model: str
    prompt_version: str
    bound: float
    reason: str


class RouterData(Frozen, frozen=True):
    """Of `router.closed`."""

    router: str
    reason: str


class NoData(Frozen, frozen=True):
    """Of `alert.test`."""


EventData = BudgetData | VelocityData | DriftData | StoreData | CacheData | RouterData | NoData


class Data(Frozen, frozen=True):
    """What every event has, and the facts of its type."""

    key: str
    tenant: str | None
    title: str
    sentence: str
    facts: EventData


class Event(Frozen, frozen=True):
    """The body of a webhook."""

    type: str
    timestamp: str
    data: Data


def message_id(alert: Alert) -> str:
    """The same for the same alert, whichever process sends it and however often."""
    return f"alert_{hashlib.sha256(alert.key.encode()).hexdigest()[:32]}"


def webhook_body(alert: Alert) -> bytes:
    """JSON: `{"type", "timestamp", "data"}`."""
    return msgspec.json.encode(event(alert))


def slack_body(alert: Alert) -> bytes:
    """JSON: `{"text"}`. Slack reads three characters as markup."""
    text = f"*{_escaped(alert.title)}*\n{_escaped(alert.sentence)}"
    return msgspec.json.encode({"text": text})


def mail(alert: Alert, sender: str, recipients: list[str]) -> EmailMessage:
    """A plain text message; sent twice, it has the same Message-ID."""
    message = EmailMessage()
    message["Subject"] = " ".join(f"[headgate] {alert.title}".split())
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Date"] = format_datetime(datetime.fromtimestamp(alert.at, UTC))
    message["Message-ID"] = f"<{message_id(alert)}@headgate>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday notice is wanted
    message.set_content(f"{alert.sentence}\n\n{_time(alert)}\n{alert.key}\n")
    return message


def event(alert: Alert) -> Event:
    """The event that a webhook is told."""
    kind, facts = _told(alert.facts)
    return Event(kind, _time(alert), Data(alert.key, alert.tenant, alert.title, alert.sentence, facts))


def _told(facts: AlertFacts) -> tuple[str, EventData]:
    match facts:
        case BudgetFacts():
            return "budget.threshold", _budget(facts)
        case VelocityFacts():
            return "velocity.tripped", _velocity(facts)
        case DriftFacts():
            return "drift.found", _drift(facts)
        case StoreFacts():
            return "store.unreachable", StoreData(facts.store, facts.error, facts.effect)
        case CacheFacts():
            return "cache.bound_broken", CacheData(facts.model, facts.prompt_version, facts.bound, facts.reason)
        case RouterFacts():
            return "router.closed", RouterData(facts.router, facts.reason)
        case TrialFacts():
            return "alert.test", NoData()


def _budget(facts: BudgetFacts) -> BudgetData:
    of_tokens = bool(facts.limit_tokens)
    return BudgetData(
        budget=facts.budget,
        of=facts.of,
        window=facts.window,
        percent=facts.percent,
        limit_usd=None if of_tokens else format_usd(facts.limit_picousd),
        spent_usd=None if of_tokens else format_usd(facts.spent_picousd),
        held_usd=None if of_tokens else format_usd(facts.held_picousd),
        limit_tokens=facts.limit_tokens if of_tokens else None,
        spent_tokens=facts.spent_tokens if of_tokens else None,
        held_tokens=facts.held_tokens if of_tokens else None,
        resets_at=facts.resets_at,
        enforced=facts.is_enforced,
    )


def _velocity(facts: VelocityFacts) -> VelocityData:
    return VelocityData(
        scope=facts.scope,
        of=facts.of,
        action=facts.action,
        spent_usd=format_usd(facts.spent_picousd),
        limit_usd=format_usd(facts.limit_picousd),
        baseline_usd=None if facts.baseline_picousd is None else format_usd(facts.baseline_picousd),
        window_seconds=facts.window_seconds,
        baseline_factor=facts.baseline_factor or None,
    )


def _drift(facts: DriftFacts) -> DriftData:
    return DriftData(
        provider=facts.provider,
        account=facts.account,
        day=facts.day,
        booked_usd=format_usd(facts.booked_picousd),
        billed_usd=format_usd(facts.billed_picousd),
        difference_usd=format_usd(facts.billed_picousd - facts.booked_picousd),
    )


def _time(alert: Alert) -> str:
    return datetime.fromtimestamp(alert.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
