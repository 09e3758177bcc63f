"""A provider's quota, as requests through the corridor meet it: routed around, or refused with a true time."""

from __future__ import annotations

import asyncio

import pytest

from headgate.errors import ProviderQuota
from headgate.gateway.fleet import assemble
from headgate.policy.quota import QuotaLimits
from tests.gateway.corridor import Corridor, deployment, model, run
from tests.gateway.crowd import BOB, ask, left
from tests.gateway.scripted import ScriptedProvider, answer

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
