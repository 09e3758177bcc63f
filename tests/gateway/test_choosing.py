"""A router in the corridor: who is asked, that it stays so in a conversation, what is told and kept of it."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import msgspec
import pytest

from headgate.cache_types import CacheRules, ExactRules
from headgate.errors import ModelNotFound, RouteNotServed
from headgate.gateway import embedded
from headgate.gateway.choosing import Choosing
from headgate.gateway.fleet import Setup
from headgate.gateway.routers import Flag, RouterSpec
from headgate.metering import EmbeddingUse
from headgate.ports import Used
from headgate.route_types import Hardness, Routed, Signals
from headgate.stores.memory_sessions import MemorySessions
from headgate.types import (
    Call,
    Caller,
    Capabilities,
    Counted,
    Measure,
    MeterKind,
    Price,
    Route,
    Rule,
    Scope,
    Tier,
    Usage,
)
from tests.gateway.corridor import ALICE, Corridor, Visit, deployment, model, run
from tests.gateway.scripted import ScriptedProvider, answer, refuse, stream

CHEAP, DEAR = Price(input=100, output=1_000, version="test"), Price(input=2_000, output=10_000, version="test")
EASY = [{"role": "user", "content": "hello"}]
HARD = [
    {"role": "user", "content": "Prove step by step why the integral of 1/x^2 converges, and compare:\n```c\nx;\n```"}
]
AUTO = RouterSpec("auto", ("small", "large"))


class Ladder:
    """A corridor with a router over two models."""

    def __init__(self, router: RouterSpec = AUTO, *, small: ScriptedProvider | None = None, **can: Any) -> None:
        self.small = small or ScriptedProvider(answer("small says"), name="small")
        self.large = ScriptedProvider(answer("large says"), name="large")
        capable = Capabilities(**can)
        self.corridor = Corridor(
            model(deployment(self.small, price=CHEAP, capabilities=capable), name="small", retries=0),
            model(deployment(self.large, price=DEAR), name="large", retries=0),
            routers={router.name: router},
        )

    async def ask(self, messages: list[dict[str, Any]] = EASY, caller: Caller = ALICE, **more: Any) -> Visit:
        members = {"model": "auto", "stream": False, "messages": messages, **more}
        session = members.pop("session", None)
        call = msgspec.structs.replace(self.corridor.call(**members), session=session)
        return await self.corridor.visit(call, caller=caller)

    @property
    def routed(self) -> list[Routed]:
        """How each request was routed."""
        records = self.corridor.journal.appended
        return [msgspec.json.decode(record.routed, type=Routed) for record in records if record.routed]

    @property
    def models(self) -> list[str]:
        """Who answered, request by request."""
        return [routed.model for routed in self.routed]


def test_easy_to_small_and_hard_to_large_with_a_reason_everywhere() -> None:
    async def scenario() -> None:
        one = Ladder()
        visits = [await one.ask(EASY), await one.ask(HARD)]
        assert [visit.head.model for visit in visits if visit.head] == ["small", "large"]
        assert visits[0].head is not None and visits[0].head.route.startswith(
            "auto; model=small; why=score; difficulty=0."
        )
        for record in one.corridor.journal.appended:
            assert record.model == "auto"
        for routed in one.routed:
            assert routed.why == "score" and "is worth" in routed.reason
            assert [scored.model for scored in routed.candidates] == ["small", "large"]
        assert one.corridor.at_rest()

    run(scenario)


class PaidScorer:
    """Implements `choosing.Scorer`: a provider is paid for the vector of each question."""

    async def score(self, router: RouterSpec, signals: Signals, used: Used) -> Hardness:
        usage = Usage(input=9, counted=Counted.REPORTED)
        used(EmbeddingUse("emb_1", 0.0, 0.1, "p", "http://p", "e", "", usage, 777, "l"))
        return Hardness(0.1, 0.0, ())


def test_what_a_provider_takes_for_a_vector_is_an_attempt_of_the_request() -> None:
    async def scenario() -> None:
        one = Ladder()
        pipeline = one.corridor.pipeline
        pipeline.choosing = Choosing(one.corridor.clock, PaidScorer(), MemorySessions(one.corridor.clock.monotonic))
        pipeline.choosing.embedded = one.corridor.settler.embedded
        visit = await one.ask()
        record = one.corridor.record
        assert [attempt.deployment for attempt in record.attempts] == ["p/e", "small/model"]
        assert [attempt.number for attempt in record.attempts] == [1, 2]
        assert record.attempts[0].cost_picousd == 777
        assert record.cost_picousd == sum(attempt.cost_picousd for attempt in record.attempts)
        assert visit.head is not None and visit.head.cost_picousd == record.cost_picousd

        class Explained(NamedTuple):
            caller: Caller
            call: Call
            setup: Setup

        asked = Explained(ALICE, one.corridor.call(model="auto"), one.corridor.setup)
        await pipeline.choosing.consider(asked, AUTO)
        row = one.corridor.journal.appended[-1]
        assert (row.tenant, row.cost_picousd, row.tags) == ("headgate", 777, (embedded.TAG,))

    run(scenario)


def test_who_asks_for_a_model_by_name_has_no_router() -> None:
    async def scenario() -> None:
        one = Ladder()
        visit = await one.ask(HARD, model="small")
        assert visit.head is not None and (visit.head.model, visit.head.route) == ("small", "")
        assert not one.corridor.record.routed

    run(scenario)


# --- tiers ---


@pytest.mark.parametrize(
    ("models", "asked"),
    [
        ({"small", "auto"}, ["small", "small"]),  # as the example: nobody gets a model behind another name
        ({"auto"}, ["small", "large"]),  # the router is the offer
        ({"*"}, ["small", "large"]),
        ({"small", "large", "auto"}, ["small", "large"]),
    ],
)
def test_a_tier_is_given_the_models_it_names(models: set[str], asked: list[str]) -> None:
    async def scenario() -> None:
        one = Ladder()
        caller = Caller("key", "acme", None, Tier("free", frozenset(models)))
        await one.ask(EASY, caller)
        await one.ask(HARD, caller)
        assert one.models == asked

    run(scenario)


def test_a_tier_without_the_router_has_none() -> None:
    async def scenario() -> None:
        one = Ladder()
        visit = await one.ask(EASY, Caller("key", "acme", None, Tier("free", frozenset({"small", "large"}))))
        assert isinstance(visit.error, ModelNotFound)

    run(scenario)


# --- conversations ---


def then(messages: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    return [*messages, {"role": "assistant", "content": "Well."}, {"role": "user", "content": text}]


def test_a_conversation_keeps_its_model() -> None:
    async def scenario() -> None:
        one = Ladder()
        await one.ask(EASY)
        await one.ask(then(EASY, HARD[0]["content"]))
        await one.ask(HARD)
        await one.ask(then(HARD, "thanks"))
        assert one.models == ["small", "small", "large", "large"]
        assert one.routed[-1].why == "session"

    run(scenario)


def test_a_session_by_name_keeps_its_model_until_it_was_silent_for_long() -> None:
    async def scenario() -> None:
        one = Ladder()
        await one.ask(EASY, session="s1")
        await one.ask(HARD, session="s1")
        await one.ask(HARD, session="s2")
        await one.ask(EASY, Caller("key_2", "other", None, ALICE.tier), session="s2")
        await asyncio.sleep(3601)
        await one.ask(HARD, session="s1")
        assert one.models == ["small", "small", "large", "small", "large"]

    run(scenario)


def test_another_process_decides_by_the_beginning_of_a_conversation() -> None:
    async def scenario() -> None:
        one = Ladder()
        await one.ask(then(EASY, HARD[0]["content"]))
        assert one.models == ["small"]

    run(scenario)


def test_a_conversation_leaves_a_model_that_cannot_go_on() -> None:
    async def scenario() -> None:
        one = Ladder(tools=False)
        await one.ask(EASY)
        await one.ask(then(EASY, "use it"), tools=[{"type": "function", "function": {"name": "f"}}])
        await one.ask(then(EASY, "and now?"))
        assert one.models == ["small", "large", "large"]

    run(scenario)


# --- what else decides ---


def test_flags_and_weights_hold_for_a_share_of_conversations() -> None:
    async def scenario() -> None:
        router = RouterSpec("auto", ("small", "large"), flags=(Flag("large", 1.0, frozenset({"pro"})),))
        one = Ladder(router)
        await one.ask(EASY)
        await one.ask(EASY, Caller("key", "acme", None, Tier("free", frozenset({"auto"}))))
        assert one.models == ["large", "small"]
        split = Ladder(RouterSpec("auto", ("small", "large"), weights=(("small", 1.0), ("large", 1.0))))
        for number in range(60):
            await split.ask([{"role": "user", "content": f"hello {number}"}])
        assert 15 < split.models.count("small") < 45
        again = list(split.models)
        for number in range(60):
            await split.ask([{"role": "user", "content": f"hello {number}"}])
        assert split.models[60:] == again

    run(scenario)


def test_money_that_is_short_leads_to_the_cheaper_model() -> None:
    async def scenario() -> None:
        cap = Rule("budgets.request", MeterKind.BUDGET, Measure.USD, Scope.REQUEST, limit=200_000)
        poor = Caller("key", "acme", "bob", Tier("poor", frozenset({"*"}), rules=(cap,)))
        one = Ladder(msgspec.structs.replace(AUTO, cost_quality=1.0))
        visit = await one.ask(HARD, poor, max_tokens=1_000)
        assert visit.error is None and one.models == ["small"]
        assert one.routed[0].why == "budget"
        assert one.routed[0].reason == "there is not enough money left for large"

    run(scenario)


def test_another_model_of_the_router_answers_for_one_that_fails() -> None:
    async def scenario() -> None:
        one = Ladder(small=ScriptedProvider(refuse(500), name="small"))
        visit = await one.ask(EASY)
        assert visit.head is not None and visit.head.model == "large"
        assert one.corridor.outcomes == ["small/model 500", "large/model 200"]

    run(scenario)


def test_what_a_cheaper_model_answers_for_the_one_that_was_chosen_is_not_kept() -> None:
    async def scenario() -> None:
        one = Ladder()
        kept = CacheRules(ExactRules(), frozenset({"small", "large"}))
        one.corridor.pipeline.setup = msgspec.structs.replace(one.corridor.setup, caches={"auto": kept})
        one.large._replies = [refuse(500), answer("large says")]
        seen = []
        for _ in range(3):
            visit = await one.ask(HARD)
            assert visit.head is not None, visit.error
            seen.append((visit.head.cache, visit.head.model))
            await asyncio.sleep(1)
        assert seen == [("miss", "small"), ("miss", "large"), ("exact", "large")]

    run(scenario)


def test_a_model_with_slow_first_content_is_passed_over() -> None:
    async def scenario() -> None:
        slow = ScriptedProvider(stream(seconds_before=5.0), answer(), name="small")
        one = Ladder(msgspec.structs.replace(AUTO, max_ttft_seconds=2.0), small=slow)
        await one.ask(EASY, stream=True)
        await one.ask([{"role": "user", "content": "hello again"}])
        assert one.models == ["small", "large"]

    run(scenario)


def test_vectors_are_not_for_routers_to_choose() -> None:
    async def scenario() -> None:
        one = Ladder()
        visit = await one.corridor.visit(one.corridor.call(Route.EMBEDDINGS, model="auto"))
        assert isinstance(visit.error, RouteNotServed)

    run(scenario)


def test_nobody_can() -> None:
    async def scenario() -> None:
        one = Ladder(RouterSpec("auto", ("small",)), images=False)
        pictures = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]}]
        visit = await one.ask(pictures)
        assert isinstance(visit.error, RouteNotServed) and "small: it takes no images" in visit.error.message

    run(scenario)
