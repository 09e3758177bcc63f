"""The same request in two processes at once, which share what they keep: one of them asks the provider."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from headgate.cache_types import CacheRules, ExactRules
from headgate.errors import UpstreamUnreachable
from headgate.gateway.elsewhere import MOST_SECONDS, Elsewhere
from headgate.types import CacheControl, CacheMode
from tests.gateway import scripted
from tests.gateway.corridor import Corridor, Visit, deployment, model, run
from tests.gateway.scripted import Reply, ScriptedProvider
from tests.wire.chunks import ANSWER, DONE

LATE = 2.0


class Board:
    """Who asks what, for all processes."""

    def __init__(self) -> None:
        self.asking: dict[bytes, str] = {}


class BoardLeads:
    def __init__(self, board: Board, name: str) -> None:
        self._board, self._name = board, name

    async def claim(self, key: bytes, question: bytes) -> str:
        process = self._board.asking.setdefault(key, self._name)
        return "" if process == self._name else process

    async def asks(self, process: str, key: bytes) -> bool:
        return self._board.asking.get(key) == process

    def release(self, key: bytes) -> None:
        if self._board.asking.get(key) == self._name:
            del self._board.asking[key]


def processes(count: int, *replies: Reply, **spec: Any) -> tuple[ScriptedProvider, Board, list[Corridor]]:
    """One provider, one store, and a corridor for each process."""
    provider, board = ScriptedProvider(*replies), Board()
    rules = {"small": CacheRules(ExactRules(), frozenset({"small"}))}
    corridors = [Corridor(model(deployment(provider), **spec), caches=rules) for _ in range(count)]
    for number, corridor in enumerate(corridors):
        cache = corridor.pipeline.cache
        cache._store = cache._keeper._store = corridors[0].pipeline.cache._store
        cache.elsewhere = Elsewhere(BoardLeads(board, f"process {number}"), corridor.clock)
    return provider, board, corridors


async def ask(corridors: list[Corridor], each: int = 1, *, stream: bool = False) -> list[Visit]:
    calls = [(corridor, corridor.call(stream=stream)) for corridor in corridors for _ in range(each)]
    return list(await asyncio.gather(*[corridor.visit(call) for corridor, call in calls]))


def caches(visits: list[Visit]) -> list[str]:
    return [visit.head.cache if visit.head else "error" for visit in visits]


def test_one_process_asks_and_all_get_the_answer() -> None:
    async def scenario() -> None:
        provider, board, corridors = processes(3, scripted.answer(seconds_before=LATE))
        visits = await ask(corridors, 50)
        assert len(provider.asked) == 1
        others = (["exact"] + ["coalesced"] * 49) * 2
        assert caches(visits) == ["miss"] + ["coalesced"] * 49 + others
        assert len({visit.body for visit in visits}) == 1
        assert all(corridor.at_rest() for corridor in corridors) and not board.asking
        assert [sum(row.cost_picousd > 0 for row in corridor.journal.appended) for corridor in corridors] == [1, 0, 0]
        assert max(visit.times[0] for visit in visits if visit.times) <= LATE + 0.2

    run(scenario)


def test_when_the_one_that_asked_failed_the_others_ask() -> None:
    async def scenario() -> None:
        failing = Reply(error=UpstreamUnreachable("no"), seconds_before=1.0)
        provider, board, corridors = processes(3, failing, scripted.answer(seconds_before=1.0), retries=0)
        visits = await ask(corridors)
        assert caches(visits) == ["error", "miss", "miss"]
        assert len(provider.asked) == 3 and not board.asking

    run(scenario)


def test_nobody_waits_twice_for_an_answer_that_is_not_kept() -> None:
    async def scenario() -> None:
        provider, _, corridors = processes(4, scripted.answer(seconds_before=LATE, finish="length"))
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert caches(await ask(corridors)) == ["miss"] * 4
        assert len(provider.asked) == 4
        assert loop.time() - began <= 2 * LATE + 0.2

    run(scenario)


class Stuck(BoardLeads):
    """Somebody asks, and asks, and asks."""

    async def claim(self, key: bytes, question: bytes) -> str:
        return "somebody"

    async def asks(self, process: str, key: bytes) -> bool:
        return True


def test_nobody_waits_for_ever() -> None:
    async def scenario() -> None:
        provider, board, (one,) = processes(1, scripted.answer())
        one.pipeline.cache.elsewhere = Elsewhere(Stuck(board, "one"), one.clock)
        visit = await one.visit(one.call(stream=False))
        assert caches([visit]) == ["miss"] and len(provider.asked) == 1
        assert MOST_SECONDS <= visit.times[0] <= MOST_SECONDS + 1

    run(scenario)


def test_who_leaves_lets_others_ask() -> None:
    async def scenario() -> None:
        provider, board, corridors = processes(2, scripted.answer(seconds_before=LATE))
        leaving = asyncio.create_task(corridors[0].visit(corridors[0].call(stream=False)))
        await asyncio.sleep(0.5)
        waiting = asyncio.create_task(corridors[1].visit(corridors[1].call(stream=False)))
        await asyncio.sleep(0.5)
        assert len(provider.asked) == 1
        leaving.cancel()
        assert caches([await waiting]) == ["miss"]
        assert len(provider.asked) == 2 and not board.asking

    run(scenario)


@pytest.mark.parametrize(
    "stream, control",
    [
        (True, CacheControl()),
        (False, CacheControl(CacheMode.REFRESH)),
        (False, CacheControl(ttl_seconds=0)),
    ],
)
def test_who_does_not_wait(stream: bool, control: CacheControl) -> None:
    async def scenario() -> None:
        reply = scripted.stream(ANSWER, DONE, seconds_before=LATE) if stream else scripted.answer(seconds_before=LATE)
        provider, _, corridors = processes(2, reply)
        calls = [msgspec.structs.replace(one.call(stream=stream), cache=control) for one in corridors]
        pairs = zip(corridors, calls, strict=True)
        assert caches(list(await asyncio.gather(*[one.visit(call) for one, call in pairs]))) == ["miss", "miss"]
        assert len(provider.asked) == 2

    run(scenario)
