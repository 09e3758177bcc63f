"""What is wrong with an answer, as far as it can be seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.policy.escalating import (
    LOOKED_AT_CHARACTERS,
    Doubt,
    Given,
    Standard,
    doubt,
    is_refusal,
    is_undecided,
)

ALL = Standard()


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I\u2019m unable to access the internet, so I cannot tell.",
        "As an AI language model, I cannot have opinions.",
        "  Sorry, I won't do this.",
        "Unfortunately, I don't have access to your calendar.",
    ],
)
def test_refusals(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Sure!",
        "I'm sorry to hear that. Have you tried turning it off?",
        "You can't divide by zero.",
        "Sorry for the wait: 42.",
    ],
)
def test_no_refusals(text: str) -> None:
    assert not is_refusal(text)


@given(st.text(max_size=400), st.text(max_size=20))
def test_who_decides_on_a_beginning_is_right_about_the_whole(text: str, more: str) -> None:
    """What a stream's first words have decided, later words do not change."""
    if not is_undecided(text) and not is_refusal(text):
        assert not is_refusal(text + more)


@given(st.sampled_from(["I'm sorry, ", "I can", "as an a", "S"]), st.text(min_size=LOOKED_AT_CHARACTERS + 40))
def test_nothing_is_held_back_for_long(begin: str, more: str) -> None:
    assert is_undecided(begin)
    assert not is_undecided(begin + "x" + more.strip() + "x" * LOOKED_AT_CHARACTERS)


def test_a_tool_call_is_an_answer() -> None:
    assert doubt(Given("", calls_tools=True), ALL, wants_json=True, may_be_cut=False) is None


@pytest.mark.parametrize("kind", [Doubt.REFUSAL, Doubt.EMPTY, Doubt.TRUNCATED, Doubt.INVALID_JSON])
def test_only_what_is_looked_for_is_found(kind: Doubt) -> None:
    wrong = {
        Doubt.REFUSAL: Given("No.", refuses=True),
        Doubt.EMPTY: Given(" "),
        Doubt.TRUNCATED: Given("Once", truncated=True),
        Doubt.INVALID_JSON: Given("{"),
    }[kind]
    wants_json = kind is Doubt.INVALID_JSON
    found = doubt(wrong, Standard(frozenset({kind})), wants_json=wants_json, may_be_cut=False)
    assert found is not None and found[0] is kind
    assert doubt(wrong, Standard(frozenset(Doubt) - {kind}), wants_json=wants_json, may_be_cut=False) is None


def test_what_is_not_looked_for_hides_nothing() -> None:
    said = Given("I'm sorry, but I can't help with that.")
    found = doubt(said, Standard(frozenset({Doubt.INVALID_JSON})), wants_json=True, may_be_cut=False)
    assert found is not None and found[0] is Doubt.INVALID_JSON
