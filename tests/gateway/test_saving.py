"""What requests saved that no provider was asked for, as their rows say it."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from headgate.cache_types import CacheRules, ExactRules, Hit
from headgate.types import Outcome, Price, RequestRecord, Route
from tests.gateway import scripted
from tests.gateway.corridor import PRICE, Corridor, Visit, deployment, model, run
from tests.gateway.scripted import JSON, Reply, ScriptedProvider
from tests.wire.chunks import DONE, role, stop, text, usage

COST_PICOUSD = 7 * PRICE.input + 3 * PRICE.output
DEARER = Price(input=2_000, output=30_000, version="dearer")
CACHES = {"small": CacheRules(ExactRules(), frozenset({"small"}))}


def reply(stream: bool) -> Reply:
    if stream:
        return scripted.stream(role(), 1.0, text("Hello"), stop(), usage(7, 3), DONE)
    return scripted.answer(seconds_before=1.0)


def corridor(stream: bool) -> tuple[Corridor, ScriptedProvider]:
    provider = ScriptedProvider(reply(stream))
    return Corridor(model(deployment(provider)), caches=CACHES), provider


def saved(corridor: Corridor) -> list[tuple[str, int]]:
    return [(row.hit, row.saved_picousd) for row in corridor.journal.appended]


@pytest.mark.parametrize("stream", [False, True])
def test_a_kept_answer_saves_its_tokens_at_the_price_of_the_day(stream: bool) -> None:
    async def scenario() -> None:
        gateway, provider = corridor(stream)
        for _ in range(2):
            await gateway.visit(gateway.call(stream=stream))
            await asyncio.sleep(1)
        gateway.use(model(deployment(provider, price=DEARER)))
        await gateway.visit(gateway.call(stream=stream))
        assert saved(gateway) == [("", 0), (Hit.EXACT, COST_PICOUSD), (Hit.EXACT, 7 * 2_000 + 3 * 30_000)]
        rows = gateway.tally.records
        assert [row.cost_picousd for row in rows] == [COST_PICOUSD, 0, 0]

    run(scenario)


@pytest.mark.parametrize("stream", [False, True])
def test_who_waits_for_the_same_answer_saves_what_its_leader_pays(stream: bool) -> None:
    async def scenario() -> None:
        gateway, _ = corridor(stream)
        await asyncio.gather(*[gateway.visit(gateway.call(stream=stream)) for _ in range(3)])
        assert sorted(saved(gateway)) == [("", 0), (Hit.COALESCED, COST_PICOUSD), (Hit.COALESCED, COST_PICOUSD)]

    run(scenario)


@pytest.mark.parametrize("stream", [False, True])
def test_a_replay_saves_what_the_first_request_paid(stream: bool) -> None:
    async def scenario() -> None:
        gateway, _ = corridor(stream)
        gateway.pipeline.setup = msgspec.structs.replace(gateway.setup, caches={})

        def keyed() -> asyncio.Task[Visit]:
            call = msgspec.structs.replace(gateway.call(stream=stream), idempotency_key="k")
            return asyncio.create_task(gateway.visit(call))

        await asyncio.gather(keyed(), keyed())  # the second waits for the first
        await keyed()
        assert sorted(saved(gateway)) == [("", 0), (Hit.IDEMPOTENT, COST_PICOUSD), (Hit.IDEMPOTENT, COST_PICOUSD)]

    run(scenario)


def test_vectors_that_are_kept_save_their_share() -> None:
    async def scenario() -> None:
        data = [{"object": "embedding", "index": place, "embedding": [1.0]} for place in range(2)]
        usage = {"prompt_tokens": 8, "total_tokens": 8}
        body = json.dumps({"object": "list", "model": "m", "data": data, "usage": usage}).encode()
        gateway = Corridor(model(deployment(ScriptedProvider(Reply([body], headers=JSON)))), caches=CACHES)
        for inputs in (["a", "b"], ["b"], ["b", "a"]):
            await gateway.visit(gateway.call(Route.EMBEDDINGS, input=inputs, stream=False))
            await asyncio.sleep(1)
        assert saved(gateway) == [("", 0), (Hit.EXACT, 4 * PRICE.input), (Hit.EXACT, 8 * PRICE.input)]

    run(scenario)


def test_an_answer_that_its_client_left_saved_nothing() -> None:
    async def scenario() -> None:
        gateway, _ = corridor(True)
        leader = asyncio.create_task(gateway.visit(gateway.call()))
        await asyncio.sleep(0.5)
        await gateway.visit(gateway.call(), pieces=1)
        await leader
        rows: dict[Outcome, RequestRecord] = {row.outcome: row for row in gateway.journal.appended}
        left = rows[Outcome.DISCONNECTED]
        assert (left.hit, left.saved_picousd) == ("", 0)

    run(scenario)
