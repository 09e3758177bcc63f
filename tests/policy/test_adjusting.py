"""Bookings: double entry, exact, and only what is not booked yet."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from headgate.bills import Adjustment, Booked, Cause, Slot
from headgate.policy.adjusting import Run, bookings, newly_found_picousd, shares_of
from headgate.policy.amounts import apportion
from tests.policy.bills import DAY, KEY, MODEL, amount, ours

RUN = Run("run_1", "openai", 1.0)
EMPTY = Booked({}, 0)
SLOTS = [Slot(DAY + day, MODEL, "", cause) for day in (0, 1) for cause in (Cause.MISSING, Cause.LATE)]
amounts = st.integers(-(2**62), 2**62)
targets = st.dictionaries(st.sampled_from(SLOTS), st.tuples(amounts, st.just("why")))
weights = st.dictionaries(st.sampled_from(["acme", "hobby", "zeta", "日本"]), st.integers(0, 2**62), min_size=1)


def sums(rows: list[Adjustment], before: Booked = EMPTY) -> Booked:
    """What stands after these rows."""
    together: dict[tuple[Slot, str], int] = defaultdict(int, before.amounts)
    for row in rows:
        together[row.slot, row.account] += row.amount_picousd
    return Booked(dict(together), before.version + 1)


def balanced(rows: list[Adjustment]) -> bool:
    each: dict[str, int] = defaultdict(int)
    for row in rows:
        each[row.booking] += row.amount_picousd
    return not any(each.values()) and len({row.id for row in rows}) == len(rows)


def test_one_difference_is_one_booking_of_two_rows() -> None:
    rows = bookings({SLOTS[0]: (700, "2 requests")}, EMPTY, RUN)
    assert [(row.account, row.amount_picousd) for row in rows] == [("provider:openai", -700), ("unattributed", 700)]
    assert {(row.booking, row.run, row.words) for row in rows} == {("run_1.0", "run_1", "2 requests")}


@given(targets, targets)
def test_what_stands_is_what_was_wanted_last(first: dict, second: dict) -> None:
    once = bookings(first, EMPTY, RUN)
    standing = sums(once)
    assert bookings(first, standing, RUN) == []
    rows = bookings(second, standing, RUN)
    after = sums(rows, standing)
    assert balanced(once) and balanced(rows)
    for slot in SLOTS:
        wanted = second.get(slot, (0, ""))[0]
        assert after.amounts.get((slot, "unattributed"), 0) == wanted
        assert after.amounts.get((slot, "provider:openai"), 0) == -wanted


@given(targets, targets, weights, weights)
def test_tenants_get_exact_shares_and_keep_them(first: dict, second: dict, parts: dict, others: dict) -> None:
    shared = bookings(first, EMPTY, RUN, lambda _: parts)
    standing = sums(shared)
    assert balanced(shared)
    assert bookings(first, standing, RUN, lambda _: parts) == []
    assert bookings(first, standing, RUN) == [], "a run that shares nothing leaves what was shared"
    for slot in SLOTS:
        wanted = apportion(first.get(slot, (0, ""))[0], parts)
        for tenant in parts:
            assert standing.amounts.get((slot, f"tenant:{tenant}"), 0) == wanted[tenant]
    again = bookings(second, standing, RUN, lambda _: others)
    after = sums(again, standing)
    assert balanced(again)
    for slot in SLOTS:
        wanted = apportion(second.get(slot, (0, ""))[0], others)
        for tenant in {*parts, *others}:
            assert after.amounts.get((slot, f"tenant:{tenant}"), 0) == wanted.get(tenant, 0)


def test_what_was_unattributed_moves_to_tenants_without_touching_the_provider() -> None:
    standing = sums(bookings({SLOTS[0]: (10, "")}, EMPTY, RUN))
    rows = bookings({SLOTS[0]: (10, "")}, standing, RUN, lambda _: {"acme": 2, "hobby": 1})
    assert {row.account: row.amount_picousd for row in rows} == {
        "tenant:acme": 7, "tenant:hobby": 3, "unattributed": -10,
    }  # fmt: skip


@given(amounts, weights)
def test_shares_add_up_and_are_off_by_less_than_one(whole: int, parts: dict) -> None:
    shares = apportion(whole, parts)
    assert sum(shares.values()) == whole
    together = sum(parts.values())
    for name, share in shares.items():
        if together:
            assert abs(share * together - whole * parts[name]) < together
        assert share == 0 or (share > 0) == (whole > 0)


def test_who_shares_a_difference() -> None:
    ledger = [
        ours(amount(1, 100, 0)),
        ours(amount(1, 300, 0), tenant="hobby"),
        ours(amount(1, 50, 0), tenant="zeta", model="gpt-4o"),
        ours(amount(1, 100, 0), key="other", tenant="beta"),
    ]
    shares = shares_of(ledger)
    here = shares(Slot(DAY, MODEL, KEY, Cause.MISSING))
    assert here == {"acme": 15_000_000, "hobby": 45_000_000}
    assert shares(Slot(DAY, MODEL, "", Cause.MISSING)).keys() == {"acme", "hobby", "beta"}
    assert shares(Slot(DAY, "gpt-5", KEY, Cause.UNKNOWN_MODEL)).keys() == {"acme", "hobby", "zeta", "beta"}
    assert shares(Slot(DAY + 1, MODEL, KEY, Cause.MISSING)) == {}


def test_drift_is_what_is_new_and_not_only_on_another_day() -> None:
    missing, late = SLOTS[0], SLOTS[1]
    rows = bookings({missing: (70, ""), late: (500, ""), SLOTS[2]: (-20, "")}, EMPTY, RUN)
    assert newly_found_picousd(rows, "openai") == 50
