"""Looks after stores: one that does not answer for a few seconds is an alert."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from headgate.alert_types import StoreFacts
from headgate.alerts.desk import Alerts
from headgate.policy.alerting import STORE_WINDOW_SECONDS, store_alert
from headgate.ports import Clock

LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 5.0  # a fail-over or a restart of a store is no alert

Trouble = Callable[[], StoreFacts | None]


def full_disk(trouble: str) -> StoreFacts | None:
    """`trouble` is why the disk of the journal takes nothing, "" if it does."""
    return StoreFacts("disk", trouble, "Requests are refused until it does.") if trouble else None


async def watch_stores(alerts: Alerts, clock: Clock, troubles: Sequence[Trouble]) -> None:
    """For ever: ask each of `troubles` what is wrong with its store, and raise an alert when it stays wrong, again
    every hour until it is well."""
    since: dict[str, float] = {}  # store -> since when, on the monotonic clock
    told: dict[str, float] = {}
    while True:
        now, wrong = clock.monotonic(), [facts for trouble in troubles if (facts := trouble()) is not None]
        since = {facts.store: since.get(facts.store, now) for facts in wrong}
        told = {store: at for store, at in told.items() if store in since}
        for facts in wrong:
            due_at = told.get(facts.store, since[facts.store] + PATIENCE_SECONDS - STORE_WINDOW_SECONDS)
            if now >= due_at + STORE_WINDOW_SECONDS:
                told[facts.store] = now
                alerts.raise_(store_alert(facts, clock.now()))
        await asyncio.sleep(LOOK_SECONDS)
