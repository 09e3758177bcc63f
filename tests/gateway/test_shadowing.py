"""Shadow runs: what they cost is never more than the day's money, what they find is kept, and closes bad routers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from headgate.cache_types import CacheRules, ExactRules
from headgate.errors import Forbidden, InvalidRequest, NotFound, StoreUnavailable, UpstreamUnreachable
from headgate.gateway.errands import WORD_TOKENS, Errands
from headgate.gateway.routers import OPERATOR, RouterSpec
from headgate.gateway.shadowing import Shadowing
from headgate.judgements import WeakOutcome
from headgate.policy.pii.findings import PiiClass
from headgate.policy.pii.rules import Rules
from headgate.route_types import RouterGate
from headgate.stores.memory_routes import MemoryRouteRecords
from headgate.types import Caller
from tests.gateway.corridor import ALICE, Corridor, Visit, deployment, model, run
from tests.gateway.scripted import Asked, Reply, ScriptedProvider, answer, fail
from tests.gateway.test_choosing import CHEAP, DEAR, EASY, then
from tests.gateway.test_escalating import saying

AUTO = RouterSpec(
    "auto",
    ("small", "large"),
    cost_quality=0.0,
    appeal=True,
    challenges=("that is wrong",),
    shadow_share=1.0,
    shadow_picousd_per_day=10**12,
    judge="judge",
)


class Noted:
    """Implements the observer of shadow runs."""

    def __init__(self) -> None:
        self.said: list[tuple[str, ...]] = []

    def judged(self, router: str, outcome: str) -> None:
        self.said.append(("judged", outcome))

    def not_judged(self, router: str, reason: str) -> None:
        self.said.append(("not judged", reason))

    def turned(self, gate: RouterGate) -> None:
        self.said.append(("closed" if gate.closed else "open",))


class Judge(ScriptedProvider):
    """Finds the answer better that has a word in it; looks at nothing else."""

    def __init__(self, word: str) -> None:
        super().__init__(answer("TIE"), name="judge")
        self.word = word
        self.first: list[bool] = []  # whether the better one stood first

    async def send(self, operation: Any, body: bytes, **more: Any) -> Any:
        shown = json.loads(body)["messages"][1]["content"]
        assert "small" not in shown and "large" not in shown.replace("large says", "")
        self.first.append(self.word in shown[: shown.index("<answer B>")].split("<answer A>")[1])
        self._replies = [answer("A" if self.first[-1] else "B")]
        return await super().send(operation, body, **more)


class Shadowed:
    """A router whose cheap model is watched."""

    def __init__(
        self,
        router: RouterSpec = AUTO,
        *,
        better: str = "dear",
        judge: ScriptedProvider | None = None,
        seed: int = 1,
        caches: Mapping[str, CacheRules] | None = None,
    ) -> None:
        self.small = ScriptedProvider(answer("cheap words"), name="small")
        self.large = ScriptedProvider(answer("dear words"), name="large")
        self.judge = judge or Judge(better)
        self.corridor = Corridor(
            model(deployment(self.small, price=CHEAP), name="small", retries=0),
            model(deployment(self.large, price=DEAR), name="large", retries=0),
            model(deployment(self.judge, price=DEAR), name="judge", retries=0),
            routers={"auto": router},
            pii=Rules(redact=frozenset({PiiClass.EMAIL})),
            caches=caches or {},
            seed=seed,
        )
        self.records = MemoryRouteRecords(self.corridor.ledger)
        self.noted = Noted()
        pipeline = self.corridor.pipeline
        errands = Errands(pipeline, self.corridor.clock)
        self.shadowing = Shadowing(errands, self.records, self.corridor.clock, pipeline.choosing, self.noted)
        pipeline.routed = self.shadowing.answered
        pipeline.choosing.answered = self.records.answered

    async def ask(
        self, messages: list[dict[str, Any]] = EASY, *, caller: Caller = ALICE, appeal: str | None = None, **more: Any
    ) -> Visit:
        call = self.corridor.call(**{"model": "auto", "stream": False, "messages": messages, **more})
        visit = await self.corridor.visit(msgspec.structs.replace(call, appeal=appeal), caller=caller)
        await self.rest()
        return visit

    async def rest(self) -> None:
        while self.shadowing._running:
            await asyncio.wait(self.shadowing._running)

    @property
    def spent(self) -> int:
        """By the operator."""
        records = self.corridor.journal.appended
        return sum(record.cost_picousd for record in records if record.tenant == OPERATOR)

    async def rows(self) -> list[tuple[str, str, str, str]]:
        rows, _ = await self.records.page(100)
        return [(row.weak, row.strong, row.outcome, row.source) for row in rows]


def test_the_other_answer_is_judged_blind_and_the_operator_pays() -> None:
    async def scenario() -> None:
        one = Shadowed(msgspec.structs.replace(AUTO, max_loss=1.0))  # it stays open
        for number in range(12):
            one.small._replies = [saying("cheap ", "words") if number % 2 else answer("cheap words")]
            await one.ask([{"role": "user", "content": f"hello {number}"}], stream=number % 2 == 1, max_tokens=50)
        assert await one.rows() == [("small", "large", "lose", "shadow")] * 12
        assert isinstance(one.judge, Judge) and len(set(one.judge.first)) == 2  # its place is drawn
        mine = [record for record in one.corridor.journal.appended if record.tenant == "acme"]
        assert len(mine) == 12 and all(len(record.attempts) == 1 for record in mine)
        own = [record for record in one.corridor.journal.appended if record.tenant == OPERATOR]
        assert sorted({record.tags for record in own}) == [("judge",), ("shadow",)]
        rows, _ = await one.records.page(100)
        assert one.spent == sum(row.cost_picousd for row in rows) > 0
        asked: Asked = one.large.asked[0]
        assert "stream" not in asked.body and asked.body["messages"][0]["content"] == "hello 0"

    run(scenario)


def test_tenants_that_use_the_same_idempotency_key_are_both_shadowed() -> None:
    async def scenario() -> None:
        one = Shadowed(msgspec.structs.replace(AUTO, max_loss=1.0))
        for caller in (ALICE, Caller("key_2", "other", "eve", ALICE.tier)):
            said = [{"role": "user", "content": f"hello, says {caller.user}"}]
            call = one.corridor.call(model="auto", stream=False, messages=said)
            visit = await one.corridor.visit(msgspec.structs.replace(call, idempotency_key="k1"), caller=caller)
            assert visit.error is None
            await one.rest()
        assert await one.rows() == [("small", "large", "lose", "shadow")] * 2

    run(scenario)


def test_the_days_money_is_never_passed_however_many_ask_at_once() -> None:
    async def scenario() -> None:
        one = Shadowed(msgspec.structs.replace(AUTO, shadow_picousd_per_day=3_000_000))
        one.large._replies = [answer("dear words", seconds_before=1.0)]
        await asyncio.gather(*(one.ask([{"role": "user", "content": f"hello {n}"}], max_tokens=50) for n in range(60)))
        assert 0 < one.spent <= 3_000_000
        assert ("not judged", "budget_exceeded") in one.noted.said or ("not judged", "budget_held") in one.noted.said
        before, refused = one.spent, len(one.corridor.journal.appended)
        await one.ask(max_tokens=50)
        assert len(one.corridor.journal.appended) == refused + 1  # the day's money is not asked for again and again
        await asyncio.sleep(86_400)
        await one.ask(max_tokens=50)
        assert before < one.spent <= 6_000_000

    run(scenario)


def test_a_store_that_is_away_lets_callers_in_and_no_shadows() -> None:
    async def scenario() -> None:
        one = Shadowed()
        one.corridor.pipeline.setup = msgspec.structs.replace(one.corridor.setup, on_store_failure="allow")

        async def away(*asked: object) -> object:
            raise StoreUnavailable("The store is away.")

        one.corridor.counters.admit = away  # type: ignore[assignment,method-assign]  # the store is away
        visit = await one.ask()
        assert visit.error is None and one.spent == 0 and not one.large.asked
        assert one.noted.said == [("not judged", "store_unavailable")]

    run(scenario)


def test_a_judge_that_is_down_closes_nothing_and_blocks_nobody() -> None:
    async def scenario() -> None:
        one = Shadowed(judge=ScriptedProvider(fail(UpstreamUnreachable("down")), name="judge"))
        for _ in range(5):
            visit = await one.ask()
            assert visit.error is None
        assert await one.rows() == [] and await one.records.gates() == []
        assert set(one.noted.said) == {("not judged", "upstream_unreachable")}
        silly = Shadowed(judge=ScriptedProvider(answer("No idea!"), name="judge"))
        await silly.ask()
        assert silly.noted.said == [("not judged", "unreadable")]

    run(scenario)


def test_nothing_is_asked_where_nothing_is_shadowed() -> None:
    async def scenario() -> None:
        one = Shadowed(msgspec.structs.replace(AUTO, shadow_share=0.0))
        await one.ask()
        assert not one.large.asked and not one.judge.asked
        tools = Shadowed()
        await tools.ask(tools=[{"type": "function", "function": {"name": "f"}}])
        assert not tools.large.asked

    run(scenario)


def test_a_router_that_loses_too_much_closes_itself_and_comes_back() -> None:
    async def scenario() -> None:
        one = Shadowed()
        for number in range(40):
            await one.ask([{"role": "user", "content": f"hello {number}"}])
            if ("closed",) in one.noted.said:
                break
        (gate,) = await one.records.gates()
        assert gate.closed and gate.number == 1 and "it loses at least" in gate.reason
        one.small._replies = [answer("now dear words")]
        one.large._replies = [answer("cheap words")]
        await one.ask([{"role": "user", "content": "who is asked?"}])
        record = [record for record in one.corridor.journal.appended if record.tenant == "acme"][-1]
        routed = json.loads(record.routed)
        assert (routed["model"], routed["why"], routed["reason"]) == ("large", "closed", gate.reason)
        for number in range(60):
            await one.ask([{"role": "user", "content": f"hello again {number}"}])
            if ("open",) in one.noted.said:
                break
        (gate,) = await one.records.gates()
        assert not gate.closed and gate.number == 2
        await one.ask([{"role": "user", "content": "and who now?"}])
        routed = json.loads([record for record in one.corridor.journal.appended if record.tenant == "acme"][-1].routed)
        assert routed["model"] == "small"

    run(scenario)


def test_personal_data_is_not_kept() -> None:
    async def scenario() -> None:
        one = Shadowed()
        await one.ask([{"role": "user", "content": "Write to alice@example.com, please."}])
        await one.ask([{"role": "user", "content": "My card is 4111 1111 1111 1111, is it valid?"}])
        rows, _ = await one.records.page(10)
        assert "alice@" not in rows[0].prompt and rows[0].prompt.startswith("Write to ")
        assert rows[1].prompt == ""

    run(scenario)


def test_a_check_is_a_row_of_the_caller() -> None:
    async def scenario() -> None:
        one = Shadowed(quiet(check_with="judge"), judge=ScriptedProvider(answer("NO"), name="judge"))
        one.corridor.pipeline.escalating.checker = Errands(one.corridor.pipeline, one.corridor.clock)
        visit = await one.ask()
        assert b"dear words" in visit.body
        check, asked = one.corridor.journal.appended
        assert (check.tenant, check.model, check.tags) == ("acme", "judge", ("check",)) and check.cost_picousd > 0
        assert json.loads(asked.routed)["reason"] == "small: judge did not think that it would do"

    run(scenario)


# --- appeals ---


def quiet(**more: Any) -> RouterSpec:
    return msgspec.structs.replace(AUTO, shadow_share=0.0, **more)


def test_an_appeal_asks_the_next_better_model_and_is_remembered() -> None:
    async def scenario() -> None:
        one = Shadowed(quiet())
        first = await one.ask()
        assert first.head is not None
        second = await one.ask(appeal=first.head.request_id)
        assert b"dear words" in second.body and second.head is not None and "why=appeal" in second.head.route
        assert await one.rows() == [("small", "large", WeakOutcome.LOSE, "appeal")]
        await one.ask(then(EASY, "go on"))
        assert len(one.large.asked) == 2  # the conversation stays there

    run(scenario)


def test_an_answer_that_was_there_already_can_be_appealed_against_too() -> None:
    async def scenario() -> None:
        one = Shadowed(quiet(), caches={"auto": CacheRules(ExactRules(), frozenset({"small", "large"}))})
        await one.ask()
        await asyncio.sleep(1)
        kept = await one.ask()
        assert kept.head is not None
        assert (kept.head.cache, kept.head.route) == ("exact", "auto; model=small; why=cached")
        again = await one.ask(appeal=kept.head.request_id)
        assert again.head is not None and again.head.model == "large"
        assert await one.rows() == [("small", "large", WeakOutcome.LOSE, "appeal")]
        assert isinstance((await one.ask(model="small", appeal=kept.head.request_id)).error, InvalidRequest)

    run(scenario)


def test_who_may_appeal() -> None:
    async def scenario() -> None:
        one = Shadowed(quiet())
        first = await one.ask()
        assert first.head is not None
        mine = first.head.request_id
        stranger = Caller("key_9", "other", "alice", ALICE.tier)
        colleague = Caller("key_8", "acme", "bob", ALICE.tier)
        for caller, appeal in [(stranger, mine), (colleague, mine), (ALICE, "req_nobody")]:
            assert isinstance((await one.ask(caller=caller, appeal=appeal)).error, NotFound)
        other_key = Caller("key_7", "acme", "alice", ALICE.tier)
        assert (await one.ask(caller=other_key, appeal=mine)).error is None
        again = await one.ask(appeal=mine)
        assert again.head is not None
        assert isinstance((await one.ask(appeal=again.head.request_id)).error, InvalidRequest)
        closed = Shadowed(quiet(appeal=False))
        assert isinstance((await closed.ask(appeal=mine)).error, Forbidden)

    run(scenario)


@pytest.mark.parametrize(("words", "asked"), [("No, THAT IS WRONG. Use the big model", 1), ("thanks", 0)])
def test_a_challenge_in_words(words: str, asked: int) -> None:
    async def scenario() -> None:
        one = Shadowed(quiet())
        await one.ask()
        await one.ask(then(EASY, words))
        assert len(one.large.asked) == asked
        assert await one.rows() == [("small", "large", "lose", "challenge")] * asked

    run(scenario)


def test_the_first_words_of_a_conversation_challenge_nothing() -> None:
    async def scenario() -> None:
        one = Shadowed(quiet())
        await one.ask([{"role": "user", "content": "Why do people say that is wrong?"}])
        assert not one.large.asked

    run(scenario)


@pytest.mark.parametrize(
    "large, asked, reason",
    [
        (answer(""), {}, "empty"),
        (answer("dear wo", finish="length"), {}, "cut"),
        (answer("dear wo", finish="length"), {"max_tokens": 50}, ""),  # as its caller wanted it
    ],
)
def test_an_answer_that_is_not_whole_is_not_compared(large: Reply, asked: dict[str, int], reason: str) -> None:
    async def scenario() -> None:
        one = Shadowed()
        one.large._replies = [large]
        await one.ask(**asked)
        assert one.noted.said == ([("not judged", reason)] if reason else [("judged", "lose")])
        assert len(await one.rows()) == len(one.judge.asked) == (not reason)

    run(scenario)


def test_money_that_is_only_held_is_asked_for_again_soon() -> None:
    async def scenario() -> None:
        one = Shadowed(msgspec.structs.replace(AUTO, shadow_picousd_per_day=3_000_000, max_loss=1.0))
        one.large._replies = [answer("dear words", seconds_before=5.0)]
        await asyncio.gather(*(one.ask([{"role": "user", "content": f"hello {n}"}], max_tokens=50) for n in range(10)))
        assert ("not judged", "budget_held") in one.noted.said
        before = one.noted.said.count(("judged", "lose"))
        await one.ask(max_tokens=50)
        assert one.noted.said.count(("judged", "lose")) == before + 1

    run(scenario)


def test_little_is_held_for_a_judges_word() -> None:
    async def scenario() -> None:
        one = Shadowed()
        await one.ask()
        assert one.judge.asked[0].body["max_completion_tokens"] == WORD_TOKENS

    run(scenario)
