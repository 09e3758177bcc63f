"""What tokens cost. Pure integer arithmetic in pico-dollars, so that sums never drift."""

from __future__ import annotations

from headgate.types import PICO_PER_USD, Price, Usage


def cost_picousd(usage: Usage, price: Price) -> int:
    """Cost of one answer. Cached input is part of the input, reasoning part of the output; each is charged once."""
    cached_price = price.input if price.cached_input is None else price.cached_input
    reasoning_price = price.output if price.reasoning is None else price.reasoning
    return (
        (usage.input - usage.cached_input) * price.input
        + usage.cached_input * cached_price
        + (usage.output - usage.reasoning) * price.output
        + usage.reasoning * reasoning_price
    )


def format_usd(picousd: int) -> str:
    """Exact decimal USD without trailing zeros: 82_000_000 -> "0.000082"."""
    sign, amount = ("-", -picousd) if picousd < 0 else ("", picousd)
    whole, fraction = divmod(amount, PICO_PER_USD)
    digits = f"{fraction:012d}".rstrip("0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"
