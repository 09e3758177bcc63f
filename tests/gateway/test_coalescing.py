"""The same request while it is being answered: one call to a provider, whoever leaves, whatever fails."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from headgate.cache_types import CacheRules, ExactRules
from headgate.errors import StreamIncomplete, UpstreamRejected, UpstreamUnreachable
from headgate.gateway.cache import LOG_BYTES
from headgate.limit_errors import RequestTooLarge
from headgate.types import Caller, Measure, MeterKind, Outcome, Rule, Scope, Tier
from tests.gateway import scripted
from tests.gateway.corridor import EVERYTHING, Corridor, Visit, deployment, model, run
from tests.gateway.scripted import Reply, ScriptedProvider
from tests.wire.chunks import ANSWER, DONE, role, stop, text

BOB = Caller("key_2", "acme", "bob", EVERYTHING)
RULES = ExactRules()
LATE = 2.0
UNREACHABLE = Reply(error=UpstreamUnreachable("no"), seconds_before=1.0)


def coalescing(provider: ScriptedProvider, rules: ExactRules = RULES, **spec: Any) -> Corridor:
    return Corridor(model(deployment(provider), **spec), caches={"small": CacheRules(rules, frozenset({"small"}))})


async def together(corridor: Corridor, count: int, *, stream: bool) -> list[Visit]:
    calls = [corridor.call(stream=stream) for _ in range(count)]
    return list(await asyncio.gather(*[corridor.visit(call) for call in calls]))


def caches(visits: list[Visit]) -> list[str]:
    return [visit.head.cache if visit.head else "error" for visit in visits]


@pytest.mark.parametrize("stream", [False, True])
def test_a_thousand_at_once_make_one_call(stream: bool) -> None:
    async def scenario() -> None:
        answer = (
            scripted.stream(ANSWER, 1.0, DONE, seconds_before=LATE) if stream else scripted.answer(seconds_before=LATE)
        )
        provider = ScriptedProvider(answer)
        corridor = coalescing(provider)
        visits = await together(corridor, 1000, stream=stream)

        assert len(provider.asked) == 1
        assert caches(visits) == ["miss"] + ["coalesced"] * 999
        if stream:
            assert visits[1].body == ANSWER + b": x-headgate-cost-usd=0\n\n" + DONE
            assert visits[1].times[0] == LATE
        else:
            assert {visit.body for visit in visits} == {visits[0].body}
        rows = corridor.journal.appended
        assert sorted({row.outcome for row in rows}) == [Outcome.CACHED, Outcome.DONE]
        assert sum(row.cost_picousd for row in rows) == rows[0].cost_picousd > 0
        assert len({row.id for row in rows}) == 1000
        assert corridor.at_rest()
        assert caches(await together(corridor, 1, stream=stream)) == ["exact"]

    run(scenario)


def test_who_comes_in_the_middle_of_a_stream_gets_all_of_it() -> None:
    async def scenario() -> None:
        provider = ScriptedProvider(scripted.stream(role() + text("one"), 5.0, text("more"), 5.0, stop() + DONE))
        corridor = coalescing(provider)
        leader = asyncio.create_task(corridor.visit(corridor.call()))
        await asyncio.sleep(7)
        follower = await corridor.visit(corridor.call(), caller=BOB)
        assert follower.head is not None and follower.head.cache == "coalesced"
        assert (
            follower.body.replace(b": x-headgate-cost-usd=0\n\n", b"")
            == role() + text("one") + text("more") + stop() + DONE
        )
        assert follower.times[0] == 7
        await leader

    run(scenario)


def test_a_leader_that_fails_hands_over_to_one_of_those_who_wait() -> None:
    async def scenario() -> None:
        provider = ScriptedProvider(UNREACHABLE, scripted.answer(seconds_before=1))
        corridor = coalescing(provider, retries=0)
        visits = await together(corridor, 20, stream=False)
        assert len(provider.asked) == 2
        assert isinstance(visits[0].error, UpstreamUnreachable)
        assert caches(visits) == ["error", "miss"] + ["coalesced"] * 18

    run(scenario)


def test_two_leaders_that_fail_fail_for_everybody() -> None:
    async def scenario() -> None:
        provider = ScriptedProvider(UNREACHABLE)
        corridor = coalescing(provider, retries=0)
        visits = await together(corridor, 20, stream=True)
        assert len(provider.asked) == 2
        assert all(isinstance(visit.error, UpstreamUnreachable) for visit in visits)
        assert {row.outcome for row in corridor.journal.appended} == {Outcome.FAILED}

    run(scenario)


def test_a_request_that_is_wrong_is_wrong_for_everybody() -> None:
    async def scenario() -> None:
        provider = ScriptedProvider(replace(scripted.refuse(400), seconds_before=1.0))
        corridor = coalescing(provider)
        visits = await together(corridor, 20, stream=False)
        assert len(provider.asked) == 1
        assert all(isinstance(visit.error, UpstreamRejected) for visit in visits)

    run(scenario)


def test_a_stream_that_breaks_breaks_for_everybody_and_is_not_kept() -> None:
    async def scenario() -> None:
        provider = ScriptedProvider(scripted.stream(role() + text("one"), 1.0, StreamIncomplete("cut")))
        corridor = coalescing(provider, retries=0)
        visits = await together(corridor, 3, stream=True)
        assert len(provider.asked) == 1
        assert [visit.last_error["code"] for visit in visits] == ["stream_incomplete"] * 3
        assert corridor.answers.size().entries == 0
        assert corridor.at_rest()

    run(scenario)


def test_who_has_no_money_left_does_not_stop_the_others() -> None:
    """The leader is refused; it is each one's own matter, and the next one leads."""
    rule = Rule("budgets.user_day", MeterKind.BUDGET, Measure.USD, Scope.USER, 1, window="day")
    zoe = Caller("key_9", "acme", "zoe", Tier("broke", frozenset({"*"}), rules=(rule,)))

    async def scenario() -> None:
        provider = ScriptedProvider(scripted.answer(seconds_before=1))
        corridor = coalescing(provider)
        poor = asyncio.create_task(corridor.visit(corridor.call(stream=False), caller=zoe))
        rich = [asyncio.create_task(corridor.visit(corridor.call(stream=False))) for _ in range(3)]
        visits = [await poor, *[await each for each in rich]]
        assert isinstance(visits[0].error, RequestTooLarge)
        assert caches(visits[1:]) == ["miss", "coalesced", "coalesced"]
        again = await corridor.visit(corridor.call(stream=False), caller=zoe)
        assert again.head is not None and again.head.cache == "exact", "what costs nothing needs no money"

    run(scenario)


