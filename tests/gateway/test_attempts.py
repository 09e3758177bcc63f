"""Attempts before the commit point: again, elsewhere, another model, or an honest error."""

from __future__ import annotations

import pytest

from headgate.errors import (
    ConnectTimeout,
    HeadgateError,
    NoDeployment,
    StreamFailed,
    StreamIncomplete,
    StreamMalformed,
    UpstreamAuth,
    UpstreamBusy,
    UpstreamEmpty,
    UpstreamRejected,
    UpstreamUnreachable,
)
from headgate.policy.retrying import FIRST_BACKOFF_SECONDS
from headgate.types import Caller, Outcome, Tier
from tests.gateway.corridor import Corridor, deployment, model, run
from tests.gateway.scripted import JSON, Reply, ScriptedProvider, answer, fail, refuse, stream
from tests.wire.chunks import ANSWER, DONE, choice, chunk, event, role, stop


def test_a_first_attempt_that_goes_well_is_the_only_one() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(stream())
        corridor = Corridor(model(deployment(up)))
        visit = await corridor.visit()
        assert visit.body == ANSWER + b": x-headgate-cost-usd=0.000000122\n\n" + DONE
        assert visit.head is not None and visit.head.attempts == "up/model 200"
        assert (visit.head.model, visit.head.provider, visit.head.deployment) == ("small", "up", "up/model")
        assert len(up.asked) == 1 and up.asked[0].body["model"] == "their-model"
        assert corridor.record.outcome is Outcome.DONE and corridor.at_rest()

    run(scenario)


@pytest.mark.parametrize(
    "failure",
    [
        refuse(500), refuse(503), refuse(529), refuse(408), refuse(409),
        fail(UpstreamUnreachable("x")), fail(ConnectTimeout("x")), fail(UpstreamBusy("x")), fail(StreamIncomplete("x")),
        stream(b""), stream(DONE), stream(role() + DONE), stream(b"data: {\n\n"), stream(event({"error": "x"})),
        stream(chunk(choice({}, "abort"))), stream(role(), StreamIncomplete("cut")),
        Reply([b""]), Reply([b"{}"], headers=JSON), Reply([], headers=JSON), Reply([], headers={}),
    ],
    ids=lambda reply: type(reply.error).__name__ if reply.error else f"{reply.status}-{len(reply.steps)}",
)  # fmt: skip
def test_what_may_go_away_is_tried_again_after_a_jittered_wait(failure: Reply) -> None:
    async def scenario() -> None:
        up = ScriptedProvider(failure, failure, stream())
        corridor = Corridor(model(deployment(up)))
        visit = await corridor.visit()
        assert visit.body.startswith(ANSWER) and visit.error is None
        waits = [later.at - sooner.at for sooner, later in zip(up.asked, up.asked[1:], strict=False)]
        assert 0 < waits[0] < FIRST_BACKOFF_SECONDS and 0 < waits[1] < 2 * FIRST_BACKOFF_SECONDS
        assert [attempt.outcome for attempt in corridor.record.attempts] == ["failed", "failed", "done"]
        assert [attempt.number for attempt in corridor.record.attempts] == [1, 2, 3]
        assert [attempt.cost_picousd for attempt in corridor.record.attempts[:2]] == [0, 0]
        assert corridor.at_rest()

    run(scenario)


def test_the_waits_differ_from_request_to_request() -> None:
    async def scenario() -> None:
        waits = set()
        for seed in range(5):
            up = ScriptedProvider(refuse(500), answer())
            corridor = Corridor(model(deployment(up)), seed=seed)
            await corridor.visit(corridor.call(stream=False))
            waits.add(up.asked[1].at - up.asked[0].at)
        assert len(waits) == 5

    run(scenario)


def test_retry_after_is_honoured() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(refuse(429, retry_after="3"), refuse(503, retry_after="5"), answer())
        corridor = Corridor(model(deployment(up)))
        assert (await corridor.visit(corridor.call(stream=False))).error is None
        first, second, third = (asked.at for asked in up.asked)
        assert 3 <= second - first < 3 + FIRST_BACKOFF_SECONDS
        assert 5 <= third - second < 5 + FIRST_BACKOFF_SECONDS

    run(scenario)


