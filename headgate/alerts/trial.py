"""Trying out channels: one attempt each, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from headgate.alert_types import Alert
from headgate.alerts.channel import Channel
from headgate.outgoing.undelivered import Undelivered
from headgate.policy.alerting import trial_alert
from headgate.ports import Clock
from headgate.types import Frozen


class Tried(Frozen, frozen=True):
    """What a channel said to a test alert."""

    channel: str
    delivered: bool
    answer: str


async def try_all(channels: Sequence[Channel], clock: Clock) -> list[Tried]:
    """Send a test alert to every channel at once, whatever it wants to hear of."""
    alert = trial_alert(clock.new_id("trial"), clock.now())
    return list(await asyncio.gather(*(_try(channel, alert, clock) for channel in channels)))


async def _try(channel: Channel, alert: Alert, clock: Clock) -> Tried:
    try:
        return Tried(channel.name, True, await channel.send(alert, clock.now()))
    except Undelivered as error:
        return Tried(channel.name, False, error.answer)
