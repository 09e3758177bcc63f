"""From plans to deployments: what stays the same across a reload keeps its life."""

from __future__ import annotations

import asyncio

import msgspec

from headgate.gateway.fleet import DeploymentPlan, ModelSpec, Setup, assemble
from headgate.policy.health import Breaker, Gate
from headgate.policy.quota import Demand
from tests.gateway.corridor import Corridor, deployment, model, run
from tests.gateway.scripted import ScriptedProvider, stream
from tests.wire.chunks import DONE, stop, text


def plan(name: str = "up/model", **more: object) -> DeploymentPlan:
    return deployment(ScriptedProvider(), name, **more)


def setup(*models: tuple[ModelSpec, list[DeploymentPlan]], previous: Setup | None = None) -> Setup:
    return Setup(models=assemble(dict(models), previous), config_hash="x")


def test_a_deployment_that_stayed_the_same_is_the_same() -> None:
    before = setup((ModelSpec("small"), [plan()]))
    kept = before.models["small"].deployments[0]
    kept.breaker, kept.tokens_in_flight = Breaker(opened_at=1.0), 40
    after = setup((ModelSpec("small", retries=7), [plan()]), previous=before)
    assert after.models["small"].deployments[0] is kept
    assert after.models["small"].spec.retries == 7 and before.models["small"].spec.retries == 2


def test_any_change_of_a_deployment_makes_a_new_one() -> None:
    before = setup((ModelSpec("small"), [plan()]))
    for change in ({"weight": 2.0}, {"connection": "other"}, {"endpoints": ("http://two",)}, {"upstream_model": "x"}):
        after = setup((ModelSpec("small"), [plan(**change)]), previous=before)
        assert after.models["small"].deployments[0] is not before.models["small"].deployments[0]
        assert after.models["small"].deployments[0].provider is not before.models["small"].deployments[0].provider


def test_a_provider_is_made_only_when_it_is_needed() -> None:
    made = []

    def counting() -> DeploymentPlan:
        return msgspec.structs.replace(plan(), make_provider=lambda: made.append(1) or ScriptedProvider())

    before = setup((ModelSpec("small"), [counting()]), (ModelSpec("large"), [counting()]))
    setup((ModelSpec("small"), [counting()]), previous=before)
    assert len(made) == 1


def test_models_share_a_deployment_that_is_the_same() -> None:
    both = setup((ModelSpec("small"), [plan(), plan("up/other")]), (ModelSpec("large"), [plan()]))
    assert both.models["small"].deployments[0] is both.models["large"].deployments[0]
    assert [found.spec.name for found in both.deployments()] == ["up/model", "up/other"]


def test_a_request_under_way_keeps_the_setup_it_began_with() -> None:
    async def scenario() -> None:
        old = ScriptedProvider(stream(text("a"), 5.0, stop(), DONE))
        corridor = Corridor(model(deployment(old)))
        visiting = asyncio.create_task(corridor.visit())
        await asyncio.sleep(1.0)
        corridor.pipeline.setup = Setup(models={}, config_hash="later")
        visit = await visiting
        assert visit.error is None and corridor.record.config_hash == "c0ffee"
        assert (await corridor.visit()).error is not None
        assert corridor.journal.appended[-1].config_hash == "later"

    run(scenario)


def test_what_is_simulated() -> None:
    toy, real = plan("t", kind="sim"), plan("r")
    models = setup((ModelSpec("toy"), [toy]), (ModelSpec("mixed"), [toy, real]), (ModelSpec("real"), [real])).models
    assert models["toy"].simulated and models["mixed"].simulated and not models["real"].simulated


def test_what_routing_sees() -> None:
    served = setup((ModelSpec("small"), [plan("a", weight=2.0), plan("b"), plan("c", endpoints=()), plan("d")])).models[
        "small"
    ]
    served.deployments[1].breaker = Breaker(opened_at=0.0)
    served.deployments[0].begin(Demand(10, 20), "key-1", 0.0)
    seen = served.candidates(1.0, frozenset({3}))
    assert [candidate.usable for candidate in seen] == [True, False, False, False]
    assert (seen[0].weight, seen[0].tokens_in_flight) == (2.0, 30)
    assert served.deployments[1].gate(100.0) is Gate.HALF_OPEN
