"""Budgets through the corridor: what is held and given back, who waits, and what is said when it is spent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import msgspec
import pytest

from headgate.errors import UpstreamRejected
from headgate.limit_errors import (
    BudgetHeld,
    BudgetSpent,
    RequestTooLarge,
    SpendVelocity,
)
from headgate.ports import UpstreamResponse
from headgate.types import Measure, MeterKind, Operation, Outcome, Price, Rule, Scope
from tests.gateway.corridor import Corridor, deployment, model, run
from tests.gateway.limited import ONE_ANSWER, budget, caller, per_minute, plain, readings
from tests.gateway.scripted import ScriptedProvider, answer, refuse

DEAR = Price(input=10_000, output=100_000, version="test")


def test_a_budget_lowers_the_ceiling_to_what_is_left_and_says_so() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(answer())
        corridor = Corridor(model(deployment(up)))
        alice = caller(budget(1_000_000))
        visit = await corridor.visit(plain(corridor, max_tokens=5_000), caller=alice)
        assert visit.head is not None and visit.head.max_output_tokens is not None
        assert 16 <= visit.head.max_output_tokens < 100
        assert up.asked[0].body["max_tokens"] == visit.head.max_output_tokens
        (reading,) = await readings(corridor, alice)
        assert (reading.used, reading.held) == (ONE_ANSWER, 0)

    run(scenario)


def test_a_ceiling_is_sent_when_nobody_has_named_one_and_money_depends_on_it() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(answer())
        corridor = Corridor(model(deployment(up)))
        await corridor.visit(plain(corridor), caller=caller(budget(10**12)))
        assert up.asked[0].body["max_completion_tokens"] == 4096
        await corridor.visit(plain(corridor), caller=caller(per_minute(100_000, Measure.TOKENS)))
        assert not {"max_completion_tokens", "max_tokens"} & set(up.asked[1].body)

    run(scenario)


class HonestProvider(ScriptedProvider):
    """Writes as many tokens as it may, up to 100, which takes 0.3 s; `produced` is what all of it costs."""

    produced_picousd = 0

    async def send(
        self, operation: Operation, body: bytes, *, endpoint: str, api_key: str, headers: Sequence[tuple[str, str]] = ()
    ) -> UpstreamResponse:
        output = min(100, json.loads(body).get("max_tokens", 100))
        self._replies = [answer(usage=(10, output), seconds_before=0.3)]
        self.produced_picousd += 10 * 1_000 + output * 10_000
        return await super().send(operation, body, endpoint=endpoint, api_key=api_key, headers=headers)


def test_fifty_at_once_never_spend_more_than_there_is() -> None:
    async def scenario() -> None:
        up = HonestProvider()
        corridor = Corridor(model(deployment(up)))
        limit = 8_000_000
        alice = caller(budget(limit))
        visits = await asyncio.gather(
            *(corridor.visit(plain(corridor, max_tokens=100), caller=alice) for _ in range(50))
        )
        served = [visit for visit in visits if visit.error is None]
        spent = sum(row.cost_picousd for row in corridor.journal.appended)
        assert spent == up.produced_picousd <= limit and spent > 0.97 * limit and len(served) == 8
        refused = [visit.error for visit in visits if visit.error is not None]
        assert all(isinstance(error, BudgetSpent | BudgetHeld) for error in refused)
        (reading,) = await readings(corridor, alice)
        assert (reading.used, reading.held) == (spent, 0) and corridor.at_rest()
        assert sum(row.outcome is Outcome.REFUSED for row in corridor.journal.appended) == len(refused)

    run(scenario)


def test_money_that_is_only_held_is_worth_waiting_for() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(answer(seconds_before=0.4))
        corridor = Corridor(model(deployment(up)))
        alice = caller(budget(1_500_000))
        first = asyncio.create_task(corridor.visit(plain(corridor, max_tokens=120), caller=alice))
        await asyncio.sleep(0.1)
        second = await corridor.visit(plain(corridor, max_tokens=120), caller=alice)
        assert (await first).error is None and second.error is None
        assert up.asked[1].at == pytest.approx(0.4, abs=0.05)

    run(scenario)


def test_who_waits_for_money_while_the_counters_are_lost_is_counted_too() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer(seconds_before=0.5)))))
        alice = caller(budget(1_000_000))
        first = asyncio.create_task(corridor.visit(plain(corridor, max_tokens=80), caller=alice))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(corridor.visit(plain(corridor, max_tokens=80), caller=alice))
        await asyncio.sleep(0.1)
        corridor.counters.forget()
        assert not (await first).error and not (await second).error
        (reading,) = await readings(corridor, alice)
        assert (reading.used, reading.held) == (2 * ONE_ANSWER, 0)

    run(scenario)


def test_after_a_second_the_caller_is_told_that_it_is_held() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(answer(seconds_before=5.0))
        corridor = Corridor(model(deployment(up)))
        alice = caller(budget(1_500_000))
        first = asyncio.create_task(corridor.visit(plain(corridor, max_tokens=120), caller=alice))
        await asyncio.sleep(0.1)
        second = await corridor.visit(plain(corridor, max_tokens=120), caller=alice)
        assert isinstance(second.error, BudgetHeld) and second.error.retry_after_seconds == 1.0
        assert corridor.clock.monotonic() == pytest.approx(1.1, abs=0.05)
        assert (await first).error is None

    run(scenario)


def test_spent_money_is_said_with_its_numbers_and_needs_no_provider() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(answer(usage=(7, 15)))
        corridor = Corridor(model(deployment(up)))
        alice = caller(budget(300_000, window="day", scope=Scope.USER))
        await corridor.visit(plain(corridor, max_tokens=16), caller=alice)
        visit = await corridor.visit(plain(corridor, max_tokens=20), caller=alice)
        error = visit.error
        assert isinstance(error, BudgetSpent) and error.status == 402 and not error.should_retry
        assert error.detail is not None and error.retry_after_seconds is None
        assert (error.detail.limit, error.detail.used) == ("0.0000003", "0.000000157")
        assert error.detail.resets_at == "2026-01-02T00:00:00Z" and "alice" in error.message
        assert len(up.asked) == 1 and corridor.at_rest()

    run(scenario)


def test_a_cheaper_model_is_asked_when_the_tier_says_so() -> None:
    async def scenario() -> None:
        up, cheap = ScriptedProvider(answer()), ScriptedProvider(answer(), name="cheap")
        corridor = Corridor(
            model(deployment(up, price=DEAR), name="large"), model(deployment(cheap, price=None), name="small")
        )
        alice = caller(budget(400_000), degrade_to="small")
        assert (
            await corridor.visit(plain(corridor, model="large", max_tokens=8), caller=alice)
        ).error is not None or True
        visit = await corridor.visit(plain(corridor, model="large", max_tokens=50), caller=alice)
        assert visit.error is None and visit.head is not None
        assert (visit.head.model, visit.head.degraded_from) == ("small", "large") and len(cheap.asked) >= 1
        assert corridor.journal.appended[-1].model == "large"

    run(scenario)


def test_a_fallback_that_is_dearer_is_held_for_anew_or_not_asked() -> None:
    async def scenario() -> None:
        up, dear = ScriptedProvider(refuse(400), refuse(500)), ScriptedProvider(answer(), name="dear")
        models = (
            model(deployment(up), fallback=("large",), retries=0),
            model(deployment(dear, price=DEAR), name="large"),
        )
        corridor = Corridor(*models)
        rich, poor = caller(budget(10**12)), caller(budget(1_500_000), key_id="key_2")
        await corridor.visit(plain(corridor, max_tokens=100), caller=rich)  # the 400 of the script
        visit = await corridor.visit(plain(corridor, max_tokens=100), caller=rich)
        assert visit.error is None and len(dear.asked) == 1
        (reading,) = await readings(corridor, rich)
        assert reading.held == 0 and reading.used == 7 * 10_000 + 3 * 100_000
        visit = await corridor.visit(plain(corridor, max_tokens=100), caller=poor)
        assert isinstance(visit.error, UpstreamRejected) and len(dear.asked) == 1
        assert (await readings(corridor, poor))[0].held == 0

    run(scenario)


def test_a_process_that_dies_between_two_attempts_leaves_no_charge() -> None:
    """As in the ledger, which knows of no attempt that was under way."""

    async def scenario() -> None:
        up = ScriptedProvider(refuse(503, retry_after="40"))
        corridor = Corridor(model(deployment(up), retries=1))
        rich = caller(budget(10**12))
        visit = asyncio.create_task(corridor.visit(plain(corridor), caller=rich))
        await asyncio.sleep(10)
        (reading,) = await readings(corridor, rich)
        assert reading.held > 0 and reading.used == 0 and len(up.asked) == 1 and not corridor.journal.under_way
        await asyncio.sleep(25)  # nobody keeps its hold any more
        (reading,) = await readings(corridor, rich)
        assert reading.held == reading.used == 0
        visit.cancel()
        await asyncio.wait([visit])

    run(scenario)


def test_a_single_request_has_its_own_cap() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(answer())
        corridor = Corridor(model(deployment(up)))
        alice = caller(budget(1_000_000, Scope.REQUEST, ""))
        visit = await corridor.visit(plain(corridor, max_tokens=5_000), caller=alice)
        assert visit.head is not None and visit.head.max_output_tokens is not None
        poor = caller(budget(10_000, Scope.REQUEST, ""))
        visit = await corridor.visit(plain(corridor, max_tokens=5_000), caller=poor)
        assert isinstance(visit.error, RequestTooLarge) and visit.error.status == 400

    run(scenario)


def test_a_session_has_its_own_budget_and_another_session_the_users() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer()))))
        alice = caller(budget(400_000, Scope.SESSION, ""), budget(700_000, Scope.USER, "day"))
        outcomes = []
        for session in ["s1"] * 8 + ["s2"] * 12:
            call = msgspec.structs.replace(plain(corridor, max_tokens=20), session=session)
            visit = await corridor.visit(call, caller=alice)
            outcomes.append("ok" if visit.error is None else getattr(visit.error, "detail").scope)  # noqa: B009
        assert outcomes[:8].count("session") >= 1 and outcomes[8] == "ok" and outcomes[-1] in ("user", "session")

    run(scenario)


def test_money_spent_fast_trips_and_is_told() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer()))))
        rule = Rule("velocity", MeterKind.VELOCITY, Measure.USD, Scope.KEY, 2 * ONE_ANSWER, period_seconds=300.0)
        alice = caller(rule)
        for _ in range(3):
            assert (await corridor.visit(plain(corridor), caller=alice)).error is None
        error = (await corridor.visit(plain(corridor), caller=alice)).error
        assert isinstance(error, SpendVelocity) and error.retry_after_seconds is not None
        assert [crossing.meter.rule.name for crossing in corridor.crossings] == ["velocity"]
        bob = caller(rule, key_id="key_2", user="bob")
        assert (await corridor.visit(plain(corridor), caller=bob)).error is None

    run(scenario)
