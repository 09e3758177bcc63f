"""Requests with an idempotency key: one is answered and charged, all others get its result."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from headgate.cache_types import CacheRules, ExactRules
from headgate.errors import StreamIncomplete, UpstreamError
from headgate.idempotency_errors import IdempotencyKeyReused, IdempotentResultNotKept
from headgate.idempotency_types import IdempotencyRules
from headgate.policy.pii.findings import PiiClass
from headgate.policy.pii.rules import Rules
from headgate.types import Caller, Outcome, Route
from tests.gateway import scripted
from tests.gateway.corridor import EVERYTHING, Visit, run
from tests.gateway.keyed import corridor, data, is_replayed, keyed
from tests.gateway.scripted import Reply
from tests.wire.chunks import DONE, role, stop, text

BOB = Caller("key_2", "acme", "bob", EVERYTHING)


EVE = Caller("key_3", "other", "eve", EVERYTHING)


@pytest.mark.parametrize("stream", [False, True])
def test_the_result_is_given_again_and_charged_once(stream: bool) -> None:
    async def scenario() -> None:
        lane, provider = corridor(scripted.stream() if stream else scripted.answer())
        first = await lane.visit(keyed(lane, stream=stream))
        await asyncio.sleep(3600)
        again = await lane.visit(keyed(lane, stream=stream), caller=BOB)
        assert len(provider.asked) == 1
        assert (is_replayed(first), is_replayed(again)) == (False, True)
        assert data(again) == data(first)
        assert stream or again.body == first.body
        paid, free = lane.journal.appended
        assert paid.cost_picousd > 0 and (free.cost_picousd, free.outcome, free.attempts) == (0, Outcome.CACHED, ())
        assert lane.at_rest()

    run(scenario)


def test_a_key_is_kept_for_a_day() -> None:
    async def scenario() -> None:
        lane, provider = corridor(scripted.answer())
        await lane.visit(keyed(lane))
        await asyncio.sleep(24 * 3600 - 1)
        assert is_replayed(await lane.visit(keyed(lane)))
        await asyncio.sleep(1)
        assert not is_replayed(await lane.visit(keyed(lane)))
        assert len(provider.asked) == 2

    run(scenario)


def test_a_key_belongs_to_a_tenant_and_a_route() -> None:
    async def scenario() -> None:
        lane, provider = corridor(scripted.answer())
        await lane.visit(keyed(lane))
        assert not is_replayed(await lane.visit(keyed(lane), caller=EVE))
        other = msgspec.structs.replace(lane.call(Route.COMPLETIONS, stream=False), idempotency_key="k1")
        assert not is_replayed(await lane.visit(other))
        assert len(provider.asked) == 3

    run(scenario)


def test_another_body_is_refused_and_nothing_is_asked() -> None:
    async def scenario() -> None:
        lane, provider = corridor(scripted.answer(seconds_before=5))
        running = asyncio.ensure_future(lane.visit(keyed(lane)))
        await asyncio.sleep(1)
        while_it_runs = await lane.visit(keyed(lane, temperature=1))
        await running
        after_it = await lane.visit(keyed(lane, stream=True))
        assert isinstance(while_it_runs.error, IdempotencyKeyReused) and isinstance(
            after_it.error, IdempotencyKeyReused
        )
        assert while_it_runs.error.status == 409
        assert len(provider.asked) == 1 and lane.at_rest()

    run(scenario)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("late", [0.5, 2.5])
def test_who_comes_while_it_runs_gets_what_it_gets(stream: bool, late: float) -> None:
    async def scenario() -> None:
        steps = (role(), 2.0, text("Hello"), 1.0, text(" there"), stop("stop"), DONE)
        lane, provider = corridor(scripted.stream(*steps) if stream else scripted.answer(seconds_before=3.0))

        async def come() -> Visit:
            await asyncio.sleep(late)
            return await lane.visit(keyed(lane, stream=stream))

        first, *others = await asyncio.gather(lane.visit(keyed(lane, stream=stream)), *(come() for _ in range(20)))
        assert len(provider.asked) == 1
        assert not is_replayed(first) and all(is_replayed(other) for other in others)
        assert all(data(other) == data(first) for other in others)
        assert stream or all(other.body == first.body for other in others)
        assert sum(row.cost_picousd > 0 for row in lane.journal.appended) == 1
        assert lane.at_rest()

    run(scenario)


@pytest.mark.parametrize(
    "reply", [scripted.refuse(429), scripted.refuse(400), scripted.fail(UpstreamError("no")), scripted.refuse(500)]
)
def test_what_came_to_nothing_is_forgotten(reply: Reply) -> None:
    async def scenario() -> None:
        lane, provider = corridor(reply, scripted.answer())
        first = await lane.visit(keyed(lane))
        again = await lane.visit(keyed(lane))
        assert first.error is not None and not is_replayed(again)
        assert is_replayed(await lane.visit(keyed(lane)))
        assert len(provider.asked) == 2

    run(scenario)


def test_who_waits_for_what_comes_to_nothing_asks_for_itself() -> None:
    async def scenario() -> None:
        failing = Reply(error=UpstreamError("no"), seconds_before=1.0)
        lane, provider = corridor(failing, scripted.answer())
        visits = await asyncio.gather(*(lane.visit(keyed(lane)) for _ in range(5)))
        assert [visit.error is not None for visit in visits] == [True, False, False, False, False]
        assert sum(is_replayed(visit) for visit in visits[1:]) == 3
        assert len(provider.asked) == 2 and lane.at_rest()

    run(scenario)


def test_a_stream_that_breaks_after_its_first_word_is_the_result() -> None:
    async def scenario() -> None:
        broken = scripted.stream(text("Hel"), 1.0, StreamIncomplete("cut"))
        lane, provider = corridor(broken)
        running = asyncio.ensure_future(lane.visit(keyed(lane, stream=True)))
        await asyncio.sleep(0.5)
        joined = await lane.visit(keyed(lane, stream=True))
        first, again = await running, await lane.visit(keyed(lane, stream=True))
        assert len(provider.asked) == 1
        assert first.last_error["code"] == "stream_incomplete" == joined.last_error["code"]
        assert is_replayed(again) and data(again) == data(first)
        assert sum(row.cost_picousd > 0 for row in lane.journal.appended) == 1

    run(scenario)


LONG = (role(), text("Hello"), 5.0, text(" there"), stop("stop"), DONE)


def test_a_client_that_leaves_alone_leaves_the_key_free() -> None:
    async def scenario() -> None:
        lane, provider = corridor(scripted.stream(*LONG))
        await lane.visit(keyed(lane, stream=True), pieces=1)
        await lane.idempotency.finish()
        assert await lane.keys.read(next(iter(lane.keys._requests), b"")) is None
        assert not is_replayed(await lane.visit(keyed(lane, stream=True)))
        assert len(provider.asked) == 2

    run(scenario)


def test_what_others_wait_for_outlives_its_client() -> None:
    async def scenario() -> None:
        lane, provider = corridor(scripted.stream(*LONG))
        call = keyed(lane, stream=True)
        leader = asyncio.ensure_future(lane.visit(call))
        await asyncio.sleep(1)
        waiting = asyncio.ensure_future(lane.visit(keyed(lane, stream=True)))
        await asyncio.sleep(1)
        assert lane.pipeline.outlives(call.id, leader.cancel)
        assert not lane.pipeline.outlives("somebody", leader.cancel)
        assert is_replayed(await waiting)
        await leader
        assert is_replayed(await lane.visit(keyed(lane, stream=True))) and len(provider.asked) == 1

    run(scenario)


def test_a_result_that_cannot_be_kept_is_not_answered_twice() -> None:
    async def scenario() -> None:
        lane, provider = corridor(scripted.answer("x" * 2_000), idempotency=IdempotencyRules(max_result_bytes=1_000))
        assert (await lane.visit(keyed(lane))).error is None
        again = await lane.visit(keyed(lane))
        assert isinstance(again.error, IdempotentResultNotKept) and len(provider.asked) == 1

    run(scenario)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [("Your key is sk-proj-a1B2c3D4e5F6g7H8", False), ("Pay to DE89370400440532013000", False), ("Ask a@b.com", True)],
)
def test_secrets_and_what_is_never_kept_are_not_kept_here_either(answer: str, kept: bool) -> None:
    async def scenario() -> None:
        lane, _ = corridor(scripted.answer(answer), pii=Rules(never=frozenset({PiiClass.IBAN})))
        await lane.visit(keyed(lane))
        (request,) = lane.keys._requests.values()
        assert request.result is not None and request.result.is_left_out is not kept
        assert (answer.encode() in request.result.body) is kept

    run(scenario)


def test_an_answer_of_the_cache_needs_no_result() -> None:
    async def scenario() -> None:
        caches = {"small": CacheRules(ExactRules(), models=frozenset({"small"}))}
        lane, provider = corridor(scripted.answer(), caches=caches)
        await lane.visit(lane.call(stream=False))
        cached = await lane.visit(keyed(lane))
        await lane.idempotency.finish()
        again = await lane.visit(keyed(lane))
        assert cached.head and again.head
        assert (cached.head.cache, again.head.cache, len(provider.asked)) == ("exact", "exact", 1)
        assert json.loads(cached.body) == json.loads(again.body)

    run(scenario)
