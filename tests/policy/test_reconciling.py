"""What a difference between a bill and the ledger is put down to."""

from __future__ import annotations

import msgspec
import pytest

from headgate.bills import Amount, Cause, Finding, LedgerLine, StatementLine, Tokens
from headgate.policy.amounts import add, total
from headgate.policy.reconciling import Evidence, differing, explain
from headgate.policy.statements import cells
from tests.policy.bills import DAY, KEY, MODEL, PRICE, TERMS, amount, attempt, ours, theirs

DAY_SECONDS = 86_400.0
MIDNIGHT = (DAY + 1) * DAY_SECONDS


NOTHING = Evidence()


def found(ledger: list[LedgerLine], statement: list[StatementLine], evidence: Evidence = NOTHING) -> list[Finding]:
    terms = msgspec.structs.replace(TERMS, keys=TERMS.keys | {line.key for line in ledger})
    findings = explain(cells(ledger, statement, terms.prices), evidence, terms)
    for finding in findings:
        assert sum(part.cost_picousd for part in finding.explanations) == finding.difference_picousd
    return findings


def causes(findings: list[Finding]) -> list[tuple[int, Cause, int]]:
    return [(finding.day, part.cause, part.cost_picousd) for finding in findings for part in finding.explanations]


def test_what_agrees_is_no_finding() -> None:
    ledger = [ours(amount(3, 300, 90)), ours(amount(1, 100, 10), tenant="hobby")]
    statement = [theirs(amount(4, 400, 100))]
    assert found(ledger, statement) == []
    assert differing(cells(ledger, statement, TERMS.prices)) == []


def test_requests_that_the_ledger_does_not_have() -> None:
    findings = found([ours(amount(3, 300, 90))], [theirs(amount(5, 700, 120))])
    assert causes(findings) == [(DAY, Cause.MISSING, 400 * 150_000 + 30 * 600_000)]
    (part,) = findings[0].explanations
    assert (part.requests, part.tokens) == (2, Tokens(input=400, output=30))
    assert "2 requests with 400 input and 30 output tokens" in part.words


def test_a_day_that_the_ledger_does_not_have_at_all() -> None:
    findings = found([ours(amount(1, 10, 10))], [theirs(amount(1, 10, 10)), theirs(amount(2, 20, 10), DAY + 1)])
    assert causes(findings) == [(DAY + 1, Cause.MISSING, 9_000_000)]


def test_requests_that_the_provider_does_not_bill() -> None:
    findings = found([ours(amount(3, 300, 90))], [theirs(amount(2, 200, 60))])
    assert causes(findings) == [(DAY, Cause.SURPLUS, -(100 * 150_000 + 30 * 600_000))]
    assert causes(found([ours(amount(3, 300, 90))], [])) == [(DAY, Cause.SURPLUS, -99_000_000)]


def test_a_request_that_is_in_the_ledger_twice() -> None:
    copy = attempt(7, DAY * DAY_SECONDS + 100, amount(1, 100, 30))
    findings = found([ours(amount(4, 400, 120))], [theirs(amount(3, 300, 90))], Evidence(doubles=(copy,)))
    assert causes(findings) == [(DAY, Cause.DOUBLED, -33_000_000)]
    assert "1 request of the provider's is in the ledger twice" in findings[0].explanations[0].words


