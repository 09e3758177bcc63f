"""Signals of prompts: their kind, and numbers that say something."""

from __future__ import annotations

import pytest

from headgate.policy.difficulty.signals import NAMES, Kind, signals_of

CHOICE = "Which gas do plants take in?\nA. Oxygen\nB. Carbon dioxide\nC. Helium\nD. Neon\nAnswer:"
WORD_PROBLEM = "Anna has 12 apples and gives half of them to Ben. How many apples does she have left?"


def value(text: str, name: str, turns: int = 1) -> float:
    return signals_of(text, turns).values[NAMES.index(name)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (CHOICE, Kind.CHOICE),
        (CHOICE.replace("A. ", "(a) ").replace("B. ", "(b) ").replace("C. ", "(c) "), Kind.CHOICE),
        ("Fix this:\n```\nprint('x'\n```", Kind.CODE),
        ("Write a Python function that reverses a string.", Kind.CODE),
        (WORD_PROBLEM, Kind.MATHS),
        ("Solve $x^2 = 4$ for $x$.", Kind.MATHS),
        ("Who painted the Mona Lisa?", Kind.SHORT),
        ("Write a poem about the sea.", Kind.OPEN),
        ("Why is the sky blue?", Kind.OPEN),
        ("", Kind.SHORT),
        ("J. Smith met\nC. Jones and\nD. Brown", Kind.SHORT),  # initials are no options
    ],
)
def test_kinds(text: str, kind: Kind) -> None:
    assert signals_of(text).kind is kind


def test_one_number_for_each_name() -> None:
    for text in ("", CHOICE, WORD_PROBLEM, "Explique la mécanique quantique.", "解释量子力学", "\ud800 half a pair"):
        assert len(signals_of(text).values) == len(NAMES)


def test_numbers_say_what_they_are_called() -> None:
    assert value(CHOICE, "options") == 4
    assert value(CHOICE, "options with numbers") == 0
    assert value(WORD_PROBLEM, "numbers") > 0 == value("no digits", "numbers")
    assert value(WORD_PROBLEM, "ends as a question") == 1
    assert value("How far is it?", "begins with how") == 1
    assert value("Do not use the word cat.", "negations") == 1
    assert value("量子力学", "other scripts") == 1
    assert value("Go on.", "turns", turns=4) > value("Go on.", "turns")
    assert value("It costs $5 or 3 %.", "dollars") == value("It costs $5 or 3 %.", "percents") > 0


def test_of_a_long_text_the_length_is_whole_and_the_rest_is_sampled() -> None:
    long, longer = "word " * 10_000, "word " * 20_000
    assert value(longer, "length") > value(long, "length")
    assert value(longer, "words") == value(long, "words")
    assert signals_of("x " * 5_000 + "```").kind is Kind.CODE  # the end is looked at
