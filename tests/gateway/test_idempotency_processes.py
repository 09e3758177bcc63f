"""Idempotency keys while processes die, live on, or have lost their database."""

from __future__ import annotations

import asyncio

import pytest

from headgate.errors import DatabaseUnavailable
from headgate.gateway.idempotency import ALIVE_SECONDS
from headgate.idempotency_errors import IdempotencyOutcomeUnknown
from headgate.idempotency_types import IdempotencyRules, KeyedRequest, KeyedResult, OnUnknown
from headgate.types import Caller, Measure, MeterKind, Rule, Scope, Tier
from tests.gateway import scripted
from tests.gateway.corridor import run
from tests.gateway.keyed import another_process, corridor, data, is_replayed, keyed

BUDGET = Rule("budgets.user_day", MeterKind.BUDGET, Measure.USD, Scope.USER, 10**12, window="day")


LIMITED = Caller("key_1", "acme", "alice", Tier("pro", models=frozenset({"*"}), rules=(BUDGET,)))


@pytest.mark.parametrize("stream", [False, True])
def test_another_process_waits_for_the_result(stream: bool) -> None:
    async def scenario() -> None:
        reply = scripted.stream(seconds_before=3.0) if stream else scripted.answer(seconds_before=3.0)
        one, asked = corridor(reply)
        two, not_asked = another_process(one, reply)
        running = asyncio.ensure_future(one.visit(keyed(one, stream=stream)))
        await asyncio.sleep(0.1)
        other = await two.visit(keyed(two, stream=stream))
        assert is_replayed(other) and data(other) == data(await running)
        assert (len(asked.asked), len(not_asked.asked)) == (1, 0)
        assert two.record.cost_picousd == 0

    run(scenario)


@pytest.mark.parametrize("on_unknown", list(OnUnknown))
def test_a_request_whose_process_died(on_unknown: OnUnknown) -> None:
    async def scenario() -> None:
        rules = IdempotencyRules(on_unknown=on_unknown)
        one, _ = corridor(scripted.answer(seconds_before=scripted.SILENCE), idempotency=rules)
        two, provider = another_process(one, scripted.answer(), idempotency=rules)
        dead = asyncio.ensure_future(one.visit(keyed(one), caller=LIMITED))
        await asyncio.sleep(1)
        (noted,) = one.journal.under_way.values()
        assert noted.is_uncharged is (on_unknown is OnUnknown.RETRY)
        waiting = [asyncio.ensure_future(two.visit(keyed(two))) for _ in range(3)]
        await asyncio.sleep(ALIVE_SECONDS - 2)
        assert not any(visit.done() for visit in waiting)  # it may still live
        visits = await asyncio.gather(*waiting)
        if on_unknown is OnUnknown.REFUSE:
            assert all(isinstance(visit.error, IdempotencyOutcomeUnknown) for visit in visits)
            assert not provider.asked
        else:
            assert sorted(map(is_replayed, visits)) == [False, True, True]
            assert len(provider.asked) == 1
        dead.cancel()
        await asyncio.wait([dead])

    run(scenario)


def test_a_process_that_lives_keeps_its_keys() -> None:
    async def scenario() -> None:
        one, _ = corridor(scripted.answer(seconds_before=10 * ALIVE_SECONDS))
        two, not_asked = another_process(one, scripted.answer())
        living = asyncio.ensure_future(one.idempotency.run_forever())
        running = asyncio.ensure_future(one.visit(keyed(one)))
        await asyncio.sleep(1)
        assert is_replayed(await two.visit(keyed(two)))
        assert not (await running).error and not not_asked.asked
        living.cancel()
        await asyncio.wait([living])

    run(scenario)


@pytest.mark.parametrize("on_unknown", list(OnUnknown))
def test_what_this_process_runs_is_not_thought_dead_here(on_unknown: OnUnknown) -> None:
    async def scenario() -> None:
        rules = IdempotencyRules(on_unknown=on_unknown)
        lane, provider = corridor(scripted.answer(seconds_before=3 * ALIVE_SECONDS), idempotency=rules)
        running = asyncio.ensure_future(lane.visit(keyed(lane)))
        await asyncio.sleep(2 * ALIVE_SECONDS)  # and nobody has said that it lives
        assert is_replayed(await lane.visit(keyed(lane)))
        assert not is_replayed(await running) and len(provider.asked) == 1

    run(scenario)


def test_one_that_was_thought_dead_and_was_not_is_not_charged() -> None:
    async def scenario() -> None:
        one, _ = corridor(scripted.answer(seconds_before=ALIVE_SECONDS + 5))
        two, _ = another_process(one, scripted.answer())
        slow = asyncio.ensure_future(one.visit(keyed(one)))
        await asyncio.sleep(ALIVE_SECONDS + 1)
        assert not is_replayed(await two.visit(keyed(two)))
        assert (await slow).error is None
        assert two.record.cost_picousd > 0
        assert one.record.cost_picousd == 0 and one.record.attempts[0].cost_picousd > 0  # both are booked, one charged

    run(scenario)


def test_the_answer_goes_out_while_the_database_is_away_and_its_result_is_saved_later() -> None:
    async def scenario() -> None:
        lane, provider = corridor(scripted.answer())
        finish, away = lane.keys.finish, True

        async def failing(key: bytes, request_id: str, result: KeyedResult) -> bool:
            if away:
                raise DatabaseUnavailable("away")
            return await finish(key, request_id, result)

        lane.keys.finish = failing  # type: ignore[method-assign]  # a database that comes and goes
        living = asyncio.ensure_future(lane.idempotency.run_forever())
        assert (await lane.visit(keyed(lane))).error is None
        away = False
        assert is_replayed(await lane.visit(keyed(lane)))
        assert len(provider.asked) == 1
        living.cancel()
        await asyncio.wait([living])

    run(scenario)


def test_a_client_that_leaves_while_the_key_is_asked_for_leaves_it_free() -> None:
    async def scenario() -> None:
        lane, _ = corridor(scripted.answer())
        claim = lane.keys.claim

        async def slow(request: KeyedRequest, now: float) -> KeyedRequest:
            found = await claim(request, now)  # as a thread does, whoever waits for it
            await asyncio.sleep(5)
            return found

        lane.keys.claim = slow  # type: ignore[method-assign]  # a database that takes its time
        leaving = asyncio.ensure_future(lane.visit(keyed(lane)))
        await asyncio.sleep(1)
        leaving.cancel()
        await asyncio.wait([leaving])
        await lane.idempotency.finish()
        assert not lane.keys._requests
        assert not is_replayed(await lane.visit(keyed(lane)))

    run(scenario)


def test_a_key_is_freed_when_the_database_is_back() -> None:
    async def scenario() -> None:
        lane, provider = corridor(scripted.refuse(400), scripted.answer())
        release, away = lane.keys.release, True

        async def failing(key: bytes, request_id: str) -> None:
            if away:
                raise DatabaseUnavailable("away")
            await release(key, request_id)

        lane.keys.release = failing  # type: ignore[method-assign]  # a database that comes and goes
        living = asyncio.ensure_future(lane.idempotency.run_forever())
        assert (await lane.visit(keyed(lane))).error is not None
        await lane.idempotency.finish()
        away = False
        assert not is_replayed(await lane.visit(keyed(lane)))
        assert len(provider.asked) == 2
        living.cancel()
        await asyncio.wait([living])

    run(scenario)
