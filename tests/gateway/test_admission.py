"""Admission through the corridor: what is held, what is sent upstream, who waits, who is refused and what with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from headgate.errors import NoDeployment, StoreUnavailable, UpstreamRejected
from headgate.gateway.admission import Admissions
from headgate.gateway.waiting import WaitingRoom
from headgate.limit_errors import (
    BudgetHeld,
    BudgetSpent,
    LoopDetected,
    RateLimited,
    RequestTooLarge,
    SpendVelocity,
)
from headgate.metering import Admission, Ask, Meter, Reading, Refusal
from headgate.policy import metered
from headgate.policy.metered import Subject
from headgate.ports import UpstreamResponse
from headgate.stores.memory_counters import MemoryCounters
from headgate.types import Call, Caller, Measure, MeterKind, Operation, Outcome, Price, Rule, Scope, Tier
from tests.gateway.corridor import EVERYTHING, Corridor, deployment, model, run
from tests.gateway.scripted import SILENCE, ScriptedProvider, answer, refuse, stream
from tests.wire.chunks import ANSWER

DEAR = Price(input=10_000, output=100_000, version="test")
ONE_ANSWER = 7 * 1_000 + 3 * 10_000  # what the scripted answer costs


def budget(picousd: int, scope: Scope = Scope.TENANT, window: str = "month", **rest: Any) -> Rule:
    return Rule(f"budgets.{scope}", MeterKind.BUDGET, Measure.USD, scope, picousd, window, **rest)


def per_minute(limit: int, measure: Measure = Measure.REQUESTS, scope: Scope = Scope.TENANT, **rest: Any) -> Rule:
    return Rule(f"{measure}_per_minute", MeterKind.RATE, measure, scope, limit, **rest)


def caller(*rules: Rule, key_id: str = "key_1", user: str | None = "alice", **tier: Any) -> Caller:
    limited = msgspec.structs.replace(EVERYTHING, rules=rules, **tier)
    return Caller(key_id, "acme", user, limited)


async def readings(corridor: Corridor, who: Caller, name: str = "small") -> list[Reading]:
    subject = Subject(who.key_id, who.user, name)
    meters = tuple(metered.meters(who.tier.rules, subject, ZoneInfo("UTC"), corridor.clock.now()))
    return await corridor.counters.read("acme", meters)


def plain(corridor: Corridor, **members: Any) -> Call:
    return corridor.call(stream=False, **members)


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


def test_limits_on_requests_alone_lower_no_ceiling() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(answer(), answer())
        corridor = Corridor(model(deployment(up)))
        for members in ({}, {"max_tokens": 50}):
            visit = await corridor.visit(plain(corridor, **members), caller=caller(per_minute(9)))
            assert visit.head is not None and visit.head.max_output_tokens is None
        assert [asked.body.get("max_tokens") for asked in up.asked] == [None, 50]

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


def test_an_agent_that_goes_in_circles_is_stopped_for_good() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer()))))
        guard = Rule("loop_guard.same_request_in_a_row", MeterKind.REPEAT, Measure.REQUESTS, Scope.SESSION, 3)
        alice = caller(guard)
        errors = []
        for _ in range(5):
            call = msgspec.structs.replace(plain(corridor), session="s1")
            errors.append((await corridor.visit(call, caller=alice)).error)
        assert errors[:3] == [None] * 3 and all(isinstance(error, LoopDetected) for error in errors[3:])
        assert (await corridor.visit(plain(corridor), caller=alice)).error is None

    run(scenario)


def test_limits_refuse_with_the_time_at_which_it_would_fit() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer()))))
        alice = caller(per_minute(60, burst_seconds=2.0))
        for _ in range(2):
            assert (await corridor.visit(plain(corridor), caller=alice)).error is None
        error = (await corridor.visit(plain(corridor), caller=alice)).error
        assert isinstance(error, RateLimited) and error.retry_after_seconds is not None and error.requests is not None
        await asyncio.sleep(error.retry_after_seconds)
        assert (await corridor.visit(plain(corridor), caller=alice)).error is None

    run(scenario)


def test_who_leaves_pays_for_what_came_and_frees_the_rest() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(stream(ANSWER, SILENCE)))))
        concurrency = Rule("concurrent_requests", MeterKind.CONCURRENCY, Measure.REQUESTS, Scope.TENANT, 1)
        alice = caller(budget(10**9), concurrency)
        await corridor.visit(corridor.call(max_tokens=100), caller=alice, pieces=1)
        money, running = await readings(corridor, alice)
        assert money.used == corridor.record.cost_picousd > 0 and (money.held, running.used) == (0, 0)
        assert corridor.counters.holds == 0

    run(scenario)


def test_a_request_that_reached_nobody_does_not_count() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(), endpoints=())))
        alice = caller(per_minute(1), budget(10**9))
        for _ in range(3):
            assert isinstance((await corridor.visit(plain(corridor), caller=alice)).error, NoDeployment)

    run(scenario)


def test_what_was_spent_before_is_read_from_the_ledger() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer()))))
        alice = caller(budget(10**9), per_minute(100), budget(10**9, Scope.MODEL, "day"))
        for _ in range(5):
            await corridor.visit(plain(corridor), caller=alice)
        before = await readings(corridor, alice)
        fresh = corridor.counters = MemoryCounters(corridor.clock)
        room = WaitingRoom(corridor.clock)
        restarted = Admissions(fresh, corridor.ledger, corridor.clock, room, corridor.counter)
        corridor.pipeline._admissions = corridor.pipeline.dispatcher._admissions = restarted
        await corridor.visit(plain(corridor), caller=msgspec.structs.replace(alice, user="bob"))
        after = await readings(corridor, alice)
        assert [reading.used for reading in before] == [5 * ONE_ANSWER, 5, 5 * ONE_ANSWER]
        assert after[0].used == 5 * ONE_ANSWER and after[1].used == 6  # the new one's settlement went the old way

    run(scenario)


class Absent(MemoryCounters):
    """A store that does not answer."""

    async def admit(self, hold_id: str, tenant: str, meters: Sequence[Meter], ask: Ask) -> Admission:
        raise StoreUnavailable("The store did not answer within 0.25 seconds.")


@pytest.mark.parametrize("on_store_failure", ["deny", "allow"])
def test_a_lost_store_denies_or_allows_as_configured(on_store_failure: str) -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer()))))
        absent = Absent(corridor.clock)
        admissions = Admissions(absent, corridor.ledger, corridor.clock, WaitingRoom(corridor.clock), corridor.counter)
        corridor.pipeline._admissions = corridor.pipeline.dispatcher._admissions = admissions
        corridor.pipeline.setup = msgspec.structs.replace(corridor.setup, on_store_failure=on_store_failure)
        error = (await corridor.visit(plain(corridor), caller=caller(budget(10**9)))).error
        assert error is None if on_store_failure == "allow" else isinstance(error, StoreUnavailable)
        assert (await corridor.visit(plain(corridor))).error is None  # no limit, no store

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


class Listening:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def rules_of(self, tenant: str) -> tuple[Rule, ...]:
        return ()

    def refused(self, tenant: str, refusal: Refusal) -> None:
        self.heard.append(("refused", refusal.meter.rule.name))

    def unenforced(self, tenant: str, refusal: Refusal) -> None:
        self.heard.append(("unenforced", refusal.meter.rule.name))


def test_a_limit_that_is_only_tried_is_told_and_nothing_else() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer()))))
        listening = Listening()
        room = WaitingRoom(corridor.clock)
        admissions = Admissions(corridor.counters, corridor.ledger, corridor.clock, room, corridor.counter, listening)
        corridor.pipeline._admissions = corridor.pipeline.dispatcher._admissions = admissions
        tried = budget(1, Scope.REQUEST, enforce=False)
        alice = caller(per_minute(1, enforce=False), budget(1, enforce=False), tried)
        for _ in range(2):
            visit = await corridor.visit(plain(corridor, max_tokens=5_000), caller=alice)
            assert visit.error is None and visit.head is not None and visit.head.requests is None
        assert set(listening.heard) == {
            ("unenforced", name) for name in ("requests_per_minute", "budgets.tenant", "budgets.request")
        }

    run(scenario)


def test_tiers_without_rules_ask_no_store() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer()))))
        await corridor.visit(plain(corridor), caller=Caller("key_1", "acme", None, Tier("t", frozenset({"*"}))))
        assert corridor.record.outcome is Outcome.DONE and corridor.counters.holds == 0

    run(scenario)
