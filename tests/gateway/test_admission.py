"""Admission through the corridor: what counts, who is refused and what with; what a lost or an empty store does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from headgate.errors import NoDeployment, StoreUnavailable
from headgate.gateway.admission import Admissions
from headgate.gateway.waiting import WaitingRoom
from headgate.limit_errors import (
    LoopDetected,
    RateLimited,
)
from headgate.metering import Admission, Ask, Meter, Refusal
from headgate.stores.memory_counters import MemoryCounters
from headgate.types import Caller, Measure, MeterKind, Outcome, Rule, Scope, Tier
from tests.gateway.corridor import Corridor, deployment, model, run
from tests.gateway.limited import ONE_ANSWER, budget, caller, per_minute, plain, readings
from tests.gateway.scripted import SILENCE, ScriptedProvider, answer, stream
from tests.wire.chunks import ANSWER


def test_limits_on_requests_alone_lower_no_ceiling() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(answer(), answer())
        corridor = Corridor(model(deployment(up)))
        for members in ({}, {"max_tokens": 50}):
            visit = await corridor.visit(plain(corridor, **members), caller=caller(per_minute(9)))
            assert visit.head is not None and visit.head.max_output_tokens is None
        assert [asked.body.get("max_tokens") for asked in up.asked] == [None, 50]

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


def test_what_a_lost_store_let_in_is_counted_when_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer()))), on_store_failure="allow")
        alice = caller(budget(10**9))
        await corridor.visit(plain(corridor), caller=alice)
        kept = asyncio.create_task(corridor.admissions.keep_alive(lambda: ()))
        with monkeypatch.context() as away:
            away.setattr(corridor.counters, "admit_plain", lambda *_: None)
            away.setattr(corridor.counters, "admit", Absent(corridor.clock).admit)
            assert (await corridor.visit(plain(corridor), caller=alice)).error is None
        (reading,) = await readings(corridor, alice)
        assert reading.used == ONE_ANSWER
        await asyncio.sleep(2)
        (reading,) = await readings(corridor, alice)
        assert reading.used == 2 * ONE_ANSWER
        kept.cancel()
        await asyncio.wait([kept])

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
