"""A judge that does not know whose answers it reads."""

from __future__ import annotations

import pytest

from headgate.judgements import WeakOutcome
from headgate.policy.judging import Better, check, outcome, question, read, read_check


@pytest.mark.parametrize(
    ("said", "better"),
    [
        ("A", Better.FIRST),
        ("B.", Better.SECOND),
        ("tie", Better.TIE),
        ("**b**", Better.SECOND),
        ("Both have merits, but in the end the better one is: B", Better.SECOND),
        ("A careful reading shows what is missing in one of them. I choose B.", Better.SECOND),
        ("B is better than A.", None),
        ("Of the two I prefer, for its completeness, **B** over **A**", None),
        ("I cannot say.", None),
        ("", None),
    ],
)
def test_its_word(said: str, better: Better | None) -> None:
    assert read(said) is better


def test_who_stood_where() -> None:
    assert outcome(Better.FIRST, weak_first=True) is outcome(Better.SECOND, weak_first=False) is WeakOutcome.WIN
    assert outcome(Better.SECOND, weak_first=True) is outcome(Better.FIRST, weak_first=False) is WeakOutcome.LOSE
    assert outcome(Better.TIE, weak_first=True) is WeakOutcome.TIE


def test_it_is_told_the_question_and_both_answers_and_no_names() -> None:
    asked = question("How {high}?", "one", "two")
    assert asked.index("How {high}?") < asked.index("one") < asked.index("two")


@pytest.mark.parametrize(("said", "will_do"), [("YES", True), ("no.", False), ("Hard to say", None)])
def test_whether_an_answer_will_do(said: str, will_do: bool | None) -> None:
    assert read_check(said) is will_do
    assert check("How?", "So.").index("How?") < check("How?", "So.").index("So.")
