"""What callers are told about their jobs, over HTTP: looking at it, having it told again, and checking it is ours."""

from __future__ import annotations

from headgate.admin.endpoint import Nothing, Visit
from headgate.admin.job_shapes import JobId
from headgate.delivery_types import Delivery, DeliveryState, TargetKind
from headgate.types import Frozen

MOST_SHOWN = 200


class DeliveryView(Frozen, frozen=True):
    """Somebody who is told that a job has ended. `answer` is what the last attempt came to. Times are Unix seconds."""

    id: str
    kind: TargetKind
    address: str
    event: str
    state: DeliveryState
    attempts: int
    answer: str
    created_at: float
    next_at: float | None
    ended_at: float | None


class DeliveryList(Frozen, frozen=True):
    """The newest first."""

    data: list[DeliveryView]


class WebhookSecret(Frozen, frozen=True):
    """What the tenant's webhooks are signed with."""

    secret: str


async def list_deliveries(visit: Visit, query: JobId) -> DeliveryList:
    """Who was or will be told of a job's end, and what came of it."""
    desk = visit.services.job_desk
    await desk.jobs.get(query.job_id, visit.caller().tenant)
    return _list(await desk.deliveries.outbox.of_job(query.job_id, MOST_SHOWN))


async def redeliver(visit: Visit, query: JobId) -> DeliveryList:
    """Tell everybody again who is told of a job's last end, at once. Receivers know it by its id."""
    desk = visit.services.job_desk
    await desk.jobs.get(query.job_id, visit.caller().tenant)
    return _list(await desk.deliveries.outbox.redeliver(query.job_id))


async def webhook_secret(visit: Visit, _: Nothing) -> WebhookSecret:
    """The secret with which a receiver checks that a webhook is headgate's (Standard Webhooks)."""
    return WebhookSecret(await visit.services.job_desk.deliveries.signer.webhook_secret(visit.caller().tenant))


def _list(found: list[Delivery]) -> DeliveryList:
    return DeliveryList([_view(one) for one in found if one.target.kind is not TargetKind.PUBLISH])


def _view(delivery: Delivery) -> DeliveryView:
    pending = delivery.state is DeliveryState.PENDING
    return DeliveryView(
        id=delivery.id,
        kind=delivery.target.kind,
        address=delivery.target.address,
        event=f"job.{delivery.told.state}",
        state=delivery.state,
        attempts=delivery.attempts,
        answer=delivery.answer,
        created_at=delivery.created_at,
        next_at=delivery.next_at if pending else None,
        ended_at=delivery.ended_at,
    )