def test_retry_after_beyond_the_deadline_is_told_to_the_caller_at_once() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(refuse(429, retry_after="30", message="slow down"))
        corridor = Corridor(model(deployment(up), total_seconds=20.0))
        visit = await corridor.visit()
        assert isinstance(visit.error, UpstreamRejected) and visit.error.retry_after_seconds == 30
        assert b"slow down" in visit.error.body
        assert corridor.clock.monotonic() == 0 and len(up.asked) == 1
        assert (corridor.record.outcome, corridor.record.status) == (Outcome.FAILED, 429)

    run(scenario)


def test_when_the_retries_are_used_up_the_last_error_is_told() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(refuse(500), refuse(502), refuse(503, message="the third"))
        corridor = Corridor(model(deployment(up), retries=2))
        visit = await corridor.visit()
        assert isinstance(visit.error, UpstreamRejected) and "the third" in visit.error.message
        assert visit.error.attempts == "up/model 500, up/model 502, up/model 503"
        assert corridor.outcomes == ["up/model 500", "up/model 502", "up/model 503"]
        assert corridor.at_rest()

    run(scenario)


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_what_the_caller_did_wrong_is_told_at_once_and_tried_nowhere_else(status: int) -> None:
    async def scenario() -> None:
        up, other = ScriptedProvider(refuse(status)), ScriptedProvider(name="other")
        corridor = Corridor(
            model(deployment(other), deployment(up), fallback=("large",)), model(deployment(other), name="large")
        )
        visit = await corridor.visit()
        assert isinstance(visit.error, UpstreamRejected) and visit.error.upstream_status == status
        assert not other.asked and len(up.asked) == 1
        assert (corridor.record.outcome, corridor.record.status) == (Outcome.REJECTED, status)
        assert corridor.deployment("up/model").breaker.window_failures == 0

    run(scenario)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (stream(DONE), UpstreamEmpty),
        (Reply([], headers=JSON), UpstreamEmpty),
        (Reply([b'{"choices": []}'], headers=JSON), StreamMalformed),
        (stream(event({"error": {"message": "boom"}})), StreamFailed),
        (stream(b"data: {]\n\n"), StreamMalformed),
        (refuse(401), UpstreamAuth),
        (refuse(302), StreamMalformed),
    ],
)
def test_each_failure_has_its_name(reply: Reply, kind: type[HeadgateError]) -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(reply)), retries=0))
        visit = await corridor.visit()
        assert type(visit.error) is kind
        assert corridor.record.error == kind.code and corridor.record.outcome is Outcome.FAILED

    run(scenario)


def test_json_failures_have_their_names_too() -> None:
    async def scenario() -> None:
        replies: dict[type[HeadgateError], Reply] = {
            UpstreamEmpty: Reply([b' {"choices": []}'], headers=JSON),
            StreamMalformed: Reply([b"<html>"], headers=JSON),
            StreamFailed: Reply([b'{"error": {"message": "boom"}}'], headers=JSON),
            StreamIncomplete: Reply([b'{"choices": [', StreamIncomplete("cut")], headers=JSON),
        }
        for kind, reply in replies.items():
            corridor = Corridor(model(deployment(ScriptedProvider(reply)), retries=0))
            assert type((await corridor.visit(corridor.call(stream=False))).error) is kind
        corridor = Corridor(model(deployment(ScriptedProvider(stream())), retries=0))
        assert type((await corridor.visit(corridor.call(stream=False))).error) is StreamMalformed

    run(scenario)


# --- elsewhere ---


def test_the_next_deployment_comes_when_the_retries_are_used_up() -> None:
    async def scenario() -> None:
        bad, good = ScriptedProvider(refuse(500), name="bad"), ScriptedProvider(answer(), name="good")
        corridor = Corridor(model(deployment(good), deployment(bad), retries=1))
        visit = await corridor.visit(corridor.call(stream=False))
        assert corridor.outcomes == ["bad/model 500", "bad/model 500", "good/model 200"]
        assert visit.head is not None and visit.head.attempts == ", ".join(corridor.outcomes)
        assert visit.head.provider == "good"

    run(scenario)


def test_a_deployment_that_asks_for_patience_is_passed_by() -> None:
    async def scenario() -> None:
        busy, free = (
            ScriptedProvider(refuse(429, retry_after="9"), name="busy"),
            ScriptedProvider(answer(), name="free"),
        )
        corridor = Corridor(model(deployment(free), deployment(busy)))
        await corridor.visit(corridor.call(stream=False))
        assert corridor.outcomes == ["busy/model 429", "free/model 200"] and corridor.clock.monotonic() == 0

    run(scenario)


