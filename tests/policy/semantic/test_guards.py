"""What must agree between two questions, by name of the guard that says no."""

from __future__ import annotations

import pytest

from headgate.policy.semantic.guards import differences, veto
from headgate.policy.semantic.sketch import sketch

VETOED = [
    ("numbers", "Convert 10 miles to kilometers", "Convert 12 miles to kilometers"),
    ("numbers", "What is 15 % of 80?", "What is 25 % of 80?"),
    ("numbers", "May children over 12 row here alone?", "May children over 14 row here alone?"),
    ("numbers", "a list of five books about ships", "a list of 7 books about ships"),
    ("units", "How much is 50 kg of rice?", "How much is 50 lbs of rice?"),
    ("units", "Is $100 a lot for a chair?", "Is €100 a lot for a chair?"),
    ("negation", "Can I take ibuprofen with coffee?", "Can't I take ibuprofen with coffee?"),
    ("negation", "Foods that contain gluten", "Foods that do not contain gluten"),
    ("dates", "Is the shop open on Monday?", "Is the shop open on Tuesday?"),
    ("dates", "Revenue of this quarter", "Revenue of last quarter"),
    ("dates", "How will the weather be tomorrow?", "How will the weather be today?"),
    ("code", "What does `git reset` do to my files?", "What does `git revert` do to my files?"),
    ("code", "How do I use os.path.join(a)?", "How do I use os.path.split(a)?"),
    ("language", "How do I change the password of my account?", "Wie kann ich das Passwort von meinem Konto ändern?"),
    ("names", "Where does Alice Bergmann live?", "Where does Alice Carver live?"),
    ("names", "What is the capital of France?", "What is the capital of Spain?"),
    ("names", "Does the Borealis T4 come with a charger?", "Does the Borealis T3 come with a charger?"),
    ("opposites", "How do I enable two-factor login?", "How do I disable two-factor login?"),
    ("opposites", "when should you buy shares", "when should you sell shares"),
    ("roles", "Convert 10 miles to kilometers", "Convert 10 kilometers to miles"),
    ("roles", "trains from Berlin to Prague", "trains from Prague to Berlin"),
    ("roles", "Does the manager report the nurse?", "Does the nurse report the manager?"),
]  # fmt: skip
PASSED = [
    ("How can I reset my password?", "How do I reset my password?"),
    ("Is 1,000 g of sugar too much?", "Is 1000 g of sugar too much?"),
    ("What is the difference between a lock and a weir?", "What is the difference between a weir and a lock?"),
    ("Which bakery is best for rye bread in Bergen?", "Which is the best bakery for rye bread in Bergen?"),
    ("Which lathe can I get for around 20k?", "Which lathe can I get for around 20,000?"),
    ("HOW DO I CANCEL MY ORDER?", "How do I cancel my order?"),
    ("How to know whether it rains or not?", "How to know whether it rains?"),
    ("I've lost my card. What now?", "What do I do? I have lost my card."),
]  # fmt: skip


@pytest.mark.parametrize(("guard", "question", "cached"), VETOED)
def test_what_must_agree(guard: str, question: str, cached: str) -> None:
    assert veto(sketch(question), sketch(cached)) == guard
    assert veto(sketch(cached), sketch(question)) == guard


@pytest.mark.parametrize(("question", "cached"), PASSED)
def test_what_may_differ(question: str, cached: str) -> None:
    assert veto(sketch(question), sketch(cached)) == ""
    assert veto(sketch(cached), sketch(question)) == ""


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("What time does the train leave?", "when"),
        ("how many eggs are in a dozen", "how many"),
        ("What is the reason for the delay?", "why"),
        ("Is it open?", "yes or no"),
        ("Translate this", "statement"),
        ("what is the best way to boil rice", "how"),
    ],
)
def test_how_a_question_is_asked(text: str, kind: str) -> None:
    assert sketch(text).asking == kind


def test_differences_are_measured() -> None:
    ours, theirs = sketch("How do I block a stolen card?"), sketch("How do I block a stolen phone?")
    found = differences(ours, theirs, lambda word: 1.0)
    assert found.substituted
    assert found.lost == found.gained == pytest.approx(1 / 3)
    assert not found.asked_otherwise
    same = differences(ours, ours, lambda word: 1.0)
    assert (same.lost, same.gained, same.heaviest, same.substituted, same.reordered) == (0.0, 0.0, 0.0, False, False)
    assert differences(sketch("when do I block a card"), sketch("how do I block a card"), len).asked_otherwise


def test_a_long_question_is_read_at_both_ends() -> None:
    text = "Summarise " + "the meeting of the board and its guests, " * 5_000
    assert veto(sketch(text + "in 10 words"), sketch(text + "in 20 words")) == "numbers"
