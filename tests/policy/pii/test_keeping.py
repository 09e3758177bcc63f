"""What may be kept: by rule, for whom, and as what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.policy.pii.findings import PiiClass
from headgate.policy.pii.keeping import KEEP_AS_IT_IS, Keep, keep, question_marker
from headgate.policy.pii.names import read_names
from headgate.policy.pii.rules import Rules, Scope

MAIL, CARD, SECRET = "ada@example.com", "4111 1111 1111 1111", "sk-proj-a1B2c3D4e5F6g7H8"
QUESTION, ANSWER = "Where do rivers end?", "In the sea."


def rules(**by_rule: list[str]) -> Rules:
    names = read_names(by_rule.pop("names", []))
    return Rules(**{rule: frozenset(map(PiiClass, classes)) for rule, classes in by_rule.items()}, names=names)


NONE = rules()
REDACT = rules(redact=["email"])
PRIVATE = rules(private=["email"])
STORE = rules(store=["email", "card"])


def test_what_holds_nothing_is_kept_as_it_is() -> None:
    assert keep(NONE, QUESTION, ANSWER, user="ada", context=["Be brief."]) is KEEP_AS_IT_IS


@pytest.mark.parametrize(("question", "answer", "context"), [
    (MAIL, ANSWER, ""), (QUESTION, MAIL, ""), (QUESTION, ANSWER, MAIL),
])  # fmt: skip
def test_a_class_that_no_rule_names_is_never_kept(question: str, answer: str, context: str) -> None:
    decision = keep(NONE, question, answer, user="ada", context=[context])
    assert decision.scope is Scope.NOTHING
    assert "email" in decision.reason and MAIL not in decision.reason


def test_a_class_that_is_stored_makes_no_difference() -> None:
    assert keep(STORE, f"mail {MAIL}", f"paid with {CARD}", user=None) is KEEP_AS_IT_IS


@pytest.mark.parametrize("rule", ["store", "redact", "private"])
def test_secrets_are_never_kept_whatever_the_rules_say(rule: str) -> None:
    allowing = Rules(**{rule: frozenset(PiiClass)})
    assert keep(allowing, f"my key {SECRET}", ANSWER, user="ada").scope is Scope.NOTHING
    assert keep(allowing, QUESTION, f"your key {SECRET}", user="ada").scope is Scope.NOTHING


def test_a_question_is_kept_without_its_values_and_for_the_same_values_only() -> None:
    decision = keep(REDACT, f"Is {MAIL} known?", "Yes.", user=None)
    assert (decision.scope, decision.redacted) == (Scope.TENANT, "Is [email] known?")
    other = keep(REDACT, "Is bob@example.com known?", "Yes.", user=None)
    assert other.redacted == decision.redacted and other.marker != decision.marker
    assert question_marker(REDACT, f"Is {MAIL} known?") == (decision.redacted, decision.marker)
    assert question_marker(REDACT, f"Do you know whether {MAIL} is there?")[1] == decision.marker
    assert question_marker(REDACT, QUESTION) == (QUESTION, "")


def test_an_answer_that_would_have_to_be_redacted_is_not_kept() -> None:
    decision = keep(REDACT, QUESTION, f"Ask {MAIL}.", user="ada")
    assert decision == Keep(Scope.NOTHING, "the answer would have to be redacted: email")


def test_values_of_the_turns_before_are_in_a_digest_only() -> None:
    assert keep(REDACT, QUESTION, ANSWER, user=None, context=[MAIL]).scope is Scope.TENANT


def test_private_content_is_for_its_user_alone() -> None:
    for asked, answered, context in ((MAIL, ANSWER, ""), (QUESTION, MAIL, ""), (QUESTION, ANSWER, MAIL)):
        assert keep(PRIVATE, asked, answered, user="ada", context=[context]).scope is Scope.USER
        assert keep(PRIVATE, asked, answered, user=None, context=[context]).scope is Scope.NOTHING


def test_the_strictest_rule_holds() -> None:
    mixed = rules(redact=["email"], private=["card"])
    decision = keep(mixed, f"{MAIL} pays with {CARD}", ANSWER, user="ada")
    assert (decision.scope, decision.redacted) == (Scope.USER, f"[email] pays with {CARD}")
    assert keep(mixed, f"{MAIL} from 192.168.17.4", ANSWER, user="ada").scope is Scope.NOTHING


def test_names_are_found_as_whole_words_however_they_are_written() -> None:
    named = rules(redact=["name"], names=["Ada Lovelace", "Project Fal*"])
    decision = keep(named, "Did ADA\nLOVELACE join project falcon?", "Yes.", user=None)
    assert decision.redacted == "Did [name] join [name]?"
    assert keep(named, "Adams met Lovelace; a project failed", "Yes.", user=None).redacted is None
    assert keep(rules(names=["Ada"]), "for Ada", ANSWER, user="ada").scope is Scope.NOTHING


WORDS = st.lists(st.sampled_from([MAIL, "bob@example.com", CARD, SECRET, "rivers", "sea", "+49 30 901820"]), max_size=6)
SOME_RULES = st.fixed_dictionaries(
    {rule: st.frozensets(st.sampled_from(PiiClass)) for rule in ("store", "redact", "private")}
)


@given(SOME_RULES, WORDS, WORDS, st.sampled_from([None, "ada"]))
def test_nothing_that_must_be_hidden_is_in_what_is_kept(
    drawn: dict[str, frozenset[PiiClass]], asked: list[str], answered: list[str], user: str | None
) -> None:
    decided = Rules(
        store=drawn["store"],
        redact=drawn["redact"] - drawn["store"],
        private=drawn["private"] - drawn["store"] - drawn["redact"],
    )
    question, answer = " and ".join(asked), " and ".join(answered)
    decision = keep(decided, question, answer, user=user)
    if decision.scope is Scope.NOTHING:
        return
    stored = (decision.redacted if decision.redacted is not None else question) + " " + answer
    allowed = decided.store | (decided.private if decision.scope is Scope.USER else frozenset())
    classes = {
        MAIL: PiiClass.EMAIL,
        "bob@example.com": PiiClass.EMAIL,
        CARD: PiiClass.CARD,
        "+49 30 901820": PiiClass.PHONE,
    }
    assert SECRET not in stored
    assert all(pii_class in allowed for value, pii_class in classes.items() if value in stored)
