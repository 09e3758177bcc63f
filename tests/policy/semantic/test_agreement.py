"""Whether two answers say the same."""

from __future__ import annotations

import pytest

from headgate.policy.semantic.agreement import agreement

LONG = "The office opens in the morning and closes in the evening, as the sign at the entrance says. " * 5


@pytest.mark.parametrize(
    ("fresh", "cached", "similarity", "agree", "reason"),
    [
        ("Paris.", " paris. ", 0.0, True, "identical"),
        ("It opens at 9.", "We open at 9 every day.", 0.9, True, "similar"),
        ("It opens at 9.", "We open at 8 every day.", 0.97, False, "numbers"),
        ("It opens at 9.", "It is closed.", 0.5, False, "far_apart"),
        ("You can cancel it.", "You cannot cancel it.", 0.95, False, "negation"),
        ("Der Laden ist heute nicht mehr offen.", "The shop is open and it is fine for you.", 0.9, False, "language"),
        (f"{LONG} Call 555.", f"{LONG} Ring 555 or 777.", 0.95, True, "similar"),
        (f"{LONG} Call 555.", f"{LONG} Ring 777.", 0.95, False, "numbers"),
    ],
)
def test_what_differs_in_substance_does_not_agree(
    fresh: str, cached: str, similarity: float, agree: bool, reason: str
) -> None:
    for one, other in ((fresh, cached), (cached, fresh)):
        found = agreement(one, other, similarity)
        assert (found.agree, found.reason) == (agree, reason)
