"""What guards need to know of a question, read in little time whatever is in it."""

from __future__ import annotations

import time

import pytest

from headgate.policy.semantic.sketch import sketch

LONGEST = 4_000  # characters that are looked at
MOST_SECONDS = 0.025  # of CPU; what is hardest takes 4 ms, where time grows with the square of the length it takes 50


@pytest.mark.parametrize("piece", ["a.", "1.", "a(", "<a", "a_", "--a-", "`", "$a", "eyJ.", "aA", "日"])
def test_hard_texts_take_no_long_time(piece: str) -> None:
    text = (piece * LONGEST)[:LONGEST]

    def seconds() -> float:
        began = time.process_time()
        sketch(text)
        return time.process_time() - began

    assert any(seconds() < MOST_SECONDS for _ in range(10))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("How do I use os.path.join(a, b)?", {"os.path.join("}),
        ("And len(x) or np.zeros()?", {"len(x)", "np.zeros("}),
        ("See example.com, 1.2.3 and e.g. this one.", set()),
        ("What does `git reset --hard` do?", {"`git reset --hard`"}),
    ],
)
def test_code_is_seen(text: str, code: set[str]) -> None:
    assert sketch(text).code == code
