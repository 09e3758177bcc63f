"""Alerts in the background: once each, again after failures, never lost to a crash, in virtual time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import msgspec
import pytest

from headgate.alert_types import Alert, AlertDelivery, AlertRecord, DeliveryState
from headgate.alerts import desk as desk_module
from headgate.alerts.delivering import (
    GIVE_UP_SECONDS,
    LEASE_SECONDS,
    LONGEST_BACKOFF_SECONDS,
    MAX_WAITING_PER_CHANNEL,
    backoff_seconds,
)
from headgate.alerts.desk import KEEP_SECONDS, MAX_WAITING, UNENTERED_SECONDS, Alerts
from headgate.errors import DatabaseUnavailable
from headgate.outgoing.undelivered import Undelivered
from headgate.sim.clock import SimClock
from headgate.sim.loop import run_virtual
from headgate.stores.memory_alerts import MemoryAlertLog
from tests.alerts.samples import EVERYTHING, Scripted, budget, store, velocity

MINUTE = 60.0
AWAY = Undelivered("503 later")


class Log(MemoryAlertLog):
    """May be away, or never answer."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.silent = False

    async def claim(self, record: AlertRecord, until: float) -> bool:
        await self.answer()
        return await super().claim(record, until)

    async def save(self, record: AlertRecord, until: float) -> None:
        await self.answer()
        await super().save(record, until)

    async def resume(self, now: float, until: float) -> list[AlertRecord]:
        await self.answer()
        return await super().resume(now, until)

    async def answer(self) -> None:
        if self.silent:
            await asyncio.sleep(1e9)
        if self.away:
            raise DatabaseUnavailable("away")


def clock(seed: int = 1) -> SimClock:
    return SimClock(asyncio.get_running_loop(), seed)


@asynccontextmanager
async def desk(log: MemoryAlertLog, *channels: Scripted, seed: int = 1) -> AsyncIterator[Alerts]:
    """One process."""
    alerts = Alerts(log, clock(seed))
    alerts.configure(channels)
    alerts.start()
    yield alerts
    await alerts.aclose()


async def kill(alerts: Alerts) -> None:
    """End a process without a chance to say anything."""
    for task in (*alerts._loops, *alerts._under_way):
        task.cancel()
    await asyncio.gather(*alerts._loops, *alerts._under_way, return_exceptions=True)


def now(seed: int = 1) -> float:
    return clock(seed).now()


async def deliveries(log: MemoryAlertLog) -> list[tuple[str, DeliveryState, int, str]]:
    return [
        (one.channel, one.state, one.attempts, one.answer)
        for record in await log.recent(1000)
        for one in record.deliveries
    ]


def test_each_alert_is_told_once_by_all_processes_together() -> None:
    async def scenario() -> None:
        log, channels = Log(), [Scripted() for _ in range(4)]
        async with (
            desk(log, channels[0]) as first,
            desk(log, channels[1], seed=2) as second,
            desk(log, channels[2], seed=3) as third,
        ):
            for alert in (budget(50, at=now()), budget(80, at=now()), budget(50, at=now() + 1)):
                for process in (first, second, third, first):
                    process.raise_(alert)
            await asyncio.sleep(MINUTE)
            async with desk(log, channels[3]) as restarted:
                restarted.raise_(budget(80, at=now()))
                await asyncio.sleep(MINUTE)
        told = sorted(key for channel in channels for key, _ in channel.attempts)
        assert told == [budget(50).key, budget(80).key]
        assert await deliveries(log) == [("one", DeliveryState.DELIVERED, 1, "204")] * 2

    run_virtual(scenario())


def test_channels_hear_what_they_want_to_hear() -> None:
    async def scenario() -> None:
        log = Log()
        money, stores = Scripted("a", frozenset({"budget", "velocity"})), Scripted("b", frozenset({"store"}))
        async with desk(log, money, stores) as alerts:
            for alert in (budget(at=now()), velocity(at=now()), store(at=now())):
                alerts.raise_(alert)
            await asyncio.sleep(1)
        assert [key.split(":")[0] for key, _ in money.attempts] == ["budget", "velocity"]
        assert [key.split(":")[0] for key, _ in stores.attempts] == ["store"]

    run_virtual(scenario())


