"""What tokens cost. Pure integer arithmetic in pico-dollars, so that sums never drift.

Every token is charged once, in its class; a class without a price of its own costs what the larger one costs that it
is part of. The rules and where they are from:

- Input that was read from the provider's cache, or written to it, has a price of its own (OpenAI "Prompt caching",
  Anthropic "Prompt caching", Gemini "Context caching"). A write lives for five minutes or for an hour; Anthropic bills
  them differently, and reports them apart.
- Thinking is billed as output by all of them; the class is there for lists that say otherwise.
- Long context: beyond so many input tokens (cached and written ones included) *all* tokens of the request have other
  prices (Anthropic and Gemini "Pricing": above 200,000; OpenAI: above 272,000; xAI: above 128,000 or 200,000).
- Images in a prompt are reported and billed as input tokens by OpenAI, Anthropic and Gemini alike.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from headgate.types import PICO_PER_USD, Price, Usage


def cost_picousd(usage: Usage, price: Price) -> int:
    """Cost of one answer. What a provider reports of a part beyond its whole is charged as that part alone."""
    long_context = price.long_context
    if long_context is not None and usage.input > long_context.above_tokens:
        price = long_context.price
    plain_input, plain_output, cost = usage.input, usage.output, 0
    if cached := usage.cached_input:
        plain_input -= cached
        cost += cached * (price.input if price.cached_input is None else price.cached_input)
    if written := usage.cache_write + usage.cache_write_1h:
        plain_input -= written
        cost += _cache_writes(usage, price)
    if thought := usage.reasoning:
        plain_output -= thought
        cost += thought * (price.output if price.reasoning is None else price.reasoning)
    if plain_input > 0:
        cost += plain_input * price.input
    if plain_output > 0:
        cost += plain_output * price.output
    return cost


def _cache_writes(usage: Usage, price: Price) -> int:
    short_price = price.input if price.cache_write is None else price.cache_write
    long_price = short_price if price.cache_write_1h is None else price.cache_write_1h
    return usage.cache_write * short_price + usage.cache_write_1h * long_price


class Dearest(NamedTuple):
    """The most that a token can cost at any of some prices, in pico-dollars: what is held for it."""

    input: int
    cache_write: int  # one of the input that may be written to a provider's cache
    output: int


def dearest(prices: Iterable[Price], input_tokens: int, *, for_an_hour: bool) -> Dearest:
    """Of a prompt of so many tokens, whose writes to a cache may be `for_an_hour`: dearer than for five minutes."""
    inputs, writes, outputs = [0], [0], [0]
    for price in prices:
        long_context = price.long_context
        longer = (long_context.price,) if long_context and input_tokens > long_context.above_tokens else ()
        for each in (price, *longer):
            inputs.append(each.input)
            kinds = (each.cache_write, each.cache_write_1h) if for_an_hour else (each.cache_write,)
            writes += [each.input, *(write for write in kinds if write is not None)]
            outputs.append(max(each.output, each.reasoning or 0))
    return Dearest(max(inputs), max(writes), max(outputs))


def flat(prices: Sequence[Price]) -> tuple[int, int] | None:
    """The most that a token of input and one of output can cost, whatever the request; None if it depends on it."""
    if any(price.long_context or price.cache_write or price.cache_write_1h for price in prices):
        return None
    most = dearest(prices, 0, for_an_hour=False)
    return most.input, most.output


@functools.lru_cache(maxsize=1024)  # a request's cost is told in a header and in its line of the log
def format_usd(picousd: int) -> str:
    """Exact decimal USD without trailing zeros: 82_000_000 -> "0.000082"."""
    sign, amount = ("-", -picousd) if picousd < 0 else ("", picousd)
    whole, fraction = divmod(amount, PICO_PER_USD)
    digits = f"{fraction:012d}".rstrip("0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"