def test_a_leader_that_is_cancelled_hands_over() -> None:
    async def scenario() -> None:
        provider = ScriptedProvider(scripted.answer(seconds_before=10))
        corridor = coalescing(provider)
        leader = asyncio.create_task(corridor.visit(corridor.call(stream=False)))
        followers = [asyncio.create_task(corridor.visit(corridor.call(stream=False))) for _ in range(5)]
        await asyncio.sleep(1)
        leader.cancel()
        visits = [await each for each in followers]
        assert len(provider.asked) == 2
        assert caches(visits) == ["miss"] + ["coalesced"] * 4
        assert corridor.at_rest()

    run(scenario)


def test_a_leader_whose_client_left_goes_on_until_the_last_one_leaves() -> None:
    async def scenario() -> None:
        provider = ScriptedProvider(scripted.stream(role() + text("one"), 1.0, text("more"), 60.0, stop() + DONE))
        corridor = coalescing(provider, stall_seconds=120.0)
        call = corridor.call()
        leader = asyncio.create_task(corridor.visit(call))
        followers = [asyncio.create_task(corridor.visit(corridor.call())) for _ in range(2)]
        await asyncio.sleep(0.5)
        assert corridor.pipeline.outlives(call.id, leader.cancel)
        followers[0].cancel()
        await asyncio.sleep(2)
        assert not leader.done()
        followers[1].cancel()
        await asyncio.sleep(0)
        await asyncio.wait([leader])
        assert leader.cancelled() and corridor.at_rest()
        assert not corridor.pipeline.outlives(call.id, leader.cancel)

    run(scenario)


def test_a_follower_that_is_too_slow_is_told_so() -> None:
    async def scenario() -> None:
        piece = text("x" * 500_000)
        provider = ScriptedProvider(scripted.stream(role(), *[piece] * 20, stop() + DONE))
        corridor = coalescing(provider)
        leader = asyncio.create_task(corridor.visit(corridor.call()))
        slow = asyncio.create_task(corridor.visit(corridor.call(), slowly=1.0))
        await leader
        seen = await slow
        assert seen.last_error["code"] == "client_gone"
        assert len(piece) * 20 > LOG_BYTES
        assert corridor.at_rest()

    run(scenario)


@pytest.mark.parametrize("rules", [ExactRules(coalesce=False)])
def test_it_can_be_switched_off(rules: ExactRules) -> None:
    async def scenario() -> None:
        provider = ScriptedProvider(scripted.answer(seconds_before=1))
        corridor = coalescing(provider, rules)
        visits = await together(corridor, 3, stream=False)
        assert len(provider.asked) == 3
        assert caches(visits) == ["miss"] * 3

    run(scenario)


def test_a_ceiling_that_is_lower_is_another_question() -> None:
    short = Caller("key_5", "acme", "carl", Tier("short", frozenset({"*"}), max_output_tokens=16))

    async def scenario() -> None:
        provider = ScriptedProvider(scripted.answer(seconds_before=1))
        corridor = coalescing(provider)
        first, second = await asyncio.gather(
            corridor.visit(corridor.call(stream=False)), corridor.visit(corridor.call(stream=False), caller=short)
        )
        assert len(provider.asked) == 2 and caches([first, second]) == ["miss", "miss"]
        assert provider.asked[1].body["max_completion_tokens"] == 16

    run(scenario)


def test_a_leader_that_is_cancelled_in_the_middle_breaks_what_others_receive() -> None:
    async def scenario() -> None:
        provider = ScriptedProvider(scripted.stream(role() + text("one"), 5.0, stop() + DONE))
        corridor = coalescing(provider)
        leader = asyncio.create_task(corridor.visit(corridor.call()))
        prompt, slow = (asyncio.create_task(corridor.visit(corridor.call(), slowly=slowly)) for slowly in (0.0, 2.0))
        await asyncio.sleep(1)
        leader.cancel()
        for each in (prompt, slow):
            seen = await each
            assert seen.pieces[0] == role() + text("one") and seen.last_error["code"] == "stream_incomplete"
        assert corridor.at_rest() and corridor.answers.size().entries == 0

    run(scenario)


def test_a_leader_whose_client_is_slow_keeps_nobody_waiting() -> None:
    async def scenario() -> None:
        pieces = [step for _ in range(5) for step in (text("word"), 1.0)]
        provider = ScriptedProvider(scripted.stream(role() + text("one"), *pieces, stop() + DONE))
        corridor = coalescing(provider)
        leader = asyncio.create_task(corridor.visit(corridor.call(), slowly=20.0))
        follower = await corridor.visit(corridor.call())
        assert follower.times[-1] <= 6 and follower.body.endswith(DONE)
        assert (await leader).body.count(b'"word"') == follower.body.count(b'"word"') == 5

    run(scenario)