def test_an_alert_that_nobody_subscribed_to_is_in_the_log_and_on_record(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        log = Log()
        async with desk(log) as alerts:
            alerts.raise_(budget(at=now()))
            await asyncio.sleep(1)
        (record,) = await log.recent(9)
        assert record.deliveries == ()

    run_virtual(scenario())
    (line,) = [line for line in caplog.records if line.levelno == logging.WARNING]
    assert line.getMessage() == budget().sentence and vars(line)["alert"] == budget().key


def test_attempts_are_repeated_with_full_jitter_until_one_succeeds() -> None:
    async def scenario() -> list[float]:
        log, channel = Log(), Scripted("one", EVERYTHING, *[AWAY] * 9, None)
        async with desk(log, channel) as alerts:
            alerts.raise_(budget(at=now()))
            await asyncio.sleep(GIVE_UP_SECONDS)
        assert await deliveries(log) == [("one", DeliveryState.DELIVERED, 10, "204")]
        times = [at for _, at in channel.attempts]
        return [later - earlier for earlier, later in pairwise(times)]

    pauses = run_virtual(scenario())
    assert all(pause <= min(120.0, 2.0 * 2**index) for index, pause in enumerate(pauses))
    assert pauses == run_virtual(scenario()), "the same seed gives the same pauses"
    assert sum(pauses) > 20.0


def test_full_jitter_spreads_over_the_whole_range() -> None:
    assert [backoff_seconds(attempts, 0.5) for attempts in (1, 2, 3, 6, 7, 8, 99)] == [1, 2, 4, 32, 60, 60, 60]
    assert backoff_seconds(5, 0.0) == 0.0


def test_an_hour_later_it_is_given_up_and_said(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        log, dead, well = Log(), Scripted("dead", EVERYTHING, AWAY), Scripted("well")
        async with desk(log, dead, well) as alerts:
            alerts.raise_(budget(at=now()))
            await asyncio.sleep(2 * GIVE_UP_SECONDS)
            first, last = dead.attempts[0][1], dead.attempts[-1][1]
            assert GIVE_UP_SECONDS - LONGEST_BACKOFF_SECONDS < last - first <= GIVE_UP_SECONDS
            assert 30 < len(dead.attempts) < 120
            assert await deliveries(log) == [
                ("dead", DeliveryState.FAILED, len(dead.attempts), "503 later"),
                ("well", DeliveryState.DELIVERED, 1, "204"),
            ]
            assert alerts._delivering.records() == []

    run_virtual(scenario())
    (line,) = [line.getMessage() for line in caplog.records if line.levelno == logging.ERROR]
    assert line.startswith("given up after ") and "to tell dead that Budget tenant month of acme has" in line


def test_who_is_gone_is_not_asked_again_and_who_names_a_time_is_asked_then() -> None:
    async def scenario() -> None:
        log = Log()
        gone = Scripted("gone", EVERYTHING, Undelivered("410", final=True))
        busy = Scripted("busy", EVERYTHING, Undelivered("429", retry_after_seconds=50), None)
        greedy = Scripted("greedy", EVERYTHING, Undelivered("429", retry_after_seconds=1e6), None)
        async with desk(log, gone, busy, greedy) as alerts:
            alerts.raise_(budget(at=now()))
            await asyncio.sleep(10 * MINUTE)
        assert [state for _, state, *_ in await deliveries(log)] == ["failed", "delivered", "delivered"]
        assert len(gone.attempts) == 1
        assert busy.attempts[1][1] - busy.attempts[0][1] == pytest.approx(50)
        assert greedy.attempts[1][1] - greedy.attempts[0][1] == pytest.approx(LONGEST_BACKOFF_SECONDS)

    run_virtual(scenario())


def test_a_dead_channel_keeps_nobody_waiting_and_holds_a_bounded_number() -> None:
    async def scenario() -> None:
        log, dead, well = Log(), Scripted("dead", EVERYTHING, AWAY), Scripted("well")
        async with desk(log, dead, well) as alerts:
            for number in range(5 * MAX_WAITING_PER_CHANNEL):
                alerts.raise_(budget(tenant=f"t{number}", at=now()))
            await asyncio.sleep(1)
            assert len(well.attempts) == 5 * MAX_WAITING_PER_CHANNEL
            failed = [answer for name, state, _, answer in await deliveries(log) if state is DeliveryState.FAILED]
            assert len(failed) == 4 * MAX_WAITING_PER_CHANNEL
            assert set(failed) == {f"{MAX_WAITING_PER_CHANNEL} alerts wait for it already"}

    run_virtual(scenario())


def test_a_burst_is_bounded_and_what_was_dropped_may_come_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "MAX_RECENT_KEYS", MAX_WAITING + 10)

    async def scenario() -> None:
        log, channel = Log(), Scripted()
        async with desk(log, channel) as alerts:
            for number in range(MAX_WAITING + 50):
                alerts.raise_(budget(tenant=f"t{number}", at=now()))
            for _ in range(1000):
                alerts.raise_(budget(tenant="t0", at=now()))  # known already: costs nothing
            assert alerts.dropped == 50
            await asyncio.sleep(MINUTE)
            alerts.raise_(budget(tenant=f"t{MAX_WAITING}", at=now()))
            await asyncio.sleep(MINUTE)
            assert len(channel.attempts) == MAX_WAITING + 1
            for number in range(200):
                alerts.raise_(budget(tenant=f"u{number}", at=now()))
            assert len(alerts._recent) == MAX_WAITING + 10

    run_virtual(scenario())
    assert len([line for line in caplog.records if "others are dropped" in line.getMessage()]) == 1


def test_what_a_dead_process_left_is_taken_up_by_another_one() -> None:
    async def scenario() -> None:
        log, dead, other = Log(), Scripted("one", EVERYTHING, AWAY), Scripted("one")
        async with desk(log, dead) as alerts:
            alerts.raise_(budget(at=now()))
            await asyncio.sleep(1)
            await kill(alerts)
            died_at = now()
            alerts._delivering._records.clear()
        async with desk(log, other, seed=2), desk(log, other, seed=3):
            await asyncio.sleep(LEASE_SECONDS + MINUTE)
            ((_, at),) = other.attempts
            assert at - died_at < LEASE_SECONDS + MINUTE
            assert [state for _, state, *_ in await deliveries(log)] == ["delivered"]

    run_virtual(scenario())


def test_a_process_that_stops_leaves_what_it_has_to_the_next() -> None:
    async def scenario() -> None:
        log, dead, other = Log(), Scripted("one", EVERYTHING, AWAY), Scripted("one")
        async with desk(log, dead) as alerts:
            alerts.raise_(budget(50, at=now()))
            await asyncio.sleep(1)
            alerts.raise_(budget(80, at=now()))  # in the queue when the process stops
        async with desk(log, other):
            await asyncio.sleep(MINUTE)
        assert sorted(key for key, _ in other.attempts) == [budget(50).key, budget(80).key]

    run_virtual(scenario())


def test_a_channel_that_is_configured_no_more_is_given_up_and_a_new_one_is_told_from_then_on() -> None:
    async def scenario() -> None:
        log, old, new = Log(), Scripted("old", EVERYTHING, AWAY), Scripted("new")
        async with desk(log, old) as alerts:
            alerts.raise_(budget(50, at=now()))
            await asyncio.sleep(1)
            alerts.configure([new])
            alerts.raise_(budget(80, at=now()))
            await asyncio.sleep(10 * MINUTE)
        assert [(name, state) for name, state, *_ in await deliveries(log)] == [("new", "delivered"), ("old", "failed")]
        assert [key for key, _ in new.attempts] == [budget(80).key]

    run_virtual(scenario())


@pytest.mark.parametrize("how", ["away", "silent"])
def test_an_absent_log_does_not_keep_people_from_being_told(how: str) -> None:
    async def scenario() -> None:
        log, channel = Log(), Scripted()
        setattr(log, how, True)
        async with desk(log, channel) as alerts:
            raised_at, absent, spent = now(), store(at=now()), budget(at=now())
            alerts.raise_(absent)
            alerts.raise_(spent)
            await asyncio.sleep(10.0)
            assert [key for key, _ in channel.attempts] == [absent.key]  # it may be about the log itself
            await asyncio.sleep(UNENTERED_SECONDS)
            assert [key for key, _ in channel.attempts] == [absent.key, spent.key]
            assert channel.attempts[1][1] - raised_at < UNENTERED_SECONDS + 10.0
            setattr(log, how, False)
            await asyncio.sleep(MINUTE)
            assert len(channel.attempts) == 2
            assert await deliveries(log) == [("one", DeliveryState.DELIVERED, 1, "204")] * 2

    run_virtual(scenario())


def test_a_log_that_comes_back_in_time_is_asked_whose_alert_it_is() -> None:
    async def scenario() -> None:
        log, channels = Log(), [Scripted(), Scripted()]
        log.away = True
        async with desk(log, channels[0]) as one, desk(log, channels[1], seed=2) as two:
            one.raise_(budget(at=now()))
            two.raise_(budget(at=now()))
            await asyncio.sleep(UNENTERED_SECONDS / 2)
            log.away = False
            await asyncio.sleep(MINUTE)
        assert sum(len(channel.attempts) for channel in channels) == 1

    run_virtual(scenario())


def test_old_alerts_are_forgotten() -> None:
    async def scenario() -> None:
        log = Log()
        old = msgspec.structs.replace(budget(50), at=now() - KEEP_SECONDS - 1)
        await log.claim(AlertRecord(old), 0.0)
        async with desk(log) as alerts:
            alerts.raise_(budget(80, at=now()))
            await asyncio.sleep(MINUTE)
        assert [record.alert.key for record in await log.recent(9)] == [budget(80).key]

    run_virtual(scenario())


class Broken(Scripted):
    """Fails in a way that nobody foresaw."""

    async def send(self, alert: Alert, now: float) -> str:
        await super().send(alert, now)
        raise ValueError("a bug")


def test_a_bug_in_a_channel_is_retried_and_given_up_like_any_failure() -> None:
    async def scenario() -> None:
        log, broken, well = Log(), Broken("broken"), Scripted("well")
        async with desk(log, broken, well) as alerts:
            alerts.raise_(budget(at=now()))
            await asyncio.sleep(2 * GIVE_UP_SECONDS)
        assert [(name, state) for name, state, *_ in await deliveries(log)] == [
            ("broken", "failed"),
            ("well", "delivered"),
        ]

    run_virtual(scenario())


def test_a_record_left_for_long_gets_one_more_attempt() -> None:
    async def scenario() -> None:
        log, well = Log(), Scripted("one")
        late = msgspec.structs.replace(budget(), at=now() - 10 * GIVE_UP_SECONDS)
        await log.claim(AlertRecord(late, (AlertDelivery("one", attempts=3),)), now() - 1)
        async with desk(log, well):
            await asyncio.sleep(MINUTE)
        assert await deliveries(log) == [("one", DeliveryState.DELIVERED, 4, "204")]

    run_virtual(scenario())
