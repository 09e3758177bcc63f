"""Who waits for a provider's quota: when each is served, and what ends a wait."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from headgate.errors import Draining, NoDeployment, ProviderQuota, UpstreamRejected, WaitingRoomFull
from headgate.policy.health import BreakerRules
from headgate.policy.quota import QuotaLimits
from tests.gateway.corridor import Corridor, deployment, model, run
from tests.gateway.crowd import BOB, ask, left, settle
from tests.gateway.scripted import SILENCE, ScriptedProvider, answer, refuse, stream


def test_all_wait_for_the_reset_and_are_served_then() -> None:
    async def scenario() -> None:
        one, two = (ScriptedProvider(left(0), *[left(90)] * 50, name=name) for name in ("one", "two"))
        corridor = Corridor(model(deployment(one), deployment(two)))
        await asyncio.gather(*ask(corridor, 2))
        waiting = ask(corridor, 30)
        await settle()
        assert corridor.admissions.room.waiting == 30
        visits = await asyncio.gather(*waiting)
        assert not any(visit.error for visit in visits)
        assert {asked.at for asked in (*one.asked[1:], *two.asked[1:])} == {5.0}
        assert corridor.at_rest() and corridor.admissions.room.waiting == 0

    run(scenario)


def test_a_limit_that_refills_serves_one_after_the_other() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(*[left(0, 60, "60s")] * 10)
        corridor = Corridor(model(deployment(up)))
        visits = await asyncio.gather(*ask(corridor, 1))
        visits += await asyncio.gather(*ask(corridor, 5))
        assert not any(visit.error for visit in visits)
        assert [asked.at for asked in up.asked] == pytest.approx([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])

    run(scenario)


def test_a_tenant_that_floods_does_not_keep_the_others_waiting() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(*[left(0, 60, "60s")] * 30)
        corridor = Corridor(model(deployment(up)), quota_wait_seconds=10.5)
        await asyncio.gather(*ask(corridor, 1))
        flood = ask(corridor, 100)
        await settle()
        (one,) = ask(corridor, 1, BOB)
        assert (await one).error is None and corridor.clock.monotonic() == pytest.approx(2.0)
        errors = [visit.error for visit in await asyncio.gather(*flood)]
        assert sum(error is None for error in errors) == 9, "one a second, for as long as they wait"
        assert all(isinstance(error, ProviderQuota) for error in errors if error)

    run(scenario)


def test_a_request_that_used_less_than_was_held_for_it_lets_the_next_one_in() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(answer(seconds_before=3.0, usage=(7, 3)))
        corridor = Corridor(model(deployment(up, limits=QuotaLimits(tokens_per_minute=1000))))
        visits = await asyncio.gather(*ask(corridor, 2, max_tokens=900))
        assert [visit.error for visit in visits] == [None, None]
        assert [asked.at for asked in up.asked] == [0.0, 3.0]

    run(scenario)


def test_what_the_provider_says_next_wakes_who_waits() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(
            left(3, reset="50s"), *[left(3, reset="50s", reply=answer(seconds_before=2.0))] * 3, left(80)
        )
        corridor = Corridor(model(deployment(up)))
        await asyncio.gather(*ask(corridor, 1))
        visits = await asyncio.gather(*ask(corridor, 4))
        assert not any(visit.error for visit in visits)
        assert [asked.at for asked in up.asked] == [0.0, 0.0, 0.0, 0.0, 2.0]

    run(scenario)


def test_a_429_is_waited_out_by_those_that_come_after() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(refuse(429, retry_after="4"), answer())
        corridor = Corridor(model(deployment(up), retries=0))
        assert isinstance((await corridor.visit(corridor.call(stream=False))).error, UpstreamRejected)
        visits = await asyncio.gather(*ask(corridor, 3))
        assert not any(visit.error for visit in visits)
        assert [asked.at for asked in up.asked] == [0.0, 4.0, 4.0, 4.0]

    run(scenario)


def test_a_provider_that_takes_requests_again_is_believed() -> None:
    async def scenario() -> None:
        busy = replace(refuse(429, retry_after="8"), seconds_before=1.0)
        up = ScriptedProvider(busy, answer(seconds_before=2.5), answer())
        corridor = Corridor(model(deployment(up), retries=0))
        first = ask(corridor, 1)
        await asyncio.sleep(0.5)
        second = ask(corridor, 1)
        assert (await first[0]).error and (await second[0]).error is None
        assert (await corridor.visit(corridor.call(stream=False))).error is None
        assert corridor.clock.monotonic() == 3.0, "who was sent after the one that got 429 was served"

    run(scenario)


def test_a_retry_whose_turn_others_took_waits() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(
            left(0, reset="1s", reply=refuse(429, retry_after="1")), left(0, limit=1, reset="3s"), answer()
        )
        corridor = Corridor(model(deployment(up), retries=1))
        refused = ask(corridor, 1)
        await settle()
        other = ask(corridor, 1)
        assert not any(visit.error for visit in await asyncio.gather(*refused, *other))
        assert [asked.at for asked in up.asked] == [0.0, 1.0, 4.0]

    run(scenario)


def test_nobody_waits_when_waiting_is_off() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(left(0), answer())
        corridor = Corridor(model(deployment(up)), quota_wait_seconds=0.0)
        await corridor.visit(corridor.call(stream=False))
        assert isinstance((await corridor.visit(corridor.call(stream=False))).error, ProviderQuota)
        assert corridor.clock.monotonic() == 0.0

    run(scenario)


def test_a_full_room_refuses_by_name() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(left(0), *[left(50)] * 9)
        corridor = Corridor(model(deployment(up)), max_waiting=3)
        await corridor.visit(corridor.call(stream=False))
        errors = [visit.error for visit in await asyncio.gather(*ask(corridor, 5))]
        assert [type(error) for error in errors] == [type(None)] * 3 + [WaitingRoomFull] * 2

    run(scenario)


def test_breakers_are_not_waited_for() -> None:
    async def scenario() -> None:
        rules = BreakerRules(failures=1, open_seconds=5.0)
        up = ScriptedProvider(left(0, reply=refuse(500)), answer())
        corridor = Corridor(model(deployment(up, rules=rules), retries=0))
        await corridor.visit(corridor.call(stream=False))
        assert isinstance((await corridor.visit(corridor.call(stream=False))).error, NoDeployment)

    run(scenario)


def test_a_client_that_leaves_the_room_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(left(0), *[left(50)] * 9)
        corridor = Corridor(model(deployment(up)))
        await corridor.visit(corridor.call(stream=False))
        first, second, third = ask(corridor, 3)
        await asyncio.sleep(1.0)
        second.cancel()
        await asyncio.wait([second])
        assert corridor.admissions.room.waiting == 2
        assert not (await first).error and not (await third).error
        assert len(up.asked) == 3 and corridor.at_rest()
        assert [record.outcome for record in corridor.journal.appended] == ["done", "disconnected", "done", "done"]

    run(scenario)


@pytest.mark.parametrize("how", ["close", "interrupt"])
def test_a_process_that_shuts_down_ends_all_waits(how: str) -> None:
    async def scenario() -> None:
        up = ScriptedProvider(left(0), stream(SILENCE))
        corridor = Corridor(model(deployment(up)))
        await corridor.visit(corridor.call(stream=False))
        waiting = ask(corridor, 3)
        await asyncio.sleep(1.0)
        if how == "close":
            corridor.admissions.room.close(lambda: Draining("bye"))
        else:
            corridor.pipeline.interrupt(lambda: Draining("bye"))
        errors = [visit.error for visit in await asyncio.gather(*waiting)]
        assert [type(error) for error in errors] == [Draining] * 3
        assert corridor.clock.monotonic() == 1.0 and corridor.at_rest()

    run(scenario)