def test_the_same_tokens_at_another_price() -> None:
    billed = amount(3, 300, 90)
    dearer = Amount(billed.requests, billed.tokens, billed.cost_picousd * 5 // 4)
    findings = found([ours(billed)], [theirs(dearer)])
    assert causes(findings) == [(DAY, Cause.MISPRICED, billed.cost_picousd // 4)]
    assert "1.2500 times" in findings[0].explanations[0].words


def test_another_price_and_requests_that_are_missing_are_told_apart() -> None:
    whole = amount(4, 400, 100)
    findings = found([ours(amount(3, 300, 90))], [theirs(Amount(4, whole.tokens, whole.cost_picousd * 2))])
    assert causes(findings) == [(DAY, Cause.MISSING, 21_000_000), (DAY, Cause.MISPRICED, whole.cost_picousd)]


def test_a_ledger_at_an_older_price_values_what_is_missing_at_that() -> None:
    """It was booked at twice today's price; so is the missing half."""
    old = amount(1, 100, 10)
    double = Amount(1, old.tokens, 2 * old.cost_picousd)
    billed = Amount(2, add(old, old).tokens, 4 * old.cost_picousd)
    findings = found([ours(double)], [theirs(billed)])
    assert causes(findings) == [(DAY, Cause.MISSING, 2 * old.cost_picousd)]


def test_other_tokens_for_the_same_requests() -> None:
    findings = found([ours(amount(3, 300, 90))], [theirs(amount(3, 300, 70, cached=100))])
    ((_, cause, cost),) = causes(findings)
    assert (cause, cost) == (Cause.TOKENS_DIFFER, -100 * 75_000 - 20 * 600_000)
    assert "+100 cached, -20 output" in findings[0].explanations[0].words


@pytest.mark.parametrize(
    "off, cause", [(999_999, Cause.ROUNDING), (-400_000, Cause.ROUNDING), (1_000_000, Cause.MISPRICED)]
)
def test_less_than_a_bill_can_show_is_rounding(off: int, cause: Cause) -> None:
    exact = amount(100, 100_000, 9000)
    rounded = Amount(exact.requests, exact.tokens, exact.cost_picousd + off)
    assert causes(found([ours(exact)], [theirs(rounded)])) == [(DAY, cause, off)]


def test_models_keys_and_charges_that_are_not_ours() -> None:
    ledger = [ours(amount(1, 10, 10))]
    statement = [
        theirs(amount(1, 10, 10), key=KEY),
        theirs(amount(2, 20, 10), model="gpt-5", key=KEY),
        theirs(amount(3, 30, 10), key="key_else"),
        StatementLine(DAY, "", cost_picousd=10**10, other="web search tool calls"),
    ]
    assert sorted(causes(found(ledger, statement)), key=lambda one: one[1]) == [
        (DAY, Cause.NOT_TOKENS, 10**10),
        (DAY, Cause.UNKNOWN_KEY, 10_500_000),
        (DAY, Cause.UNKNOWN_MODEL, 9_000_000),
    ]


def test_a_bill_without_tokens_leaves_the_amount_unexplained() -> None:
    findings = found([ours(amount(1, 10, 10))], [StatementLine(DAY, MODEL, cost_picousd=8_000_000)])
    assert causes(findings) == [(DAY, Cause.UNEXPLAINED, 500_000)]
    nothing = found([ours(amount(1, 10, 10), DAY + 1)], [StatementLine(DAY, MODEL, cost_picousd=0)])
    assert causes(nothing) == [(DAY + 1, Cause.UNEXPLAINED, -7_500_000)]


def test_a_bill_without_money_is_valued_at_the_price() -> None:
    line = StatementLine(DAY, MODEL, requests=2, tokens=Tokens(input=20, output=20))
    assert causes(found([ours(amount(1, 10, 10))], [line])) == [(DAY, Cause.MISSING, 7_500_000)]


def test_money_told_by_model_is_shared_among_the_keys_that_used_it() -> None:
    ledger = [ours(amount(1, 100, 10)), ours(amount(1, 30, 3), key="other")]
    statement = [
        StatementLine(DAY, MODEL, KEY, 1, Tokens(input=100, output=10)),
        StatementLine(DAY, MODEL, "key_else", 1, Tokens(input=30, output=3)),
        StatementLine(DAY, MODEL, cost_picousd=amount(2, 130, 13).cost_picousd),
    ]
    assert causes(found(ledger, statement)) == [
        (DAY, Cause.UNKNOWN_KEY, 6_300_000),
        (DAY, Cause.SURPLUS, -6_300_000),
    ]


# --- around midnight ---


def test_a_request_that_the_provider_counts_on_the_next_day() -> None:
    late = amount(1, 77, 33)
    ledger = [ours(add(amount(9, 900, 90), late)), ours(amount(5, 500, 50), DAY + 1)]
    statement = [theirs(amount(9, 900, 90)), theirs(add(amount(5, 500, 50), late), DAY + 1)]
    evidence = Evidence(around_midnight=(attempt(1, MIDNIGHT - 60, amount(1, 5, 5)), attempt(2, MIDNIGHT + 3, late)))
    findings = found(ledger, statement, evidence)
    assert causes(findings) == [(DAY, Cause.LATE, -late.cost_picousd), (DAY + 1, Cause.LATE, late.cost_picousd)]
    assert "the provider on the next" in findings[0].explanations[0].words
    assert "the ledger on the previous" in findings[1].explanations[0].words


def test_a_request_that_the_provider_counts_on_the_day_before() -> None:
    early = amount(1, 77, 33)
    ledger = [ours(amount(9, 900, 90)), ours(add(amount(5, 500, 50), early), DAY + 1)]
    statement = [theirs(add(amount(9, 900, 90), early)), theirs(amount(5, 500, 50), DAY + 1)]
    evidence = Evidence(around_midnight=(attempt(2, MIDNIGHT + 6, early, DAY + 1),))
    assert causes(found(ledger, statement, evidence)) == [
        (DAY, Cause.LATE, early.cost_picousd),
        (DAY + 1, Cause.LATE, -early.cost_picousd),
    ]


def test_beside_requests_that_are_missing_the_other_day_tells() -> None:
    late, lost = amount(1, 77, 33), amount(2, 40, 8)
    ledger = [ours(add(amount(9, 900, 90), late)), ours(amount(5, 500, 50), DAY + 1)]
    statement = [
        theirs(add(amount(9, 900, 90), lost)),
        theirs(add(amount(5, 500, 50), late), DAY + 1),
    ]
    evidence = Evidence(around_midnight=(attempt(2, MIDNIGHT + 3, late),))
    assert causes(found(ledger, statement, evidence)) == [
        (DAY, Cause.LATE, -late.cost_picousd),
        (DAY, Cause.MISSING, lost.cost_picousd),
        (DAY + 1, Cause.LATE, late.cost_picousd),
    ]


def test_the_last_day_is_explained_by_the_day_after_it_which_is_not_told() -> None:
    late = amount(1, 77, 33)
    day = DAY + 2
    evidence = Evidence(around_midnight=(attempt(2, (day + 1) * DAY_SECONDS + 3, late, day),))
    findings = found([ours(add(amount(9, 900, 90), late), day)], [theirs(amount(9, 900, 90), day)], evidence)
    assert causes(findings) == [(day, Cause.LATE, -late.cost_picousd)]


def test_late_requests_at_another_price_are_both() -> None:
    late = amount(1, 77, 33)
    whole = amount(9, 900, 90)
    statement = [
        theirs(Amount(9, whole.tokens, whole.cost_picousd * 3)),
        theirs(Amount(1, late.tokens, late.cost_picousd * 3), DAY + 1),
    ]
    evidence = Evidence(around_midnight=(attempt(2, MIDNIGHT + 3, late),))
    assert causes(found([ours(add(whole, late))], statement, evidence)) == [
        (DAY, Cause.LATE, -late.cost_picousd),
        (DAY, Cause.MISPRICED, 2 * whole.cost_picousd),
        (DAY + 1, Cause.LATE, late.cost_picousd),
        (DAY + 1, Cause.MISPRICED, 2 * late.cost_picousd),
    ]


def test_requests_around_midnight_that_explain_nothing_stay_where_they_are() -> None:
    evidence = Evidence(around_midnight=(attempt(1, MIDNIGHT + 1, amount(1, 5, 5)),))
    findings = found([ours(amount(9, 900, 90))], [theirs(amount(8, 880, 90))], evidence)
    assert causes(findings) == [(DAY, Cause.SURPLUS, -20 * PRICE.input)]


def test_a_busy_midnight_is_cut_where_the_provider_cuts_it() -> None:
    """Two hundred requests of two thousand around midnight are the provider's next day's."""
    each = [amount(1, 10 + number % 7, 3 + number % 5) for number in range(2000)]
    moved, stayed = total(each[1800:]), total(each[:1800])
    around = tuple(attempt(number, MIDNIGHT - 600 + number / 3, one) for number, one in enumerate(each))
    evidence = Evidence(around_midnight=around)
    statement = [theirs(stayed), theirs(moved, DAY + 1)]
    assert causes(found([ours(total(each))], statement, evidence)) == [
        (DAY, Cause.LATE, -moved.cost_picousd),
        (DAY + 1, Cause.LATE, moved.cost_picousd),
    ]
