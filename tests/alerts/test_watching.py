"""Stores that go away and come back, in virtual time."""

from __future__ import annotations

import asyncio

from headgate.alert_types import Alert, StoreFacts
from headgate.alerts.desk import Alerts
from headgate.alerts.watching import PATIENCE_SECONDS, full_disk, watch_stores
from headgate.policy.alerting import store_alert
from headgate.sim.clock import SimClock
from headgate.sim.loop import run_virtual
from headgate.stores.memory_alerts import MemoryAlertLog

HOUR = 3600.0
DATABASE = StoreFacts("database", "connection refused", "Requests go on.")
REDIS = StoreFacts("redis", "no route to host", "Requests are refused.")


class Heard(Alerts):
    """Keeps what was raised."""

    def __init__(self, clock: SimClock) -> None:
        super().__init__(MemoryAlertLog(), clock)
        self.heard: list[tuple[float, Alert]] = []
        self._now = clock.monotonic

    def raise_(self, alert: Alert) -> None:
        self.heard.append((self._now(), alert))


def watched(outages: dict[StoreFacts, list[tuple[float, float]]], seconds: float) -> list[tuple[float, str]]:
    """When each store's absence was told, when stores are away at these times."""

    async def scenario() -> list[tuple[float, str]]:
        loop = asyncio.get_running_loop()
        clock = SimClock(loop, 1)
        alerts = Heard(clock)

        def trouble(facts: StoreFacts) -> StoreFacts | None:
            return facts if any(start <= loop.time() < end for start, end in outages[facts]) else None

        async with asyncio.timeout(seconds + 1):
            watching = asyncio.create_task(
                watch_stores(alerts, clock, [lambda: trouble(DATABASE), lambda: trouble(REDIS)])
            )
            await asyncio.sleep(seconds)
            watching.cancel()
        assert len({alert.key for _, alert in alerts.heard}) == len(alerts.heard)
        return [(at, alert.key.split(":")[1]) for at, alert in alerts.heard]

    return run_virtual(scenario())


def test_what_is_over_soon_is_no_alert() -> None:
    blips = [(at, at + PATIENCE_SECONDS - 2) for at in (10.0, 20.0, 30.0)]
    assert watched({DATABASE: blips, REDIS: []}, 60.0) == []


def test_a_store_that_stays_away_is_told_soon_and_then_every_hour() -> None:
    told = watched({DATABASE: [(1000.0, 1000.0 + 2.5 * HOUR)], REDIS: []}, 5 * HOUR)
    first = 1000.0 + PATIENCE_SECONDS
    assert told == [(first, "database"), (first + HOUR, "database"), (first + 2 * HOUR, "database")]


def test_a_disk_that_takes_nothing_is_told_as_one() -> None:
    assert full_disk("") is None
    facts = full_disk("full: free space in server.data_dir")
    assert facts is not None
    alert = store_alert(facts, at=0.0)
    assert alert.title == "The disk takes no rows" and alert.key.split(":")[1] == "disk"
    assert alert.sentence == (
        "The disk takes no rows: full: free space in server.data_dir. Requests are refused until it does."
    )


def test_each_store_is_told_for_itself_and_every_absence_anew() -> None:
    told = watched({DATABASE: [(0.0, 20.0), (2 * HOUR, 2 * HOUR + 60)], REDIS: [(10.0, 100.0)]}, 3 * HOUR)
    assert [store for _, store in told] == ["database", "redis", "database"]
    assert [at for at, _ in told] == [PATIENCE_SECONDS, 10 + PATIENCE_SECONDS, 2 * HOUR + PATIENCE_SECONDS]
