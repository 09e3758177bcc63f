"""Deadlines: first token, stall, total; whose waiting counts, and whose does not."""

from __future__ import annotations

import asyncio

import pytest

from headgate.errors import Draining, FirstTokenTimeout, TotalTimeout
from headgate.types import Outcome
from tests.gateway.corridor import PROMPT_TOKENS, Corridor, deployment, model, run
from tests.gateway.scripted import SILENCE, Reply, ScriptedProvider, answer, refuse, stream
from tests.wire.chunks import ANSWER, DONE, role, stop, text


@pytest.mark.parametrize(
    "slow",
    [
        stream(seconds_before=SILENCE),
        stream(SILENCE),
        stream(role(), SILENCE),
        stream(*[b": still there\n\n", 1.0] * 100),
        Reply([SILENCE], status=500),
    ],
)
def test_no_content_within_first_token_seconds(slow: Reply) -> None:
    async def scenario() -> None:
        up = ScriptedProvider(slow)
        corridor = Corridor(model(deployment(up), first_token_seconds=5.0, retries=0))
        visit = await corridor.visit()
        assert isinstance(visit.error, FirstTokenTimeout) and "5 seconds" in visit.error.message
        assert corridor.clock.monotonic() == pytest.approx(5.0)
        assert corridor.record.outcome is Outcome.FAILED and corridor.at_rest()
        assert corridor.deployment("up/model").breaker.consecutive_failures == 1

    run(scenario)


def test_each_attempt_has_its_own_first_token_seconds() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(stream(SILENCE), stream(4.9, ANSWER, DONE))
        corridor = Corridor(model(deployment(up), first_token_seconds=5.0, retries=1))
        assert (await corridor.visit()).body.startswith(ANSWER)
        assert corridor.outcomes == ["up/model 200", "up/model 200"]
        assert [attempt.error for attempt in corridor.record.attempts] == ["upstream_first_token_timeout", ""]

    run(scenario)


def test_a_json_answer_has_the_total_time() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(answer(seconds_before=50.0))
        corridor = Corridor(model(deployment(up), first_token_seconds=5.0, stall_seconds=5.0, total_seconds=60.0))
        assert (await corridor.visit(corridor.call(stream=False))).error is None

    run(scenario)


def test_total_seconds_cover_all_attempts_and_end_the_last_one() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(refuse(500), answer(seconds_before=SILENCE))
        corridor = Corridor(model(deployment(up), total_seconds=8.0))
        visit = await corridor.visit(corridor.call(stream=False))
        assert isinstance(visit.error, TotalTimeout)
        assert corridor.clock.monotonic() == pytest.approx(8.0)
        assert (corridor.record.status, corridor.record.error) == (504, "upstream_total_timeout")
        assert len(up.asked) == 2 and corridor.at_rest()

    run(scenario)


def test_total_seconds_end_a_stream_that_never_stalls() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(stream(*[text("a"), 1.0] * 100))
        corridor = Corridor(model(deployment(up), total_seconds=10.5))
        visit = await corridor.visit()
        assert visit.last_error["code"] == "upstream_total_timeout" and len(visit.pieces) == 12
        assert corridor.clock.monotonic() == pytest.approx(10.5)
        assert corridor.record.usage.output == 11
        assert corridor.deployment("up/model").breaker.consecutive_failures == 0, "long, but not sick"

    run(scenario)


def test_a_stalled_stream_ends_typed_and_what_was_generated_is_billed() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(stream(role(), text("Hello"), 2.9, text(" you"), SILENCE))
        corridor = Corridor(model(deployment(up), stall_seconds=3.0))
        visit = await corridor.visit()
        assert visit.pieces[0] == role() + text("Hello") and visit.pieces[1] == text(" you")
        assert visit.last_error["code"] == "stream_stalled"
        assert corridor.clock.monotonic() == pytest.approx(5.9)
        assert (corridor.record.outcome, corridor.record.status) == (Outcome.FAILED, 504)
        assert (corridor.record.usage.input, corridor.record.usage.output) == (PROMPT_TOKENS, 9)
        assert corridor.at_rest()

    run(scenario)


def test_a_slow_client_is_no_stalled_provider() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(stream(text("a"), text("b"), stop(), DONE))
        corridor = Corridor(model(deployment(up), first_token_seconds=1.0, stall_seconds=1.0))
        visit = await corridor.visit(slowly=7.0)
        assert visit.body.startswith(text("a") + text("b") + stop()) and visit.body.endswith(DONE)
        assert corridor.record.outcome is Outcome.DONE

    run(scenario)


