"""Deployments whose API has no word for a member of the request: who is asked instead, and what the caller is told."""

from __future__ import annotations

import json

from headgate.errors import NoDeployment, Untranslatable, UpstreamRejected
from headgate.gateway.fleet import DeploymentPlan
from headgate.types import Call, Route
from headgate.wire.openai import CallHeaders, parse_call
from tests.gateway.corridor import CHAT, Corridor, deployment, model, run
from tests.gateway.scripted import ScriptedProvider, answer, refuse


def claude(name: str) -> DeploymentPlan:
    """A deployment that has no word for `seed`."""
    return deployment(ScriptedProvider(answer(), name=name, kind="anthropic"))


def seeded(corridor: Corridor) -> Call:
    """A call that nothing but `seed` is in the way of."""
    return parse_call(Route.CHAT, json.dumps({**CHAT, "seed": 7}).encode(), corridor.clock.new_id("req"), CallHeaders())


def test_before_any_attempt_the_caller_is_told_and_no_fallback_is_asked() -> None:
    async def scenario() -> None:
        large = ScriptedProvider(answer(), name="l")
        corridor = Corridor(model(claude("a"), fallback=("large",)), model(deployment(large), name="large"))
        visit = await corridor.visit(seeded(corridor))
        assert isinstance(visit.error, Untranslatable) and visit.error.param == "seed"
        assert not large.asked

    run(scenario)


def test_another_deployment_of_the_model_may_have_a_word_for_it() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(answer())
        corridor = Corridor(model(claude("a"), deployment(up)))
        for _ in range(4):
            assert (await corridor.visit(seeded(corridor))).error is None
        assert len(up.asked) == 4

    run(scenario)


def test_after_a_failed_attempt_a_fallback_without_a_word_is_passed_by() -> None:
    async def scenario() -> None:
        small, large = ScriptedProvider(refuse(500), name="s"), ScriptedProvider(answer(), name="l")
        corridor = Corridor(
            model(deployment(small), retries=0, fallback=("medium", "large")),
            model(claude("a"), claude("b"), name="medium"),
            model(deployment(large), name="large"),
        )
        visit = await corridor.visit(seeded(corridor))
        assert visit.error is None and visit.head is not None and visit.head.model == "large"
        assert corridor.outcomes == ["s/model 500", "l/model 200"]

    run(scenario)


def test_when_nothing_is_left_the_failure_is_told_and_not_what_a_fallback_lacks() -> None:
    async def scenario() -> None:
        small = ScriptedProvider(refuse(500, message="on fire"), name="s")
        corridor = Corridor(
            model(deployment(small), retries=0, fallback=("medium",)), model(claude("a"), name="medium")
        )
        visit = await corridor.visit(seeded(corridor))
        assert isinstance(visit.error, UpstreamRejected) and visit.error.words == "on fire"
        assert corridor.outcomes == ["s/model 500"]
        assert corridor.at_rest()

    run(scenario)


def test_a_model_that_is_switched_off_is_not_told_of_in_the_words_of_its_fallback() -> None:
    async def scenario() -> None:
        small = ScriptedProvider(refuse(500), name="s")
        corridor = Corridor(
            model(deployment(small), retries=9, fallback=("medium",)), model(claude("a"), name="medium")
        )
        await corridor.visit(seeded(corridor))
        asked = len(small.asked)
        visit = await corridor.visit(seeded(corridor))
        assert isinstance(visit.error, NoDeployment) and len(small.asked) == asked, "its breaker is open"

    run(scenario)
