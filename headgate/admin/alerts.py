"""Alerts as operators see them: the newest ones, and what became of each at each channel."""

from __future__ import annotations

from typing import Annotated

import msgspec

from headgate.admin.endpoint import Input, Visit
from headgate.alert_types import AlertRecord, DeliveryState
from headgate.types import Frozen


class AlertQuery(Input, frozen=True):
    """How many."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class Delivery(Frozen, frozen=True):
    """An alert at one channel. `answer` is what it said to the last attempt, `at` (Unix seconds) when that was."""

    channel: str
    state: DeliveryState
    attempts: int
    answer: str
    at: float | None


class RaisedAlert(Frozen, frozen=True):
    """An alert. `at` is Unix seconds; no deliveries: nobody wanted to hear of its kind."""

    key: str
    kind: str
    at: float
    tenant: str | None
    title: str
    sentence: str
    deliveries: list[Delivery]


class AlertList(Frozen, frozen=True):
    """Alerts, the newest first."""

    data: list[RaisedAlert]


async def list_alerts(visit: Visit, query: AlertQuery) -> AlertList:
    """The newest alerts of all processes, and which channels have been told."""
    return AlertList([_shown(record) for record in await visit.services.alert_log.recent(query.limit)])


def _shown(record: AlertRecord) -> RaisedAlert:
    alert = record.alert
    deliveries = [Delivery(one.channel, one.state, one.attempts, one.answer, one.at) for one in record.deliveries]
    return RaisedAlert(alert.key, alert.kind, alert.at, alert.tenant, alert.title, alert.sentence, deliveries)
