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

PRICE = Price(input=100, output=500, cached_input=10, cache_write=125)


def held(points: ProviderCacheRules | None = None, **members: Any) -> int:
    """For a prompt of 10 tokens."""
    plan = model(deployment(ScriptedProvider(), price=PRICE, cache_points=points))
    served = assemble(dict([plan]), None)["small"]
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in members.items()}
    call = Call("req_1", Route.MESSAGES, "small", False, fields, 0)
    return asking.ask(call, served, input_tokens=10, output_tokens=0).input_picousd


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