def test_backpressure_reaches_the_provider() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(stream(*[text("a")] * 50, stop(), DONE))
        corridor = Corridor(model(deployment(up)))
        reading = asyncio.create_task(corridor.visit(slowly=1.0))
        await asyncio.sleep(4.5)
        assert up.responses[0].reads <= 5, "what nobody takes is not read"
        reading.cancel()
        await asyncio.wait([reading])

    run(scenario)


def test_the_total_time_of_a_slow_client_is_told_when_it_comes_back() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(stream(*[text("a")] * 9, stop(), DONE))
        corridor = Corridor(model(deployment(up), total_seconds=5.0))
        visit = await corridor.visit(slowly=2.0)
        assert visit.last_error["code"] == "upstream_total_timeout"
        assert corridor.record.outcome is Outcome.FAILED and corridor.at_rest()
        assert corridor.deployment("up/model").breaker.consecutive_failures == 0, "the client was slow"

    run(scenario)


# --- the process ends ---


def draining() -> Draining:
    return Draining("This process is shutting down.")


@pytest.mark.parametrize(
    ("reply", "stream_it"),
    [(stream(SILENCE), True), (stream(seconds_before=SILENCE), True), (answer(seconds_before=SILENCE), False)],
)
def test_an_interruption_ends_waiting_for_the_first_content(reply: Reply, stream_it: bool) -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(reply))))
        visiting = asyncio.create_task(corridor.visit(corridor.call(stream=stream_it)))
        await asyncio.sleep(1.0)
        corridor.pipeline.interrupt(draining)
        visit = await visiting
        assert isinstance(visit.error, Draining) and corridor.clock.monotonic() == 1.0
        assert (corridor.record.outcome, corridor.record.status) == (Outcome.FAILED, 503)
        assert corridor.deployment("up/model").breaker.consecutive_failures == 0, "not the provider's fault"
        assert corridor.at_rest()

    run(scenario)


def test_an_interruption_ends_a_stream_with_a_typed_event_and_bills_it() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(stream(text("Hello"), SILENCE)))))
        visiting = asyncio.create_task(corridor.visit())
        await asyncio.sleep(1.0)
        corridor.pipeline.interrupt(draining)
        visit = await visiting
        assert visit.last_error["code"] == "draining"
        assert corridor.record.usage.output == 5 and corridor.at_rest()

    run(scenario)


def test_an_interruption_ends_the_wait_between_two_attempts() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(refuse(429, retry_after="30"), answer())
        corridor = Corridor(model(deployment(up)))
        visiting = asyncio.create_task(corridor.visit(corridor.call(stream=False)))
        await asyncio.sleep(1.0)
        corridor.pipeline.interrupt(draining)
        visit = await visiting
        assert isinstance(visit.error, Draining) and corridor.clock.monotonic() == 1.0
        assert len(corridor.record.attempts) == 1, "what was never sent is no attempt"
        assert corridor.record.cost_picousd == 0

    run(scenario)


def test_an_interruption_leaves_a_client_that_is_being_served_alone_until_it_comes_back() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(stream(text("a"), text("b"), stop(), DONE)))))
        visiting = asyncio.create_task(corridor.visit(slowly=5.0))
        await asyncio.sleep(7.0)
        corridor.pipeline.interrupt(draining)
        visit = await visiting
        assert visit.pieces[0] == text("a") and visit.last_error["code"] == "draining"

    run(scenario)


def test_an_interruption_before_the_client_began_to_read_cancels_nobody() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(stream(text("a"), SILENCE)))))
        visiting = asyncio.create_task(corridor.visit(slowly=5.0))
        await asyncio.sleep(1.0)
        corridor.pipeline.interrupt(draining)
        assert (await visiting).last_error["code"] == "draining"

    run(scenario)


def test_an_interruption_while_settling_cancels_nobody() -> None:
    async def scenario() -> None:
        for members in ({"stream": True}, {"stream": False}):
            up = ScriptedProvider(stream() if members["stream"] else answer(usage=None))
            corridor = Corridor(model(deployment(up)))
            corridor.counter.seconds = 2.0
            visiting = asyncio.create_task(corridor.visit(corridor.call(**members)))
            await asyncio.sleep(1.0)
            corridor.pipeline.interrupt(draining)
            visit = await visiting
            assert visit.error is None and corridor.record.outcome is Outcome.DONE

    run(scenario)
