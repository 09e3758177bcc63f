"""A provider's quota, as requests through the corridor meet it: routed around, waited for, refused with a true time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from headgate.errors import Draining, NoDeployment, ProviderQuota, UpstreamRejected, WaitingRoomFull
from headgate.gateway.fleet import assemble
from headgate.policy.health import BreakerRules
from headgate.policy.quota import QuotaLimits
from headgate.types import Caller
from tests.gateway.corridor import ALICE, EVERYTHING, Corridor, Visit, deployment, model, run
from tests.gateway.scripted import SILENCE, Reply, ScriptedProvider, answer, refuse, stream, telling

BOB = Caller("key_2", "hobby", "bob", EVERYTHING)


def left(remaining: int, limit: int = 100, reset: str = "5s", *, reply: Reply | None = None) -> Reply:
    """An answer that says how many requests are left, in a window that ends at `reset`."""
    return telling(
        reply or answer(),
        x_ratelimit_remaining_requests=str(remaining),
        x_ratelimit_limit_requests=str(limit),
        x_ratelimit_reset_requests=reset,
    )


def ask(corridor: Corridor, count: int, caller: Caller = ALICE, **members: Any) -> list[asyncio.Task[Visit]]:
    call = {"stream": False, **members}
    return [asyncio.create_task(corridor.visit(corridor.call(**call), caller=caller)) for _ in range(count)]


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


# --- routed around ---


def test_a_deployment_whose_quota_is_used_up_is_left_alone() -> None:
    async def scenario() -> None:
        one, two = ScriptedProvider(left(0), name="one"), ScriptedProvider(answer(), name="two")
        corridor = Corridor(model(deployment(one), deployment(two)))
        visits = [(await corridor.visit(corridor.call(stream=False))) for _ in range(20)]
        assert not any(visit.error for visit in visits)
        assert len(one.asked) == 1 and len(two.asked) == 19
        await asyncio.sleep(5.0)
        await asyncio.gather(*ask(corridor, 2))
        assert len(one.asked) == 2

    run(scenario)


def test_a_fallback_answers_before_anybody_waits() -> None:
    async def scenario() -> None:
        one, two, three = (ScriptedProvider(left(0), name=name) for name in ("one", "two", "three"))
        corridor = Corridor(
            model(deployment(one), fallback=("second", "third")),
            model(deployment(two), name="second"),
            model(deployment(three), name="third"),
        )
        visits = [await corridor.visit(corridor.call(stream=False)) for _ in range(3)]
        assert [visit.head and visit.head.model for visit in visits] == ["small", "second", "third"]
        assert corridor.clock.monotonic() == 0.0
        assert (await corridor.visit(corridor.call(stream=False))).error is None
        assert corridor.clock.monotonic() == 5.0, "the first that has room again"

    run(scenario)


def test_configured_limits_count_for_the_deployment() -> None:
    async def scenario() -> None:
        one, two = ScriptedProvider(answer(), name="one"), ScriptedProvider(answer(), name="two")
        corridor = Corridor(model(deployment(one, limits=QuotaLimits(requests_per_minute=3)), deployment(two)))
        visits = await asyncio.gather(*ask(corridor, 40))
        assert not any(visit.error for visit in visits)
        assert len(one.asked) == 3 and len(two.asked) == 37

    run(scenario)


def test_a_key_whose_quota_is_used_up_is_left_alone() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(left(0), *[left(50)] * 20)
        corridor = Corridor(model(deployment(up, keys=("a", "b"))))
        for _ in range(10):
            assert (await corridor.visit(corridor.call(stream=False))).error is None
        first = up.asked[0].api_key
        assert [asked.api_key for asked in up.asked[1:]] == [{"a": "b", "b": "a"}[first]] * 9

    run(scenario)


# --- waited for ---


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


# --- refused ---


def test_who_would_wait_in_vain_is_refused_at_once_with_the_true_time() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(left(0, reset="30s"), answer())
        corridor = Corridor(model(deployment(up)))
        await corridor.visit(corridor.call(stream=False))
        refused = (await corridor.visit(corridor.call(stream=False))).error
        assert isinstance(refused, ProviderQuota) and corridor.clock.monotonic() == 0.0
        assert (refused.status, refused.should_retry, refused.retry_after_seconds) == (429, True, 30.0)
        assert "up/model: the provider has 0 of 100 requests left" in refused.message
        await asyncio.sleep(30.0)
        assert (await corridor.visit(corridor.call(stream=False))).error is None
        assert [record.error for record in corridor.journal.appended] == ["", "provider_quota", ""]

    run(scenario)


def test_the_requests_own_deadline_is_kept() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(left(0), answer())
        corridor = Corridor(model(deployment(up), total_seconds=3.0))
        await corridor.visit(corridor.call(stream=False))
        refused = (await corridor.visit(corridor.call(stream=False))).error
        assert isinstance(refused, ProviderQuota) and refused.retry_after_seconds == 5.0
        assert corridor.clock.monotonic() == 0.0

    run(scenario)


def test_who_waits_for_requests_under_way_in_vain_is_told_when_the_minute_is_over() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(answer(seconds_before=20.0))
        corridor = Corridor(model(deployment(up, limits=QuotaLimits(tokens_per_minute=1000))))
        first, second = ask(corridor, 2, max_tokens=900)
        refused = (await second).error
        assert isinstance(refused, ProviderQuota) and corridor.clock.monotonic() == 10.0
        assert refused.retry_after_seconds == 50.25 and "held for requests under way" in refused.message
        assert (await first).error is None

    run(scenario)


def test_several_that_are_refused_are_told_different_times_and_all_are_true() -> None:
    """One request a second: who comes back when told is served, whatever others do."""

    async def scenario() -> None:
        up = ScriptedProvider(*[left(0, 60, "60s")] * 100)
        corridor = Corridor(model(deployment(up)), quota_wait_seconds=3.5)
        await asyncio.gather(*ask(corridor, 1))
        told = []

        async def client() -> None:
            refused = (await corridor.visit(corridor.call(stream=False))).error
            if refused is not None:
                assert isinstance(refused, ProviderQuota) and refused.retry_after_seconds is not None
                told.append(refused.retry_after_seconds)
                await asyncio.sleep(refused.retry_after_seconds)
                assert (await corridor.visit(corridor.call(stream=False))).error is None

        await asyncio.gather(*(client() for _ in range(50)))
        assert told == pytest.approx([*range(4, 51)]), "three waited"
        assert corridor.clock.monotonic() == pytest.approx(50.0, abs=0.1)

    run(scenario)


def test_refusals_of_one_tenant_do_not_put_off_another() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(*[left(0, 60, "60s")] * 100)
        corridor = Corridor(model(deployment(up)), quota_wait_seconds=0.5)
        await asyncio.gather(*ask(corridor, 1))
        await asyncio.gather(*ask(corridor, 40))
        (visit,) = await asyncio.gather(*ask(corridor, 1, BOB))
        assert visit.error is not None and visit.error.retry_after_seconds == pytest.approx(2.0)

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


# --- ends of waits ---


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
            corridor.pipeline.interrupt(Draining("bye"))
        errors = [visit.error for visit in await asyncio.gather(*waiting)]
        assert [type(error) for error in errors] == [Draining] * 3
        assert corridor.clock.monotonic() == 1.0 and corridor.at_rest()

    run(scenario)


# --- what is known ---


def test_an_answer_that_comes_late_says_nothing_new() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(left(0, reply=answer(seconds_before=2.0), reset="9s"), left(50), answer())
        corridor = Corridor(model(deployment(up)))
        slow = ask(corridor, 1)
        await asyncio.sleep(0.5)
        await asyncio.gather(*slow, *ask(corridor, 1))
        assert (await corridor.visit(corridor.call(stream=False))).error is None
        assert corridor.clock.monotonic() == 2.0, "what the later attempt was told counts"

    run(scenario)


def test_what_was_said_last_counts_after_a_rest() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(left(90, reset="50s"), left(0, reset="50s"), answer())
        corridor = Corridor(model(deployment(up)))
        for _ in range(2):
            assert (await corridor.visit(corridor.call(stream=False))).error is None
        await asyncio.sleep(1.0)
        assert isinstance((await corridor.visit(corridor.call(stream=False))).error, ProviderQuota)
        assert len(up.asked) == 2

    run(scenario)


def test_a_reload_changes_the_limits_and_forgets_nothing() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(answer())
        plain, limited = (model(deployment(up, limits=QuotaLimits(requests_per_minute=most))) for most in (10, 3))
        corridor = Corridor(plain)
        await asyncio.gather(*ask(corridor, 3))
        again = assemble(dict([limited]), corridor.setup)
        assert again["small"].deployments[0] is corridor.deployment("up/model")
        assert isinstance((await corridor.visit(corridor.call(stream=False))).error, ProviderQuota)

    run(scenario)
