"""Costs are exact, whatever the price and the size."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from headgate.policy.pricing import cost_picousd, format_usd
from headgate.types import PICO_PER_USD, Price, Usage

TOKENS_PER_LISTED_PRICE = 1_000_000
prices_usd_per_million = st.decimals(min_value=0, max_value=1000, places=6, allow_nan=False, allow_infinity=False)


def pico(usd_per_million: Decimal) -> int:
    return int(usd_per_million * PICO_PER_USD / TOKENS_PER_LISTED_PRICE)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    prompt, output = draw(st.integers(0, 10**7)), draw(st.integers(0, 10**7))
    return Usage(prompt, draw(st.integers(0, prompt)), output, draw(st.integers(0, output)))


@given(
    usages(),
    prices_usd_per_million,
    prices_usd_per_million,
    st.none() | prices_usd_per_million,
    st.none() | prices_usd_per_million,
)
def test_the_cost_is_the_exact_fraction_of_the_price_list(
    usage: Usage, input_price: Decimal, output_price: Decimal, cached: Decimal | None, reasoning: Decimal | None
) -> None:
    price = Price(
        input=pico(input_price),
        output=pico(output_price),
        cached_input=None if cached is None else pico(cached),
        reasoning=None if reasoning is None else pico(reasoning),
    )
    exact_usd = (
        (usage.input - usage.cached_input) * Fraction(input_price)
        + usage.cached_input * Fraction(input_price if cached is None else cached)
        + (usage.output - usage.reasoning) * Fraction(output_price)
        + usage.reasoning * Fraction(output_price if reasoning is None else reasoning)
    ) / TOKENS_PER_LISTED_PRICE
    assert Fraction(cost_picousd(usage, price), PICO_PER_USD) == exact_usd


def test_a_bill_one_can_check_by_hand() -> None:
    price = Price(input=150_000, cached_input=75_000, output=600_000)
    assert cost_picousd(Usage(input=1000, cached_input=200, output=50), price) == 165_000_000
    assert format_usd(165_000_000) == "0.000165"


@given(st.lists(usages(), max_size=20))
def test_the_sum_of_costs_is_the_cost_of_the_sum(answers: list[Usage]) -> None:
    price = Price(input=150_000, output=600_001, cached_input=3, reasoning=7)
    together = Usage(
        *(sum(getattr(usage, name) for usage in answers) for name in ("input", "cached_input", "output", "reasoning"))
    )
    assert sum(cost_picousd(usage, price) for usage in answers) == cost_picousd(together, price)


@given(st.integers(-(10**30), 10**30))
def test_a_formatted_amount_reads_back_exactly(picousd: int) -> None:
    text = format_usd(picousd)
    with localcontext(prec=60):
        assert Decimal(text) * PICO_PER_USD == picousd
    assert "e" not in text.lower()
    assert "." not in text or not text.endswith(("0", "."))
