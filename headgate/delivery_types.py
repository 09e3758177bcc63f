"""The vocabulary of deliveries: what headgate tells others about jobs, and how far it got with that.

Times are Unix seconds.
"""

from __future__ import annotations

from enum import StrEnum

from headgate.types import Frozen


class TargetKind(StrEnum):
    """How somebody is told."""

    WEBHOOK = "webhook"  # a URL, of the end of a job
    MAIL = "mail"  # an address, of the end of a job
    QUEUE = "queue"  # a topic or queue of the submitter, of the end of a job, with its answer
    PUBLISH = "publish"  # the operator's own topic, of every change of a job's state


class Target(Frozen, frozen=True, gc=False):
    """Who is told of a job. `lane` is whom this burdens: what goes to one that does not answer holds up no other."""

    kind: TargetKind
    address: str  # of PUBLISH the name of a setting
    lane: str


class DeliveryState(StrEnum):
    """Where a delivery is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"  # given up, after a day or because the receiver will never take it


class Told(Frozen, frozen=True):
    """What happened to a job, as it was at that moment."""

    state: str
    done: int  # items that were over
    total: int
    at: float
    error_code: str = ""
    error: str = ""


class Delivery(Frozen, frozen=True):
    """A row of the outbox. `id` is the same however often it is sent: receivers tell repetitions by it."""

    id: str
    job_id: str
    tenant: str
    target: Target
    told: Told
    state: DeliveryState
    attempts: int
    created_at: float
    next_at: float  # of one that is pending
    answer: str  # to the last attempt
    ended_at: float | None
    token: int  # grows with every claim
    age_seconds: float = 0.0  # when it was claimed


class Waiting(Frozen, frozen=True, gc=False):
    """A delivery whose time has come."""

    id: str
    tenant: str
    lane: str


class DeliveryEnd(Frozen, frozen=True, gc=False):
    """What became of an attempt. `pause_seconds` until the next one, of a delivery that stays pending."""

    id: str
    token: int
    state: DeliveryState
    answer: str
    pause_seconds: float = 0.0


class OutboxStanding(Frozen, frozen=True, gc=False):
    """How the outbox is."""

    pending: int = 0
    dead: int = 0
    oldest_age_seconds: float = 0.0  # of those that are pending; 0: there are none
