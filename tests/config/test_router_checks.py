"""What is wrong with a router."""

from __future__ import annotations

import pytest

from headgate.config.problems import line_of
from tests.config.reading import errors, read

BASE = """\
providers: {sim: {kind: sim}}
models:
  a: {price: free, deployments: [{provider: sim, model: x}]}
  b: {price: free, deployments: [{provider: sim, model: y}]}
tiers: {pro: {models: ["*"]}}
routers:
"""


@pytest.mark.parametrize(
    ("router", "said"),
    [
        ("{from: []}", "routers.auto.from: there are no models to choose from; name them, the cheapest first"),
        ("{from: [a, a]}", "routers.auto.from[1]: named twice; remove it"),
        ("{from: [a], weights: {b: 1}}", 'routers.auto.weights.b: "b" is not one of the router\'s models'),
        ("{from: [a], weights: {a: 0}}", "routers.auto.weights: every weight is 0"),
        ("{from: [a], flags: [{model: b}]}", 'routers.auto.flags[0].model: "b" is not one of the router\'s models'),
        ("{from: [a], flags: [{model: a, tiers: [free]}]}", 'routers.auto.flags[0].tiers[0]: there is no tier "free"'),
        ("{from: [a], shadow: {judge: c}}", 'routers.auto.shadow.judge: there is no model "c"'),
        ("{from: [a], escalate: {check_with: c}}", 'routers.auto.escalate.check_with: there is no model "c"'),
        ("{from: [a], cost_quality: 2}", "routers.auto.cost_quality: expected a number"),
    ],
)
def test_what_cannot_be(router: str, said: str) -> None:
    (found,) = errors(f"{BASE}  auto: {router}\n")
    assert said in found


@pytest.mark.parametrize(
    ("router", "said"),
    [
        ("{from: [a], target: {quality: 0.9}, cost_quality: 0.1}", "exclude each other"),
        ("{from: [a], shadow: {share: 0.1}}", "has no effect without max_usd_per_day"),
    ],
)
def test_what_is_not_as_it_looks(router: str, said: str) -> None:
    assert any(said in line_of(found) for found in read(f"{BASE}  auto: {router}\n").notes)


def test_the_operators_tenant_is_nobody_elses() -> None:
    (found,) = errors(f"{BASE}  auto: {{from: [a]}}\ntenants: {{headgate: {{tier: pro}}}}\n")
    assert "tenants.headgate: shadow runs of routers are booked for this tenant" in found
