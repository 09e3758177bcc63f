"""What is held for a request whose prompt a provider may write to its cache."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headgate.cache_types import ProviderCacheRules
from headgate.gateway import asking
from headgate.gateway.fleet import assemble
from headgate.types import Call, Price, Route
from tests.gateway.corridor import deployment, model
from tests.gateway.scripted import ScriptedProvider

PRICE = Price(input=100, output=500, cached_input=10, cache_write=125, cache_write_1h=200)
FIVE_MINUTES, AN_HOUR = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}
SYSTEM = [{"type": "text", "text": "Be brief. " * 20}]


def held(
    points: ProviderCacheRules | None = None, *, tokens: int = 10, route: Route = Route.MESSAGES, **members: Any
) -> int:
    """For a prompt of so many tokens."""
    plan = model(deployment(ScriptedProvider(), price=PRICE, cache_points=points))
    served = assemble(dict([plan]), None)["small"]
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in members.items()}
    call = Call("req_1", route, "small", False, fields, 0)
    return asking.ask(call, served, input_tokens=tokens, output_tokens=0).input_picousd


def test_a_plain_prompt_is_held_at_the_price_of_input() -> None:
    assert held(messages=[]) == 1_000


def test_points_that_the_operator_asks_for_may_be_written() -> None:
    assert held(ProviderCacheRules(system=True), messages=[]) == 1_250


@pytest.mark.parametrize(
    "marked",
    [
        {"cache_control": {"type": "ephemeral"}},
        {"messages": [{"content": [{"type": "text", "cache_control": {"type": "ephemeral"}}]}]},
        {"input": [{"content": [{"type": "input_text", "prompt_cache_breakpoint": {}}]}]},
    ],
)
def test_points_of_the_caller_too(marked: dict[str, Any]) -> None:
    assert held(**marked) == 1_250


def test_only_an_hour_is_held_at_the_price_of_an_hour() -> None:
    assert held(ProviderCacheRules(history=True), messages=[]) == 1_250
    assert held(ProviderCacheRules(history=True, ttl="1h"), messages=[]) == 2_000
    assert held(cache_control=AN_HOUR) == 2_000
    assert held(messages=[{"content": [{"text": "1h", "cache_control": FIVE_MINUTES}]}]) == 2_000, "rather too much"
    escaped = msgspec.Raw(rb'[{"content": [{"cache_control": {"type": "ephemeral", "ttl": "\u0031\u0068"}}]}]')
    assert held(messages=escaped) == 2_000


def test_what_stands_behind_the_last_point_is_not_written() -> None:
    marked = [SYSTEM[0] | {"cache_control": FIVE_MINUTES}]
    by_caller = held(tokens=10_000, system=marked, messages=[])
    by_operator = held(ProviderCacheRules(tools=True, system=True), tokens=10_000, system=SYSTEM, messages=[])
    for picousd in (by_caller, by_operator):
        written = (picousd - 10_000 * 100) // 25
        assert 50 < written < 300, "the system prompt, with a margin"
    assert held(ProviderCacheRules(tools=True), tokens=10_000, system=SYSTEM, tools=[]) < by_operator
    everything = held(ProviderCacheRules(system=True, history=True), tokens=10_000, system=SYSTEM, messages=[])
    assert everything == 10_000 * 125
    assert held(ProviderCacheRules(system=True), tokens=10_000, route=Route.CHAT, messages=SYSTEM) == everything
