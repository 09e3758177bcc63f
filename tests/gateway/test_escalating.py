"""An answer that is not good enough is never shown: the next better model is asked, and both are paid for."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from headgate.errors import StreamIncomplete, UpstreamUnreachable
from headgate.gateway.routers import RouterSpec
from headgate.policy.escalating import Doubt, Standard
from headgate.types import Caller, Measure, MeterKind, Outcome, Rule, Scope, Tier
from tests.gateway.corridor import ALICE, Corridor, Visit, deployment, model, run
from tests.gateway.scripted import JSON, Reply, ScriptedProvider, answer, fail, refuse, stream
from tests.gateway.test_choosing import CHEAP, DEAR, EASY
from tests.wire.chunks import DONE, stop, text

AUTO = RouterSpec("auto", ("small", "large"))
SORRY = "I'm sorry, but I can't help with that."
STRICT = msgspec.structs.replace(AUTO, hold_streams=True)


def saying(*texts: str) -> Reply:
    """A stream, an event for each text."""
    return stream(*[text(words) for words in texts], stop(), DONE)


def ended(content: str, finish: str, **message: Any) -> Reply:
    """A JSON answer that ended in this way."""
    choice = {"index": 0, "message": {"content": content, **message}, "finish_reason": finish}
    body = {"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
    return Reply([json.dumps(body).encode()], headers=JSON)


def with_budget(picousd: int) -> Caller:
    rule = Rule("budgets.tenant_day", MeterKind.BUDGET, Measure.USD, Scope.TENANT, limit=picousd, window="day")
    return Caller("key", "acme", "bob", Tier("limited", frozenset({"*"}), rules=(rule,)))


class Pair:
    """A cheap model that answers as it is told, and a dear one."""

    def __init__(
        self,
        *small: Reply,
        large: Sequence[Reply] = (answer("Large says"),),
        router: RouterSpec = AUTO,
        retries: int = 0,
    ) -> None:
        self.small = ScriptedProvider(*small, name="small")
        self.large = ScriptedProvider(*large, name="large")
        self.corridor = Corridor(
            model(deployment(self.small, price=CHEAP), name="small", retries=0),
            model(deployment(self.large, price=DEAR), name="large", retries=retries),
            routers={"auto": router},
        )

    async def ask(self, caller: Caller = ALICE, **more: Any) -> Visit:
        members = {"model": "auto", "stream": False, "messages": EASY, **more}
        visit = await self.corridor.visit(self.corridor.call(**members), caller=caller)
        assert self.corridor.at_rest()
        return visit

    @property
    def routed(self) -> dict[str, Any]:
        routed: dict[str, Any] = json.loads(self.corridor.record.routed)
        return routed


# --- what is not good enough ---


@pytest.mark.parametrize(
    ("reply", "more", "reason"),
    [
        (answer(SORRY), {}, "small: the answer was a refusal"),
        (ended("No.", "stop", refusal="I will not."), {}, "small: the answer was a refusal"),
        (ended("", "content_filter"), {}, "small: the answer was a refusal"),
        (answer(" \n"), {}, "small: the answer was empty"),
        (ended("Once upon", "length"), {}, "small: the answer was cut at the model's own limit"),
        (
            answer('{"a": '),
            {"response_format": {"type": "json_object"}},
            "small: the answer was not the JSON that was asked for",
        ),
    ],
)
def test_the_next_better_model_is_asked(reply: Reply, more: dict[str, Any], reason: str) -> None:
    async def scenario() -> None:
        pair = Pair(reply)
        visit = await pair.ask(**more)
        assert b"Large says" in visit.body and visit.head is not None and visit.head.model == "large"
        assert visit.head.attempts == "small/model 200, large/model 200"
        assert (pair.routed["why"], pair.routed["reason"], pair.routed["model"]) == ("escalated", reason, "large")
        weak, strong = pair.corridor.record.attempts
        assert (weak.outcome, weak.error, weak.number) == (Outcome.DONE, "weak_answer", 1)
        assert (strong.outcome, strong.error, strong.number) == (Outcome.DONE, "", 2)
        assert weak.cost_picousd == 7 * CHEAP.input + 3 * CHEAP.output
        assert pair.corridor.record.cost_picousd == weak.cost_picousd + strong.cost_picousd
        assert visit.head.cost_picousd == pair.corridor.record.cost_picousd

    run(scenario)


@pytest.mark.parametrize(
    ("reply", "more"),
    [
        (answer("Sure: 42."), {}),
        (answer("I'm sorry to hear that you lost your keys."), {}),
        (ended("Once upon", "length"), {"max_tokens": 3}),
        (answer("[1]"), {"response_format": {"type": "json_object"}}),
        (ended("", "tool_calls", tool_calls=[{"id": "1", "function": {"name": "f", "arguments": "{}"}}]), {}),
    ],
)
def test_a_good_answer_is_shown(reply: Reply, more: dict[str, Any]) -> None:
    async def scenario() -> None:
        pair = Pair(reply)
        visit = await pair.ask(**more)
        assert visit.head is not None and visit.head.model == "small" and not pair.large.asked

    run(scenario)


def test_words_that_the_model_was_not_sure_of() -> None:
    async def scenario() -> None:
        unsure = {"content": [{"token": "a", "logprob": -3.0}, {"token": "b", "logprob": -2.0}]}
        choice = {"index": 0, "message": {"content": "Perhaps"}, "finish_reason": "stop", "logprobs": unsure}
        reply = Reply([json.dumps({"choices": [choice]}).encode()], headers=JSON)
        demanding = msgspec.structs.replace(AUTO, standard=Standard(frozenset({Doubt.LOW_LOGPROBS}), min_logprob=-1.0))
        pair = Pair(reply, router=demanding)
        await pair.ask(logprobs=True)
        assert pair.routed["reason"] == "small: its tokens had a mean logprob of -2.50, below -1"
        other = Pair(reply)
        await other.ask(logprobs=True)
        assert other.routed["model"] == "small"

    run(scenario)


def test_nothing_is_judged_where_nothing_is_doubted() -> None:
    async def scenario() -> None:
        pair = Pair(answer(SORRY), router=msgspec.structs.replace(AUTO, standard=Standard(frozenset())))
        visit = await pair.ask()
        assert visit.head is not None and visit.head.model == "small"

    run(scenario)


# --- streams ---


def test_a_stream_that_begins_as_a_refusal_is_not_shown() -> None:
    async def scenario() -> None:
        pair = Pair(saying("I", "'m sorry", ", but I can", "'t do that", "."), large=[saying("Large ", "says")])
        visit = await pair.ask(stream=True)
        assert b"sorry" not in visit.body and b"Large " in visit.body
        assert visit.body.count(b'"finish_reason": "stop"') == 1
        weak, strong = pair.corridor.record.attempts
        assert weak.error == "weak_answer" and weak.usage.output > 0 and weak.cost_picousd > 0
        assert strong.outcome is Outcome.DONE

    run(scenario)


def test_a_stream_is_held_only_until_it_can_be_no_refusal() -> None:
    async def scenario() -> None:
        pair = Pair(
            stream(
                text("I"), 1.0, text(" think"), 5.0, text("so"),
                stop(), DONE,
            )
        )  # fmt: skip
        visit = await pair.ask(stream=True)
        assert visit.times[0] == pytest.approx(1.0, abs=0.1)
        assert b"".join(visit.pieces).count(b"think") == 1 and not pair.large.asked
        plain = Pair(stream(text("Well"), 5.0, stop(), DONE))
        began = plain.corridor.clock.monotonic()
        visit = await plain.ask(stream=True)
        assert visit.times[0] - began == pytest.approx(0.0, abs=0.1)

    run(scenario)


def test_streams_that_are_held_are_judged_whole() -> None:
    async def scenario() -> None:
        wants = {"stream": True, "response_format": {"type": "json_object"}}
        pair = Pair(saying('{"a"', ": "), large=[saying('{"a"', ": 1}")], router=STRICT)
        visit = await pair.ask(**wants)
        assert pair.routed["reason"].endswith("not the JSON that was asked for")
        assert visit.body.count(b"1}") == 1
        good = Pair(saying('{"a"', ": 1}"), router=STRICT)
        visit = await good.ask(**wants)
        assert visit.body.count(b"1}") == 1 and visit.body.endswith(DONE) and not good.large.asked

    run(scenario)


def test_a_stream_that_breaks_while_it_is_held_is_asked_again_elsewhere() -> None:
    async def scenario() -> None:
        broken = stream(text("I"), StreamIncomplete("cut"))
        pair = Pair(broken, large=[saying("Large ", "says")])
        visit = await pair.ask(stream=True)
        assert visit.body.count(b"Large ") == 1
        assert [attempt.error for attempt in pair.corridor.record.attempts] == ["stream_incomplete", ""]

    run(scenario)


@pytest.mark.parametrize("seed", range(40))
def test_however_a_stream_is_cut_one_whole_answer_is_shown_and_no_more(seed: int) -> None:
    """Refusals and good answers, in pieces of any size, held or not: the client gets all of one answer, once."""

    async def scenario() -> None:
        chance = random.Random(seed)
        said = chance.choice([SORRY, "I'm sorry to hear that you can wait.", "I can do that: 1, 2, 3.", "Sure. " * 40])
        rest, pieces = said, list[str]()
        while rest:
            size = chance.randint(1, 12)
            pieces.append(rest[:size])
            rest = rest[size:]
        router = STRICT if chance.random() < 0.3 else AUTO
        pair = Pair(saying(*pieces), large=[saying("Large ", "says")], router=router)
        visit = await pair.ask(stream=True)
        told = [json.loads(event[6:]) for event in visit.body.split(b"\n\n") if event.startswith(b"data: {")]
        text = "".join(one["choices"][0]["delta"].get("content", "") for one in told)
        assert text == ("Large says" if said == SORRY else said)
        assert sum(one["choices"][0]["finish_reason"] is not None for one in told) == 1
        assert visit.body.count(DONE) == 1

    run(scenario)


# --- the weaker answer is better than none ---


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("trouble", [refuse(500), fail(UpstreamUnreachable("no connection"))])
def test_the_weaker_answer_is_shown_if_the_better_model_fails(streams: bool, trouble: Reply) -> None:
    async def scenario() -> None:
        pair = Pair(saying(SORRY) if streams else answer(SORRY), large=[trouble])
        visit = await pair.ask(stream=streams)
        assert visit.error is None and visit.body.count(b"sorry") == 1
        record = pair.corridor.record
        assert (record.outcome, record.deployment) == (Outcome.DONE, "small/model")
        assert [attempt.deployment for attempt in record.attempts] == ["large/model", "small/model"]
        assert len(pair.small.asked) == 1

    run(scenario)


def test_the_weaker_answer_is_shown_if_there_is_no_money_for_the_better() -> None:
    async def scenario() -> None:
        pair = Pair(answer(SORRY))
        visit = await pair.ask(with_budget(3_000_000), max_tokens=1_000)
        assert b"sorry" in visit.body and not pair.large.asked
        assert pair.routed["model"] == "small"

    run(scenario)


def test_both_answers_are_held_for() -> None:
    async def scenario() -> None:
        pair = Pair(answer(SORRY, usage=(7, 900)))
        held: list[int] = []
        extend = pair.corridor.counters.extend

        async def watching(hold_id: str, tenant: str, ask: Any, output_tokens: int) -> Any:
            held.append(ask.input_picousd)
            return await extend(hold_id, tenant, ask, output_tokens)

        pair.corridor.counters.extend = watching  # type: ignore[method-assign]  # to look on
        await pair.ask(with_budget(10**12), max_tokens=1_000)
        weak = pair.corridor.record.attempts[0].cost_picousd
        assert held[0] > weak == 7 * CHEAP.input + 900 * CHEAP.output

    run(scenario)


def test_a_client_that_leaves_meanwhile_pays_for_what_was_made() -> None:
    async def scenario() -> None:
        pair = Pair(answer(SORRY), large=[answer("late", seconds_before=60.0)])
        visit = asyncio.create_task(pair.corridor.visit(pair.corridor.call(model="auto", stream=False)))
        await asyncio.sleep(5)
        visit.cancel()
        await asyncio.wait([visit])
        await pair.corridor.settler.finish()
        record = pair.corridor.record
        assert (record.outcome, record.attempts[0].error) == (Outcome.DISCONNECTED, "weak_answer")
        assert record.cost_picousd > 0 and pair.corridor.at_rest()

    run(scenario)


def test_a_process_that_dies_between_attempts_leaves_a_charge_if_an_answer_was_paid_for() -> None:
    async def scenario() -> None:
        pair = Pair(answer(SORRY), large=[refuse(503, retry_after="40")], retries=1)
        call = pair.corridor.call(model="auto", stream=False)
        visit = asyncio.create_task(pair.corridor.visit(call, caller=with_budget(10**12)))
        await asyncio.sleep(5)
        assert len(pair.small.asked) == len(pair.large.asked) == 1
        (noted,) = pair.corridor.journal.under_way.values()
        assert noted.held_picousd > 0
        visit.cancel()
        await asyncio.wait([visit])
        await pair.corridor.settler.finish()
        assert not pair.corridor.journal.under_way and pair.corridor.record.cost_picousd > 0

    run(scenario)


# --- conversations ---


def test_a_conversation_that_escalated_stays_with_the_better_model() -> None:
    async def scenario() -> None:
        pair = Pair(answer(SORRY), answer("fine"))
        await pair.ask()
        again = [*EASY, {"role": "assistant", "content": "Large says"}, {"role": "user", "content": "thanks"}]
        await pair.ask(messages=again)
        models = [json.loads(record.routed)["model"] for record in pair.corridor.journal.appended]
        assert models == ["large", "large"]

    run(scenario)


def test_a_new_conversation_that_begins_alike_is_decided_anew() -> None:
    async def scenario() -> None:
        pair = Pair(answer(SORRY), answer("fine"))
        await pair.ask()
        await pair.ask()
        again = [*EASY, {"role": "assistant", "content": "Large says"}, {"role": "user", "content": "thanks"}]
        await pair.ask(messages=again)
        models = [json.loads(record.routed)["model"] for record in pair.corridor.journal.appended]
        assert models == ["large", "small", "large"]

    run(scenario)


# --- another model looks at it ---


class Checking:
    """Thinks of answers what it is told to."""

    def __init__(self, will_do: bool | None) -> None:
        self.will_do = will_do
        self.shown: list[tuple[str, str, str]] = []

    async def check(self, caller: Caller, model: str, asked: str, text: str) -> bool | None:
        self.shown.append((model, asked, text))
        if self.will_do is None:
            raise UpstreamUnreachable("no connection")
        return self.will_do


@pytest.mark.parametrize(("will_do", "answered_by"), [(False, "large"), (True, "small"), (None, "small")])
def test_an_answer_is_checked_where_that_is_configured(will_do: bool | None, answered_by: str) -> None:
    async def scenario() -> None:
        pair = Pair(answer("Perhaps."), router=msgspec.structs.replace(AUTO, check_with="judge"))
        pair.corridor.pipeline.escalating.checker = checking = Checking(will_do)
        await pair.ask()
        assert checking.shown == [("judge", "hello", "Perhaps.")]
        assert pair.routed["model"] == answered_by

    run(scenario)


def test_only_close_calls_are_checked_if_that_is_configured() -> None:
    async def scenario() -> None:
        pair = Pair(answer("Perhaps."), router=msgspec.structs.replace(AUTO, check_with="judge", near=0.001))
        pair.corridor.pipeline.escalating.checker = checking = Checking(False)
        await pair.ask()
        assert not checking.shown

    run(scenario)
