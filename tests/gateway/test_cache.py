"""Look up: what is kept, who gets it, and what is told of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC
from typing import Any

import msgspec
import pytest

from headgate.cache_types import CachedAnswer, CacheRules, ExactRules, Sharing
from headgate.errors import NotCached
from headgate.gateway.fleet import DeploymentPlan, ModelSpec, assemble
from headgate.policy import caching as caching_policy
from headgate.policy import metered
from headgate.policy.metered import Subject
from headgate.policy.pii.findings import EVERY_CLASS, PiiClass
from headgate.policy.pii.rules import Rules
from headgate.types import CacheControl, CacheMode, Call, Caller, Measure, MeterKind, Outcome, Rule, Scope, Tier
from tests.gateway import scripted
from tests.gateway.corridor import ALICE, EVERYTHING, Corridor, Visit, deployment, model, run
from tests.gateway.scripted import JSON, Reply, ScriptedProvider
from tests.wire.chunks import ANSWER, DONE, role, stop, text

BOB = Caller("key_2", "acme", "bob", EVERYTHING)
EVE = Caller("key_3", "other", "eve", EVERYTHING)
RULES = ExactRules(ttl_seconds=60.0)


def caching(
    *models: tuple[ModelSpec, Any], rules: ExactRules = RULES, members: tuple[str, ...] = ("small",)
) -> Corridor:
    return Corridor(*models, caches={"small": CacheRules(rules, models=frozenset(members))})


def wishing(call: Call, mode: CacheMode = CacheMode.USE, ttl_seconds: float | None = None) -> Call:
    return msgspec.structs.replace(call, cache=CacheControl(mode, ttl_seconds))


def one(
    provider: ScriptedProvider, model_name: str = "small", **more: Any
) -> tuple[ModelSpec, Sequence[DeploymentPlan]]:
    return model(deployment(provider, **more), name=model_name)


def caches(visits: list[Visit]) -> list[str]:
    return [visit.head.cache if visit.head else "error" for visit in visits]


def telling_finish(reason: str, **members: Any) -> Reply:
    choice = {"index": 0, "message": {"content": "Hello", **members}, "finish_reason": reason}
    body = {"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
    return Reply([json.dumps(body).encode()], headers=JSON)


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


@pytest.mark.parametrize(
    "rules, words, again",
    [
        (Rules(), "Nothing special", ["exact", "exact"]),
        (Rules(), "Write to ann@example.org", ["miss", "miss"]),
        (Rules(store=frozenset({PiiClass.EMAIL})), "Write to ann@example.org", ["exact", "exact"]),
        (Rules(redact=frozenset({PiiClass.EMAIL})), "Write to ann@example.org", ["miss", "miss"]),
        (Rules(private=frozenset({PiiClass.EMAIL})), "Write to ann@example.org", ["exact", "miss"]),
        (Rules(store=EVERY_CLASS), "Your key is sk-proj-4f9TqLz81mNbVcXsAq2WpE7rKtY3uHgJ", ["miss", "miss"]),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_personal_data_is_kept_as_the_rules_say(rules: Rules, words: str, again: list[str], stream: bool) -> None:
    pieces = [text(words[place : place + 3]) for place in range(0, len(words), 3)]

    async def scenario() -> None:
        streamed = scripted.stream(role(), *pieces, stop() + DONE)
        provider = ScriptedProvider(streamed if stream else scripted.answer(words))
        corridor = Corridor(one(provider), caches={"small": CacheRules(RULES, frozenset({"small"}))}, pii=rules)
        assert caches([await corridor.visit(corridor.call(stream=stream))]) == ["miss"]
        seen = [await corridor.visit(corridor.call(stream=stream), caller=caller) for caller in (ALICE, BOB)]
        assert caches(seen) == again

    run(scenario)


def test_a_long_answer_is_looked_through_apart() -> None:
    async def scenario() -> None:
        provider = ScriptedProvider(scripted.answer("word " * 10_000 + "ann@example.org"))
        corridor = caching(one(provider))
        await corridor.visit(corridor.call(stream=False))
        await corridor.pipeline.cache.finish()
        assert corridor.looked_up.not_kept == {"private": 1}

    run(scenario)


@pytest.mark.parametrize(
    "reply, members, reason",
    [
        (scripted.answer(), {"temperature": 0.7}, "sampled"),
        (scripted.answer(), {"store": True}, "stateful"),
        (scripted.answer(), {"tools": [{"type": "web_search"}]}, "hosted_tools"),
        (telling_finish("length"), {}, "incomplete"),
        (telling_finish("content_filter"), {}, "incomplete"),
        (telling_finish("tool_calls", tool_calls=[{"id": "call_1"}]), {}, "tool_call"),
        (telling_finish("stop", tool_calls=[{"id": "call_1"}]), {}, "tool_call"),
        (telling_finish("stop", refusal="I cannot"), {}, "refusal"),
    ],
)
def test_what_is_not_to_be_given_again_is_not_kept(reply: Reply, members: dict[str, Any], reason: str) -> None:
    async def scenario() -> None:
        provider = ScriptedProvider(reply)
        corridor = caching(one(provider))
        await corridor.visit(corridor.call(stream=False, **members))
        await corridor.visit(corridor.call(stream=False, **members))
        assert len(provider.asked) == 2
        assert corridor.looked_up.not_kept == {reason: 2}
        assert corridor.answers.size().entries == 0

    run(scenario)


def test_an_answer_of_a_fallback_is_not_kept_under_the_models_name() -> None:
    async def scenario() -> None:
        broken = ScriptedProvider(scripted.refuse(500), name="broken")
        spare = ScriptedProvider(scripted.answer(), name="spare")
        corridor = caching(
            model(deployment(broken), retries=0, fallback=("large",)), model(deployment(spare), name="large")
        )
        seen = [await corridor.visit(corridor.call(stream=False)) for _ in range(2)]
        assert caches(seen) == ["miss", "miss"] and len(spare.asked) == 2
        assert corridor.looked_up.not_kept == {"other_model": 2}

    run(scenario)


def test_an_answer_is_given_only_while_who_gave_it_is_a_deployment_of_the_model() -> None:
    async def scenario() -> None:
        before, after = ScriptedProvider(scripted.answer("before")), ScriptedProvider(scripted.answer("after"))
        corridor = caching(one(before))
        await corridor.visit(corridor.call(stream=False))
        moved = assemble(dict([one(after, endpoints=("http://other",))]), None)
        corridor.pipeline.setup = msgspec.structs.replace(corridor.setup, models=moved)
        seen = await corridor.visit(corridor.call(stream=False))
        assert caches([seen]) == ["miss"] and b"after" in seen.body

    run(scenario)


def test_a_router_gives_what_its_models_answered_and_the_tier_allows() -> None:
    async def scenario() -> None:
        small, large = ScriptedProvider(scripted.answer(), name="s"), ScriptedProvider(scripted.answer(), name="l")
        corridor = caching(one(small), one(large, model_name="large"), members=("small", "large"))
        kept = CachedAnswer(
            key=b"", request_id="req_0", tenant="acme", user=None, model="small", prompt_version=None,
            route="chat/completions", stream=False, answered_by="large",
            origin=corridor.setup.models["large"].origins["l/model"], deployment="l/model", provider="l",
            stored_at=corridor.clock.now(), expires_at=corridor.clock.now() + 60, cost_picousd=5, body=b"{}",
        )  # fmt: skip
        call = corridor.call(stream=False)
        key = caching_policy.question(call, ALICE, RULES, None).key
        corridor.answers.put(msgspec.structs.replace(kept, key=key))
        given = await corridor.visit(call)
        assert given.head is not None and (given.head.cache, given.head.model) == ("exact", "large")
        cheap = Caller("key_7", "acme", "dan", Tier("cheap", models=frozenset({"small"})))
        assert caches([await corridor.visit(corridor.call(stream=False), caller=cheap)]) == ["miss"]

    run(scenario)


@pytest.mark.parametrize(
    "members",
    [
        {"tenant": "other"},
        {"model": "large"},
        {"route": "messages"},
        {"stream": True},
        {"answered_by": "large"},
        {"deployment": "up/another"},
        {"origin": "0" * 24},
        {"key": b"x" * 24},
    ],
)
def test_a_store_that_gives_another_answer_is_not_believed(members: dict[str, Any]) -> None:
    """A poisoned entry, a store that mixes up its answers, two keys that collide: whatever comes, it is looked at."""

    async def scenario() -> None:
        provider = ScriptedProvider(scripted.answer())
        corridor = caching(one(provider))
        await corridor.visit(corridor.call(stream=False))
        await corridor.pipeline.cache.finish()
        (slot,) = corridor.answers._slots.values()
        slot.answer = msgspec.structs.replace(slot.answer, body=b"poison", **members)
        seen = await corridor.visit(corridor.call(stream=False))
        assert caches([seen]) == ["miss"] and seen.body != b"poison"

    run(scenario)


@pytest.mark.parametrize(
    "share, again",
    [
        (Sharing.USER, ["exact", "miss", "miss"]),
        (Sharing.TENANT, ["exact", "exact", "miss"]),
        (Sharing.EVERYBODY, ["exact", "exact", "exact"]),
    ],
)
def test_who_gets_what_another_was_given(share: Sharing, again: list[str]) -> None:
    async def scenario() -> None:
        corridor = caching(one(ScriptedProvider(scripted.answer())), rules=ExactRules(share=share))
        await corridor.visit(corridor.call(stream=False))
        seen = [await corridor.visit(corridor.call(stream=False), caller=caller) for caller in (ALICE, BOB, EVE)]
        assert caches(seen) == again

    run(scenario)


def test_a_hit_counts_as_a_request_and_needs_neither_tokens_nor_money() -> None:
    def rule(name: str, measure: Measure, limit: int, kind: MeterKind = MeterKind.RATE) -> Rule:
        return Rule(name, kind, measure, Scope.TENANT, limit, window="day" if kind is MeterKind.BUDGET else "")

    rules = (
        rule("requests_per_minute", Measure.REQUESTS, 3),
        rule("tokens_per_minute", Measure.TOKENS, 10_000),
        rule("budgets.tenant_day", Measure.USD, 10**9, MeterKind.BUDGET),
    )
    limited = Caller("key_8", "acme", "eva", Tier("limited", models=frozenset({"*"}), rules=rules))

    async def scenario() -> None:
        corridor = caching(one(ScriptedProvider(scripted.answer())))
        seen = [await corridor.visit(corridor.call(stream=False), caller=limited) for _ in range(4)]
        assert caches(seen) == ["miss", "exact", "exact", "error"]
        assert seen[3].error is not None and seen[3].error.status == 429
        first, second = seen[0].head, seen[1].head
        assert first is not None and second is not None and first.requests is not None and second.requests is not None
        assert second.requests.remaining == first.requests.remaining - 1
        meters = list(metered.meters(rules, Subject("key_8", "eva", "small"), UTC, corridor.clock.now()))
        used = {one.meter.rule.name: one.used for one in await corridor.counters.read("acme", meters)}
        assert used["budgets.tenant_day"] == corridor.journal.appended[0].cost_picousd
        assert corridor.counters.holds == 0

    run(scenario)
