"""The vocabulary of alerts: what happened, in facts of its kind, and what became of telling people."""

from __future__ import annotations

from enum import StrEnum

from headgate.types import Frozen


class BudgetFacts(Frozen, frozen=True, gc=False, tag_field="kind", tag="budget", omit_defaults=True):
    """A budget of which so much is used. Amounts of the unit that it does not have are 0."""

    budget: str  # which: tenant_month, user_day, session, more[0], ...
    of: str  # whose: the name of the tenant, user, session, key, model or tag
    window: str  # which of its windows: 2026-11, its lifetime, the last 3600 seconds
    percent: int  # the threshold that was reached
    limit_picousd: int = 0
    spent_picousd: int = 0
    held_picousd: int = 0
    limit_tokens: int = 0
    spent_tokens: int = 0
    held_tokens: int = 0
    resets_at: float | None = None  # Unix seconds; None: never
    is_enforced: bool = True  # False: its tier only tries it


class VelocityFacts(Frozen, frozen=True, gc=False, tag_field="kind", tag="velocity", omit_defaults=True):
    """Money that was spent unusually fast."""

    scope: str  # key, user or tenant
    of: str  # its name
    action: str  # what happens to its requests now: block, degrade or alert
    spent_picousd: int
    limit_picousd: int  # what would have been too much
    window_seconds: float  # within this time
    baseline_picousd: int | None = None  # what is usual in that time, if the limit is a multiple of it
    baseline_factor: float = 0.0  # so many times; 0: the limit is the configured one


class DriftFacts(Frozen, frozen=True, gc=False, tag_field="kind", tag="drift", omit_defaults=True):
    """A provider's bill that is not what the ledger says."""

    provider: str
    account: str
    day: str  # UTC, 2026-11-28; or the first and the last of several: 2026-11-01/2026-11-28
    booked_picousd: int
    billed_picousd: int


class StoreFacts(Frozen, frozen=True, gc=False, tag_field="kind", tag="store", omit_defaults=True):
    """A store that does not answer, or a disk that takes nothing."""

    store: str  # redis, database, disk
    error: str
    effect: str  # what it means for requests


class CacheFacts(Frozen, frozen=True, gc=False, tag_field="kind", tag="cache", omit_defaults=True):
    """A semantic cache whose bound is broken: it gives no more answers to other questions."""

    model: str  # the public name that is asked for
    prompt_version: str  # empty: none
    bound: float  # the share of wrong answers that is accepted
    reason: str


class RouterFacts(Frozen, frozen=True, gc=False, tag_field="kind", tag="router", omit_defaults=True):
    """A router that lost too much by choosing cheaper models: it gives everything to its best one."""

    router: str
    reason: str


class TrialFacts(Frozen, frozen=True, gc=False, tag_field="kind", tag="test"):
    """Nothing happened: somebody wants to know whether alerts arrive."""


AlertFacts = BudgetFacts | VelocityFacts | DriftFacts | StoreFacts | CacheFacts | RouterFacts | TrialFacts


class Alert(Frozen, frozen=True, omit_defaults=True):
    """Something that people should know, once. `policy/alerting.py` makes them."""

    key: str  # what is told once: budget:acme:tenant_month:acme:2026-11:80
    at: float  # Unix seconds
    title: str
    sentence: str
    facts: AlertFacts
    tenant: str | None = None

    @property
    def kind(self) -> str:
        """`budget`, `velocity`, `drift`, `store`, `cache`, `router` or `test`: what channels subscribe to."""
        return str(self.facts.__struct_config__.tag)


class DeliveryState(StrEnum):
    """What became of an alert at one channel."""

    PENDING = "pending"  # not yet tried, or tried in vain and to be tried again
    DELIVERED = "delivered"
    FAILED = "failed"  # given up


class AlertDelivery(Frozen, frozen=True, omit_defaults=True):
    """An alert at one channel. `answer` is what the channel said to the last attempt, which was made `at`."""

    channel: str
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    answer: str = ""
    at: float | None = None


class AlertRecord(Frozen, frozen=True):
    """An alert and what became of it."""

    alert: Alert
    deliveries: tuple[AlertDelivery, ...] = ()

    @property
    def pending(self) -> bool:
        """Whether some channel has still to be told."""
        return any(delivery.state is DeliveryState.PENDING for delivery in self.deliveries)
