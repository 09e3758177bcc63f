"""The dispatch gate on the real corridor: what it sees, whom it holds, and what it tells."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from headgate.gateway.background import HOLD_SECONDS, BackgroundGate
from headgate.gateway.budget_shares import BudgetShares
from headgate.job_types import SeenOfModel
from headgate.limit_errors import BackgroundHeld
from headgate.policy.background import FIRST_LIMIT, REST_SECONDS, GateRules, Why
from headgate.policy.quota import QuotaLimits
from headgate.types import Caller, Measure, MeterKind, Rule, Scope, Tier
from tests.gateway.corridor import ALICE, Corridor, deployment, model, run
from tests.gateway.scripted import ScriptedProvider, answer, refuse

RULES = GateRules()
NO_STREAM = {"stream": False}


def gate_of(corridor: Corridor, rules: GateRules | None = RULES) -> BackgroundGate:
    budgets = BudgetShares(corridor.counters, corridor.admissions, lambda: corridor.setup, corridor.clock)
    return BackgroundGate(corridor.pipeline, budgets, corridor.clock, lambda: rules)


async def ask(corridor: Corridor, gate: BackgroundGate, caller: Caller = ALICE) -> None:
    call = corridor.call(**NO_STREAM)
    async with gate.passing(caller, call), corridor.pipeline.handle(caller, call):
        pass


def test_background_requests_take_turns_below_the_ceiling() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer(seconds_before=1.0)))))
        gate = gate_of(corridor)
        tasks = [asyncio.create_task(ask(corridor, gate)) for _ in range(12)]
        await asyncio.sleep(0.1)
        state = gate.states()["small"]
        assert (state.under_way, state.held, state.room, state.why) == (FIRST_LIMIT, 4, 0, Why.FULL)
        assert corridor.pipeline.in_flight == FIRST_LIMIT
        await asyncio.gather(*tasks)
        assert gate.states()["small"].under_way == gate.held == 0

    run(scenario)


def test_who_waits_too_long_is_given_back_with_the_reason() -> None:
    async def scenario() -> None:
        provider = ScriptedProvider(answer(seconds_before=60.0))
        corridor = Corridor(model(deployment(provider), total_seconds=90.0))
        gate = gate_of(corridor)
        people = [asyncio.create_task(corridor.visit(corridor.call(**NO_STREAM))) for _ in range(int(FIRST_LIMIT))]
        await asyncio.sleep(1.0)
        began = corridor.clock.monotonic()
        with pytest.raises(BackgroundHeld, match="0 background and 8 other requests are under way, of 8") as held:
            await ask(corridor, gate)
        assert corridor.clock.monotonic() - began == HOLD_SECONDS
        assert held.value.retry_after_seconds
        assert gate.held == 0
        await asyncio.gather(*people)

    run(scenario)


def test_a_refusal_holds_background_work_back_for_a_while() -> None:
    async def scenario() -> None:
        provider = ScriptedProvider(refuse(429), answer())
        corridor = Corridor(model(deployment(provider), retries=0))
        gate = gate_of(corridor)
        await ask_in_vain(corridor, gate)
        await asyncio.sleep(0.3)
        began = corridor.clock.monotonic()
        waiting = asyncio.create_task(ask(corridor, gate))
        await asyncio.sleep(0.1)
        assert gate.states()["small"].why is Why.REFUSED
        await waiting
        assert corridor.clock.monotonic() - began == pytest.approx(REST_SECONDS, abs=0.5)

    run(scenario)


async def ask_in_vain(corridor: Corridor, gate: BackgroundGate) -> None:
    gate.states()
    call = corridor.call(**NO_STREAM)
    async with gate.passing(ALICE, call):
        visit = await corridor.visit(call)
    assert visit.error is not None


def test_a_share_of_the_providers_quota_is_left_to_others() -> None:
    async def scenario() -> None:
        limits = QuotaLimits(requests_per_minute=10)
        corridor = Corridor(model(deployment(ScriptedProvider(answer()), limits=limits)))
        gate = gate_of(corridor)
        for _ in range(8):
            await ask(corridor, gate)
            await asyncio.sleep(1.1)
        with pytest.raises(BackgroundHeld, match="of the provider's quota is used"):
            await ask(corridor, gate)
        assert (await corridor.visit(corridor.call(**NO_STREAM))).error is None, "people still get in"

    run(scenario)


def test_a_share_of_the_quota_is_left_even_if_all_come_at_once() -> None:
    async def scenario() -> None:
        limits = QuotaLimits(requests_per_minute=5)
        provider = ScriptedProvider(answer())
        corridor = Corridor(model(deployment(provider, limits=limits)))
        gate = gate_of(corridor)
        ends = await asyncio.gather(*[ask(corridor, gate) for _ in range(8)], return_exceptions=True)
        assert 0 < ends.count(None) <= 5 * RULES.quota_share

    run(scenario)


def test_a_share_of_the_budget_is_left_to_people() -> None:
    async def scenario() -> None:
        rule = Rule("budgets.tenant_day", MeterKind.BUDGET, Measure.TOKENS, Scope.TENANT, 100, window="day")
        caller = Caller("key_1", "acme", "alice", Tier("pro", models=frozenset({"*"}), rules=(rule,)))
        provider = ScriptedProvider(answer(usage=(45, 46)))
        corridor = Corridor(model(deployment(provider)))
        gate = gate_of(corridor)
        small = corridor.call(stream=False, max_tokens=50)
        async with gate.passing(caller, small):
            assert (await corridor.visit(small, caller=caller)).error is None
        await asyncio.sleep(2.0)
        with pytest.raises(BackgroundHeld, match="91% of"):
            await ask(corridor, gate, caller)

    run(scenario)


def test_without_a_gate_everything_passes() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer(seconds_before=1.0)))))
        gate = gate_of(corridor, None)
        tasks = [asyncio.create_task(ask(corridor, gate)) for _ in range(40)]
        await asyncio.sleep(0.1)
        assert corridor.pipeline.in_flight == 40
        assert (gate.states(), gate.room) == ({}, 0)
        await asyncio.gather(*tasks)

    run(scenario)


def test_a_waiter_that_is_cancelled_leaves_nothing() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer(seconds_before=1.0)))))
        gate = gate_of(corridor)
        tasks = [asyncio.create_task(ask(corridor, gate)) for _ in range(9)]
        await asyncio.sleep(0.1)
        tasks[-1].cancel()
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert gate.states()["small"].under_way == gate.held == 0

    run(scenario)


def test_what_goes_on_in_other_processes_counts() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer(seconds_before=1.0)))))
        gate = gate_of(corridor)
        gate.heard([SeenOfModel("other", "small", in_flight=6, background=1)])
        tasks = [asyncio.create_task(ask(corridor, gate)) for _ in range(4)]
        await asyncio.sleep(0.3)
        state = gate.states()["small"]
        assert state.held >= 1 and state.under_way == state.limit - 6, "of the four there is room for"
        (seen,) = gate.told("me")
        assert seen.model == "small" and 2 <= seen.in_flight == seen.background <= 3
        gate.heard([])
        await asyncio.gather(*tasks)

    run(scenario)


def test_streams_that_are_slow_elsewhere_hold_background_work_back() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer(seconds_before=1.0)))))
        gate = gate_of(corridor)
        seen = SeenOfModel("other", "small", 4, 0, 100, ttft_seconds=0.3, usual_ttft_seconds=0.3, quiet_streams=90)
        gate.heard([seen])
        first = asyncio.create_task(ask(corridor, gate))
        await asyncio.sleep(0.3)
        gate.heard([msgspec.structs.replace(seen, streams=110, ttft_seconds=0.9)])
        second = asyncio.create_task(ask(corridor, gate))
        await asyncio.sleep(0.3)
        assert gate.states()["small"].why in (Why.SLOW, Why.LEARNING)
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)

    run(scenario)


def test_streams_that_feel_the_background_work_of_others_do_not_say_what_is_usual() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer()))))
        gate, served = gate_of(corridor), corridor.deployment("up/model")
        served.began_stream(0.2)
        gate.heard([SeenOfModel("other", "small", in_flight=3, background=3)])
        served.began_stream(9.0)
        assert served.quiet_streams == 1
        gate.heard([])
        served.began_stream(0.2)
        assert served.quiet_streams == 2

    run(scenario)
