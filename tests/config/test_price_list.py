"""How the packaged price list is made from a public one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headgate.config.catalogue import PriceList
from scripts.price_list import price_list

OTHER = {"model": "x", "input_mtok": 3, "output_mtok": 15, "cache_read_mtok": None, "context_window": None}


def made(key: str = "somebody/model-1", *, others: tuple[dict[str, Any], ...] = (), **members: Any) -> dict[str, Any]:
    """The line that becomes of a model with these members."""
    status = members.pop("status", "agree")
    source = {
        "input_cost_per_token": 3e-06,
        "output_cost_per_token": 1.5e-05,
        "litellm_provider": "somebody",
        "mode": "chat",
        "cross_check": {"status": status, **{f"list {number}": other for number, other in enumerate(others)}},
        **members,
    }
    whole = {
        "snapshot": "2026-01-02 (a copy)",
        "models": {"gpt-4o": {**source, "litellm_provider": "openai"}, key: source},
    }
    text = price_list(whole)
    assert msgspec.json.decode(text, type=PriceList).version == "2026-01-02"
    line: dict[str, Any] = msgspec.json.decode(text)["models"][-1]
    return line


def test_prices_are_exact_and_per_million() -> None:
    assert made(input_cost_per_token=0.00000014, cache_read_input_token_cost=3.625e-09)["price"] == {
        "input": "0.14",
        "output": "15",
        "cached_input": "0.003625",
    }
    with pytest.raises(ValueError, match="more than 6 decimals"):
        made(input_cost_per_token=1.0000000001e-06)


def test_every_class_is_taken() -> None:
    line = made(
        cache_creation_input_token_cost=3.75e-06,
        output_cost_per_reasoning_token=2e-05,
        input_cost_per_token_above_200k_tokens=6e-06,
        cache_read_input_token_cost_above_200k_tokens=6e-07,
        input_cost_per_token_batches=1.5e-06,
    )
    assert line["price"] == {
        "input": "3",
        "output": "15",
        "cache_write": "3.75",
        "reasoning": "20",
        "long_context": {"above_tokens": 200_000, "input": "6", "cached_input": "0.6"},
        "batch": {"input": "1.5"},
    }


def test_a_class_that_costs_nothing_of_its_own_is_left_out() -> None:
    price = made(cache_creation_input_token_cost=0.0, output_cost_per_reasoning_token=1.5e-05)["price"]
    assert price == {"input": "3", "output": "15"}


def test_writes_for_an_hour_cost_twice_the_input_at_anthropic() -> None:
    line = made(litellm_provider="anthropic", cache_creation_input_token_cost_above_1hr=9e-06)
    assert line["price"]["cache_write_1h"] == "6"


@pytest.mark.parametrize(
    ("own", "others", "agreement", "price"),
    [
        ((3e-06, 1.5e-05), (OTHER, {**OTHER, "input_mtok": 9}), "majority", {"input": "3", "output": "15"}),
        ((2e-06, 1e-05), (OTHER, OTHER), "majority", {"input": "3", "output": "15"}),
        ((2e-06, 1e-05), (OTHER, {**OTHER, "input_mtok": 9}), "disputed", {"input": "2", "output": "10"}),
        ((2e-06, 1e-05), (OTHER,), "disputed", {"input": "2", "output": "10"}),
    ],
)
def test_the_price_of_most_lists_is_taken(
    own: tuple[float, float], others: tuple[dict[str, Any], ...], agreement: str, price: dict[str, str]
) -> None:
    line = made(status="differ", others=others, input_cost_per_token=own[0], output_cost_per_token=own[1])
    assert (line["agreement"], line["price"]) == (agreement, price)


def test_classes_that_the_other_lists_do_not_name_keep_their_proportion() -> None:
    changed = {"input_cost_per_token": 2e-06, "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 2e-07}
    assert made(status="differ", others=(OTHER, OTHER), **changed)["price"]["cached_input"] == "0.3"
    named = {**OTHER, "cache_read_mtok": 0.25}
    assert made(status="differ", others=(named, OTHER), **changed)["price"]["cached_input"] == "0.25"


def test_what_is_not_said_is_not_known_unless_somebody_looked() -> None:
    said = {"supports_function_calling": True, "supports_vision": False}
    assert made(**said)["capabilities"] == {"tools": True, "images": False}
    complete = made(litellm_provider="gemini", **said)["capabilities"]
    assert complete == {"tools": True, "images": False, "json_schema": False, "reasoning": False}


def test_a_context_is_prompt_and_answer_together() -> None:
    sizes = {"max_input_tokens": 272_000, "max_output_tokens": 128_000.0}
    window = {"status": "agree", "genai_prices_2026-08-21": {**OTHER, "context_window": 400_000}}
    assert made(**sizes, cross_check=window)["context_tokens"] == 400_000
    assert made(**sizes)["context_tokens"] == 272_000
