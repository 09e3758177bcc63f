"""What ends all that is under way also ends requests that wait for the answer of another one, here or elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from headgate.cache_types import CacheRules, ExactRules
from headgate.errors import Draining
from headgate.gateway.elsewhere import Elsewhere
from headgate.metering import Admission, Ask, Meter
from headgate.stores.memory_counters import MemoryCounters
from headgate.types import Caller, Measure, MeterKind, Outcome, Rule, Scope, Tier
from tests.gateway import scripted
from tests.gateway.corridor import Corridor, Visit, deployment, model, run
from tests.gateway.keyed import another_process, corridor, keyed
from tests.gateway.scripted import SILENCE, ScriptedProvider
from tests.gateway.test_elsewhere import BoardLeads, processes
from tests.wire.chunks import text

LATER = 1.0


def shutting_down() -> Draining:
    return Draining("This process is shutting down.", retry_after_seconds=1)


async def interrupted(corridor: Corridor, *visits: asyncio.Task[Visit]) -> list[Visit]:
    """What is told to clients whose process ends while they wait."""
    began = corridor.clock.monotonic()
    await asyncio.sleep(LATER)
    corridor.pipeline.interrupt(shutting_down)
    told = list(await asyncio.gather(*visits))
    assert corridor.clock.monotonic() - began == LATER and corridor.at_rest()
    return told


def test_who_waits_for_another_process_is_told() -> None:
    async def scenario() -> None:
        provider, board, (one, other) = processes(2, scripted.answer(seconds_before=3 * LATER))
        asking = asyncio.create_task(one.visit(one.call(stream=False)))
        await asyncio.sleep(0.1)
        waiting = [asyncio.create_task(other.visit(other.call(stream=False))) for _ in range(3)]
        visits = await interrupted(other, *waiting)
        errors = [visit.error for visit in visits]
        assert [type(error) for error in errors] == [Draining] * 3
        assert {(row.outcome, row.status, row.error) for row in other.journal.appended} == {
            (Outcome.FAILED, 503, "draining")
        }
        assert (await asking).error is None and len(provider.asked) == 1 and not board.asking

    run(scenario)


def test_one_whose_client_leaves_at_the_same_moment_has_left() -> None:
    async def scenario() -> None:
        provider, board, (one,) = processes(1, scripted.answer())
        one.pipeline.cache.elsewhere = Elsewhere(Busy(board, "one"), one.clock)
        waiting = asyncio.create_task(one.visit(one.call(stream=False)))
        await asyncio.sleep(LATER)
        one.pipeline.interrupt(shutting_down)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled() and one.at_rest() and not provider.asked
        assert one.record.outcome is Outcome.DISCONNECTED

    run(scenario)


class Busy(BoardLeads):
    """Somebody else asks all the time."""

    async def claim(self, key: bytes, question: bytes) -> str:
        return "somebody"

    async def asks(self, process: str, key: bytes) -> bool:
        return True


@pytest.mark.parametrize("stream", [False, True])
def test_who_waits_for_another_request_of_this_process_is_told(stream: bool) -> None:
    async def scenario() -> None:
        reply = scripted.stream(SILENCE) if stream else scripted.answer(seconds_before=SILENCE)
        caches = {"small": CacheRules(ExactRules(), frozenset({"small"}))}
        one = Corridor(model(deployment(ScriptedProvider(reply))), caches=caches)
        asking = [asyncio.create_task(one.visit(one.call(stream=stream))) for _ in range(3)]
        assert [type(visit.error) for visit in await interrupted(one, *asking)] == [Draining] * 3

    run(scenario)


def test_who_follows_a_stream_is_told_in_the_stream() -> None:
    async def scenario() -> None:
        caches = {"small": CacheRules(ExactRules(), frozenset({"small"}))}
        provider = ScriptedProvider(scripted.stream(text("Hello"), SILENCE))
        one = Corridor(model(deployment(provider)), caches=caches)
        asking = [asyncio.create_task(one.visit()) for _ in range(3)]
        visits = await interrupted(one, *asking)
        assert [visit.last_error["code"] for visit in visits] == ["draining"] * 3
        assert {visit.pieces[0] for visit in visits} == {text("Hello")} and len(provider.asked) == 1

    run(scenario)


@pytest.mark.parametrize("is_here", [True, False])
def test_who_waits_for_the_result_of_a_key_is_told(is_here: bool) -> None:
    async def scenario() -> None:
        first, _ = corridor(scripted.answer(seconds_before=3 * LATER))
        other, not_asked = another_process(first, scripted.answer())
        one = first if is_here else other
        asking = asyncio.create_task(first.visit(keyed(first)))
        await asyncio.sleep(0.1)
        waiting = asyncio.create_task(one.visit(keyed(one)))
        (visit,) = await interrupted(one, waiting)
        assert isinstance(visit.error, Draining) and not not_asked.asked
        assert isinstance((await asking).error, Draining) is is_here
        again = await other.visit(keyed(other))  # the key is nobody's, or has its result
        assert again.head is not None and again.head.is_replayed is not is_here

    run(scenario)


class FarAway:
    """Counters that take their time to let somebody in."""

    def __init__(self, counters: MemoryCounters) -> None:
        self._counters = counters
        self.settle, self.rebuild = counters.settle, counters.rebuild

    async def admit(self, hold_id: str, tenant: str, meters: Sequence[Meter], ask: Ask) -> Admission:
        await asyncio.sleep(2 * LATER)
        return await self._counters.admit(hold_id, tenant, meters, ask)


def test_nobody_is_asked_for_one_that_was_about_to_be_let_in() -> None:
    async def scenario() -> None:
        rule = Rule("budgets.user_day", MeterKind.BUDGET, Measure.USD, Scope.USER, 10**12, window="day")
        limited = Caller("key_1", "acme", "alice", Tier("pro", models=frozenset({"*"}), rules=(rule,)))
        provider = ScriptedProvider(scripted.answer())
        one = Corridor(model(deployment(provider)))
        one.admissions._counters = FarAway(one.counters)  # type: ignore[assignment]
        one.admissions._at_hand = None
        asking = asyncio.create_task(one.visit(one.call(stream=False), caller=limited))
        await asyncio.sleep(LATER)
        one.pipeline.interrupt(shutting_down)
        assert isinstance((await asking).error, Draining)
        assert not provider.asked and one.at_rest()

    run(scenario)
