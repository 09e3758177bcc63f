"""Costs are exact, whatever the price and the size; every token is charged once."""

from __future__ import annotations

from decimal import Decimal, localcontext

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.policy.pricing import cost_picousd, format_usd
from headgate.types import PICO_PER_USD, LongContext, Price, Usage

COUNTS = ("input", "cached_input", "output", "reasoning", "cache_write", "cache_write_1h")
INPUT_CLASSES = ("cached_input", "cache_write", "cache_write_1h")
CLASSES = ("input", "output", "cached_input", "reasoning", "cache_write", "cache_write_1h")

amounts = st.integers(0, 10**9)
prices = st.builds(
    Price,
    input=amounts,
    output=amounts,
    cached_input=st.none() | amounts,
    reasoning=st.none() | amounts,
    cache_write=st.none() | amounts,
    cache_write_1h=st.none() | amounts,
)
tiered_prices = st.builds(
    lambda price, above_tokens, dearer: msgspec.structs.replace(price, long_context=LongContext(above_tokens, dearer)),
    prices,
    st.integers(1, 10**7),
    prices,
)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    prompt, output = draw(st.integers(0, 10**7)), draw(st.integers(0, 10**7))
    cuts = sorted(draw(st.integers(0, prompt)) for _ in range(3))
    return Usage(
        input=prompt,
        cached_input=cuts[0],
        cache_write=cuts[1] - cuts[0],
        cache_write_1h=cuts[2] - cuts[1],
        output=output,
        reasoning=draw(st.integers(0, output)),
    )


def price_of(token: str, price: Price) -> int:
    """What one token of a class costs, written down as the price list says it."""
    as_the_whole = {"cached_input": "input", "cache_write": "input", "cache_write_1h": "cache_write"}
    own: int | None = getattr(price, token)
    return own if own is not None else price_of(as_the_whole.get(token, "output"), price)


@given(usages(), prices | tiered_prices)
def test_every_token_is_charged_once_in_its_class(usage: Usage, price: Price) -> None:
    long_context = price.long_context
    paid = long_context.price if long_context is not None and usage.input > long_context.above_tokens else price
    tokens = {name: getattr(usage, name) for name in CLASSES}
    tokens["input"] -= sum(tokens[name] for name in INPUT_CLASSES)
    tokens["output"] -= tokens["reasoning"]
    assert cost_picousd(usage, price) == sum(count * price_of(name, paid) for name, count in tokens.items())


@given(usages(), prices, st.sampled_from(COUNTS), st.integers(1, 10**6))
def test_more_tokens_never_cost_less(usage: Usage, price: Price, grows: str, by: int) -> None:
    whole = {"reasoning": "output"}.get(grows, "input" if grows in INPUT_CLASSES else grows)
    more = msgspec.structs.replace(usage, **{name: getattr(usage, name) + by for name in {grows, whole}})
    assert cost_picousd(more, price) >= cost_picousd(usage, price)


@given(usages(), prices, prices, st.integers(1, 10**7))
def test_a_dearer_tier_never_makes_a_longer_prompt_cheaper(
    usage: Usage, price: Price, surcharge: Price, above_tokens: int
) -> None:
    dearer = Price(**{name: price_of(name, price) + price_of(name, surcharge) for name in CLASSES})
    tiered = msgspec.structs.replace(price, long_context=LongContext(above_tokens, dearer))
    longer = msgspec.structs.replace(usage, input=usage.input + 1)
    assert cost_picousd(usage, price) <= cost_picousd(usage, tiered) <= cost_picousd(longer, tiered)


@given(usages(), prices)
def test_a_class_is_never_dearer_than_its_price_says(usage: Usage, price: Price) -> None:
    """Moving a prompt's tokens into a class changes the cost by exactly the difference of the two prices."""
    for name in INPUT_CLASSES:
        without = msgspec.structs.replace(usage, **{name: 0})
        difference = getattr(usage, name) * (price_of(name, price) - price.input)
        assert cost_picousd(usage, price) - cost_picousd(without, price) == difference


@given(st.builds(Usage, **dict.fromkeys(COUNTS, st.integers(0, 10**7))), prices | tiered_prices)
def test_parts_beyond_their_whole_do_not_make_a_cost_negative(usage: Usage, price: Price) -> None:
    assert cost_picousd(usage, price) >= 0


@pytest.mark.parametrize(
    ("tokens", "picousd"),
    [
        (199_999, 199_999 * 3_000_000),
        (200_000, 200_000 * 3_000_000),  # "more than 200,000"
        (200_001, 200_001 * 6_000_000),  # all of it, not what is above
    ],
)
def test_a_long_prompt_is_dearer_as_a_whole(tokens: int, picousd: int) -> None:
    price = Price(input=3_000_000, output=15_000_000, long_context=LongContext(200_000, Price(6_000_000, 22_500_000)))
    assert cost_picousd(Usage(input=tokens), price) == picousd
    cached = Usage(input=tokens, cached_input=tokens, output=1)  # cached tokens count for the length
    assert cost_picousd(cached, price) == picousd + (22_500_000 if tokens > 200_000 else 15_000_000)


def test_a_bill_one_can_check_by_hand() -> None:
    price = Price(input=150_000, cached_input=75_000, output=600_000)
    assert cost_picousd(Usage(input=1000, cached_input=200, output=50), price) == 165_000_000
    assert format_usd(165_000_000) == "0.000165"


def test_a_bill_with_cache_writes_one_can_check_by_hand() -> None:
    """Anthropic's Sonnet: 3 USD per million, read 0.30, written for five minutes 3.75, for an hour 6."""
    price = Price(3_000_000, 15_000_000, 300_000, cache_write=3_750_000, cache_write_1h=6_000_000)
    usage = Usage(input=1000, cached_input=500, cache_write=300, cache_write_1h=100, output=10)
    assert format_usd(cost_picousd(usage, price)) == "0.002325"  # 0.0003 + 0.00015 + 0.001125 + 0.0006 + 0.00015


@given(st.lists(usages(), max_size=20), prices)
def test_the_sum_of_costs_is_the_cost_of_the_sum(answers: list[Usage], price: Price) -> None:
    together = Usage(**{name: sum(getattr(usage, name) for usage in answers) for name in COUNTS})
    assert sum(cost_picousd(usage, price) for usage in answers) == cost_picousd(together, price)


@given(st.integers(-(10**30), 10**30))
def test_a_formatted_amount_reads_back_exactly(picousd: int) -> None:
    text = format_usd(picousd)
    with localcontext(prec=60):
        assert Decimal(text) * PICO_PER_USD == picousd
    assert "e" not in text.lower()
    assert "." not in text or not text.endswith(("0", "."))
