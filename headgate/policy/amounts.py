"""Arithmetic of amounts: exact sums of requests, tokens and money, and a whole shared out without a remainder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from headgate.bills import Amount, Tokens
from headgate.policy.pricing import cost_picousd
from headgate.types import Price, Usage


def plus(one: Tokens, other: Tokens, sign: int = 1) -> Tokens:
    """Class by class; `sign` -1 takes `other` away."""
    return Tokens(
        one.input + sign * other.input,
        one.cached_input + sign * other.cached_input,
        one.cache_write + sign * other.cache_write,
        one.cache_write_1h + sign * other.cache_write_1h,
        one.output + sign * other.output,
    )


def classes(tokens: Tokens) -> tuple[int, int, int, int, int]:
    """The five numbers."""
    return (tokens.input, tokens.cached_input, tokens.cache_write, tokens.cache_write_1h, tokens.output)


def add(one: Amount, other: Amount, sign: int = 1) -> Amount:
    """Together; requests that one of them does not know are not known. `sign` -1 takes `other` away."""
    known = one.requests is not None and other.requests is not None
    return Amount(
        (one.requests or 0) + sign * (other.requests or 0) if known else None,
        plus(one.tokens, other.tokens, sign),
        one.cost_picousd + sign * other.cost_picousd,
    )


def total(amounts: Iterable[Amount]) -> Amount:
    """All together."""
    whole = Amount()
    for amount in amounts:
        whole = add(whole, amount)
    return whole


def same_use(amount: Amount) -> bool:
    """Whether a difference has neither tokens nor requests in it, as far as requests are known."""
    return not amount.requests and not any(classes(amount.tokens))


def value_picousd(tokens: Tokens, price: Price) -> int:
    """What tokens cost that many requests used together: at the usual price, whatever long prompts cost."""
    usage = Usage(
        input=tokens.input,
        cached_input=tokens.cached_input,
        output=tokens.output,
        cache_write=tokens.cache_write,
        cache_write_1h=tokens.cache_write_1h,
    )
    return cost_picousd(usage, _without_long_context(price))


def apportion(whole: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Share out `whole`, of either sign, in proportion to weights of at least 0, so that the parts add up to it.

    Each gets its share rounded down; what is left goes, one by one, to those with the largest remainders (Hamilton's
    method), the first in the alphabet where these are equal. Weights that are all 0 count as equal.
    """
    if not weights:
        return {}
    names = sorted(weights)
    together = sum(weights.values())
    counted = dict(weights) if together else dict.fromkeys(names, 1)
    together = together or len(names)
    sign, amount = (-1, -whole) if whole < 0 else (1, whole)
    shares = {name: divmod(amount * counted[name], together) for name in names}
    left = amount - sum(share for share, _ in shares.values())
    first = set(_largest_remainders(names, shares, left))
    return {name: sign * (shares[name][0] + (name in first)) for name in names}


def _largest_remainders(names: Sequence[str], shares: Mapping[str, tuple[int, int]], count: int) -> Sequence[str]:
    return sorted(names, key=lambda name: (-shares[name][1], name))[:count]


def _without_long_context(price: Price) -> Price:
    if price.long_context is None:
        return price
    return Price(
        price.input,
        price.output,
        price.cached_input,
        price.reasoning,
        price.cache_write,
        price.version,
        price.cache_write_1h,
    )