def test_fallback_models_come_in_order_and_their_name_is_told() -> None:
    async def scenario() -> None:
        small, medium = ScriptedProvider(refuse(500), name="s"), ScriptedProvider(refuse(500), name="m")
        large = ScriptedProvider(answer(), name="l")
        corridor = Corridor(
            model(deployment(small), retries=0, fallback=("medium", "large")),
            model(deployment(medium), name="medium", retries=1),
            model(deployment(large), name="large"),
        )
        visit = await corridor.visit(corridor.call(stream=False))
        assert corridor.outcomes == ["s/model 500", "m/model 500", "m/model 500", "l/model 200"]
        assert visit.head is not None and visit.head.model == "large"
        assert (corridor.record.model, corridor.record.deployment) == ("small", "l/model")

    run(scenario)


def test_fallbacks_are_those_of_the_tier() -> None:
    async def scenario() -> None:
        small, large = ScriptedProvider(refuse(500), name="s"), ScriptedProvider(answer(), name="l")
        corridor = Corridor(
            model(deployment(small), retries=0, fallback=("large",)), model(deployment(large), name="large")
        )
        free = Caller("key_2", "hobby", None, Tier("free", frozenset({"small"})))
        visit = await corridor.visit(caller=free)
        assert isinstance(visit.error, UpstreamRejected) and not large.asked

    run(scenario)


def test_a_real_model_never_falls_back_to_a_simulated_one() -> None:
    async def scenario() -> None:
        real, toy = ScriptedProvider(refuse(500), name="r"), ScriptedProvider(answer(), name="t", kind="sim")
        corridor = Corridor(
            model(deployment(real), retries=0, fallback=("toy", "gone")),
            model(deployment(toy), name="toy", fallback=("small",)),
        )
        assert isinstance((await corridor.visit()).error, UpstreamRejected)
        assert not toy.asked

    run(scenario)


def test_an_open_breaker_sends_a_request_to_the_fallback_at_once() -> None:
    async def scenario() -> None:
        small, large = ScriptedProvider(refuse(500), name="s"), ScriptedProvider(answer(), name="l")
        corridor = Corridor(
            model(deployment(small), retries=9, fallback=("large",)), model(deployment(large), name="large")
        )
        await corridor.visit(corridor.call(stream=False))
        asked = len(small.asked)
        assert asked == 5, "so many failures in a row open the breaker"
        await corridor.visit(corridor.call(stream=False))
        assert len(small.asked) == asked and len(large.asked) == 2

    run(scenario)


def test_when_everything_is_switched_off_the_caller_is_told_when_to_come_again() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(refuse(500))
        corridor = Corridor(model(deployment(up), retries=9))
        await corridor.visit()
        visit = await corridor.visit()
        assert isinstance(visit.error, NoDeployment) and visit.error.retry_after_seconds is not None
        assert visit.error.retry_after_seconds == pytest.approx(15)
        refused = corridor.journal.appended[-1]
        assert (refused.outcome, refused.status, refused.attempts) == (Outcome.REFUSED, 503, ())

    run(scenario)


def test_a_model_without_a_reachable_endpoint_has_no_deployment() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(), endpoints=())))
        assert isinstance((await corridor.visit()).error, NoDeployment)

    run(scenario)


def test_endpoints_take_turns() -> None:
    async def scenario() -> None:
        up = ScriptedProvider()
        corridor = Corridor(model(deployment(up, endpoints=("http://one", "http://two"))))
        for _ in range(4):
            await corridor.visit()
        assert sorted(asked.endpoint for asked in up.asked) == ["http://one"] * 2 + ["http://two"] * 2

    run(scenario)


def test_nothing_follows_after_the_commit_point() -> None:
    async def scenario() -> None:
        up, other = ScriptedProvider(stream(role() + ANSWER, StreamIncomplete("cut"))), ScriptedProvider(name="other")
        corridor = Corridor(
            model(deployment(other), deployment(up), fallback=("large",)), model(deployment(other), name="large")
        )
        visit = await corridor.visit()
        assert len(up.asked) == 1 and not other.asked
        assert visit.last_error["code"] == "stream_incomplete"

    run(scenario)


def test_a_finish_reason_alone_is_an_answer() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(stream(role() + stop("content_filter") + DONE)))))
        assert (await corridor.visit()).error is None
        assert corridor.record.outcome is Outcome.DONE

    run(scenario)
