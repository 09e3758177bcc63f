"""Plain bills and ledgers for the tests of what is made of their difference."""

from __future__ import annotations

from headgate.bills import Amount, LedgerAttempt, LedgerLine, StatementLine, Tokens
from headgate.policy.amounts import value_picousd
from headgate.policy.reconciling import Terms
from headgate.types import Price

DAY = 20_000
MODEL = "gpt-4o-mini"
KEY = "9f86d081"
PRICE = Price(input=150_000, output=600_000, cached_input=75_000)
TERMS = Terms(range(DAY, DAY + 3), {MODEL: PRICE}, frozenset({MODEL}), frozenset({KEY}))


def amount(requests: int | None, given: int, output: int, cached: int = 0) -> Amount:
    """At the price of the list."""
    tokens = Tokens(input=given, output=output, cached_input=cached)
    return Amount(requests, tokens, value_picousd(tokens, PRICE))


def ours(what: Amount, day: int = DAY, model: str = MODEL, tenant: str = "acme", key: str = KEY) -> LedgerLine:
    return LedgerLine(day, model, key, tenant, what)


def theirs(what: Amount, day: int = DAY, model: str = MODEL, key: str = "") -> StatementLine:
    return StatementLine(day, model, key, what.requests, what.tokens, what.cost_picousd)


def attempt(number: int, ended_at: float, what: Amount, day: int = DAY) -> LedgerAttempt:
    return LedgerAttempt(f"req_{number}.1", day, MODEL, KEY, ended_at - 5, ended_at, what)
