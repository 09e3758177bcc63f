"""What is wrong with cache points, and what becomes of them."""

from __future__ import annotations

import pytest

from headgate.assembly.parts import Assembly, caches
from headgate.cache_types import ProviderCacheRules
from headgate.clock import SystemClock
from headgate.config.problems import line_of
from tests.config.reading import config, errors, read

PROVIDERS = """\
providers:
  claude: {kind: anthropic, api_key: x}
  gpt: {kind: openai, api_key: x, base_url: "http://one/v1"}
models:
"""


def model(points: str, provider: str = "claude") -> str:
    deployment = f"{{provider: {provider}, model: m, price: {{input: 1, output: 2}}}}"
    return f"{PROVIDERS}  a: {{deployments: [{deployment}], cache: {{provider: {points}}}}}\n"


def test_they_become_the_deployments_rules() -> None:
    rules = {}
    for provider in ("claude", "gpt"):
        text = model("{points: [tools, history], ttl: 1h, min_tokens: 2048}", provider)
        setup = Assembly(SystemClock(), {}).setup(config(text), "hash", None)
        rules[provider] = setup.models["a"].deployments[0].spec.cache_points
        assert bool(setup.models["a"].cache_points) is (provider == "claude")
    points = ProviderCacheRules(tools=True, system=False, history=True, ttl="1h", least_bytes=8192)
    assert rules == {"claude": points, "gpt": None}


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ("{points: []}", "models.a.cache.provider.points: there are none; name some of tools, system, history"),
        ("{}", "points"),
        ("{points: [all]}", "models.a.cache.provider.points[0]"),
        ("{points: [tools], ttl: 2h}", "models.a.cache.provider.ttl"),
        ("{points: [tools], min_tokens: -1}", "models.a.cache.provider.min_tokens"),
    ],
)
def test_what_cannot_be(points: str, said: str) -> None:
    (found,) = errors(model(points))
    assert said in found


@pytest.mark.parametrize(
    ("cache", "kept_seconds", "warns"),
    [
        ("{semantic: {ttl_seconds: 7200}}", 7200, False),
        ("{exact: {ttl_seconds: 600}, semantic: {ttl_seconds: 600}}", 600, False),
        ("{exact: {ttl_seconds: 600}, semantic: {ttl_seconds: 601}}", 600, True),
        ("{exact: {ttl_seconds: 600}}", 600, False),
    ],
)
def test_answers_are_kept_for_as_long_as_they_may_be_given(cache: str, kept_seconds: float, warns: bool) -> None:
    text = model("{points: [tools]}").replace("{provider: {points: [tools]}}", cache)
    text += f"routers: {{auto: {{from: [a], cache: {cache}}}}}\n"
    rules = caches(config(text))
    assert [one.exact and one.exact.ttl_seconds for one in rules.values()] == [kept_seconds] * 2
    said = [line_of(found) for found in read(text).notes if "has no effect beyond exact.ttl_seconds" in line_of(found)]
    assert ["models.a" in said[0], "routers.auto" in said[1]] == [True, True] if warns else said == []


def test_a_router_has_none_of_its_own() -> None:
    text = model("{points: [tools]}") + "routers: {auto: {from: [a], cache: {provider: {points: [tools]}}}}\n"
    (found,) = errors(text)
    assert "routers.auto.cache.provider: a router has no provider of its own; set it at the router's models" in found


def test_others_cache_by_themselves() -> None:
    said = "models.a.cache.provider: has no effect: only providers of the kinds anthropic and bedrock take cache points"
    assert any(said in line_of(found) for found in read(model("{points: [tools]}", "gpt")).notes)
    assert not any(said in line_of(found) for found in read(model("{points: [tools]}")).notes)
