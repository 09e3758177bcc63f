"""Look up: what is kept, who gets it, and what is told of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from headgate.cache_types import CacheRules, ExactRules
from headgate.errors import NotCached
from headgate.gateway.fleet import DeploymentPlan, ModelSpec
from headgate.types import CacheControl, CacheMode, Call, Caller, Outcome
from tests.gateway import scripted
from tests.gateway.corridor import EVERYTHING, Corridor, deployment, model, run
from tests.gateway.scripted import ScriptedProvider
from tests.wire.chunks import ANSWER, DONE

BOB = Caller("key_2", "acme", "bob", EVERYTHING)
EVE = Caller("key_3", "other", "eve", EVERYTHING)
RULES = ExactRules(ttl_seconds=60.0)


def caching(
    *models: tuple[ModelSpec, Any], rules: ExactRules = RULES, members: tuple[str, ...] = ("small",)
) -> Corridor:
    return Corridor(*models, caches={"small": CacheRules(rules, models=frozenset(members))})


def wishing(call: Call, mode: CacheMode = CacheMode.USE, ttl_seconds: float | None = None) -> Call:
    return msgspec.structs.replace(call, cache=CacheControl(mode, ttl_seconds))


def one(provider: ScriptedProvider, **more: Any) -> tuple[ModelSpec, list[DeploymentPlan]]:
    return model(deployment(provider, **more))  # type: ignore[return-value]  # a list is a sequence


@pytest.mark.parametrize("stream", [False, True])
def test_the_same_request_again_is_answered_without_a_provider(stream: bool) -> None:
    async def scenario() -> None:
        provider = ScriptedProvider(scripted.stream() if stream else scripted.answer())
        corridor = caching(one(provider))
        first = await corridor.visit(corridor.call(stream=stream))
        await asyncio.sleep(5)
        again = await corridor.visit(corridor.call(stream=stream), caller=BOB)

        assert len(provider.asked) == 1
        assert first.head and again.head
        assert (first.head.cache, again.head.cache) == ("miss", "exact")
        assert (again.head.model, again.head.provider, again.head.age_seconds) == ("small", "up", 5)
        if stream:
            assert again.body == ANSWER + b": x-headgate-cost-usd=0\n\n" + DONE
        else:
            assert again.body == first.body
            assert again.head.cost_picousd == 0
        row = corridor.journal.appended[1]
        assert (row.outcome, row.cost_picousd, row.attempts, row.status) == (Outcome.CACHED, 0, (), 200)
        assert row.bytes_out > 0
        assert corridor.at_rest()

    run(scenario)


def test_another_tenant_asks_for_itself() -> None:
    async def scenario() -> None:
        provider = ScriptedProvider(scripted.answer())
        corridor = caching(one(provider))
        await corridor.visit(corridor.call(stream=False))
        await corridor.visit(corridor.call(stream=False), caller=EVE)
        assert len(provider.asked) == 2

    run(scenario)


def test_a_stream_and_a_whole_answer_are_two_things() -> None:
    async def scenario() -> None:
        provider = ScriptedProvider(scripted.answer(), scripted.stream())
        corridor = caching(one(provider))
        await corridor.visit(corridor.call(stream=False))
        await corridor.visit(corridor.call(stream=True))
        assert len(provider.asked) == 2

    run(scenario)


def test_answers_grow_old() -> None:
    async def scenario() -> None:
        provider = ScriptedProvider(scripted.answer())
        corridor = caching(one(provider))
        call = corridor.call(stream=False)
        await corridor.visit(call)
        await asyncio.sleep(30)
        assert (await corridor.visit(wishing(corridor.call(stream=False), ttl_seconds=29))).head.cache == "miss"  # type: ignore[union-attr]
        await asyncio.sleep(30)
        assert (await corridor.visit(corridor.call(stream=False))).head.cache == "miss"  # type: ignore[union-attr]
        assert len(provider.asked) == 3

    run(scenario)


def test_modes() -> None:
    async def scenario() -> None:
        provider = ScriptedProvider(scripted.answer("one"), scripted.answer("two"), scripted.answer("three"))
        corridor = caching(one(provider))

        async def visit(mode: CacheMode) -> tuple[str, str]:
            seen = await corridor.visit(wishing(corridor.call(stream=False), mode))
            assert seen.head is not None
            return seen.head.cache, json.loads(seen.body)["choices"][0]["message"]["content"]

        nothing = await corridor.visit(wishing(corridor.call(stream=False), CacheMode.ONLY))
        assert isinstance(nothing.error, NotCached)
        assert await visit(CacheMode.OFF) == ("off", "one")
        assert await visit(CacheMode.USE) == ("miss", "two")
        assert await visit(CacheMode.ONLY) == ("exact", "two")
        assert await visit(CacheMode.REFRESH) == ("miss", "three")
        assert await visit(CacheMode.USE) == ("exact", "three")
        assert await visit(CacheMode.OFF) == ("off", "three")

    run(scenario)
