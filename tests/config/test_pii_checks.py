"""The block `pii`. The mark » stands where the problem is expected to be told."""

from __future__ import annotations

import typing

import pytest

from headgate.assembly.parts import pii_rules
from headgate.config import schema
from headgate.policy.pii.findings import PiiClass
from headgate.types import Severity
from tests.config.reading import config, errors, marked, read


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("pii: {store: [»secret]}\n", "pii.store[0]: secrets are never kept"),
        ("pii: {redact: [email, »secret]}\n", "pii.redact[1]: secrets are never kept"),
        ("pii: {private: [»secret]}\n", "pii.private[0]: secrets are never kept"),
        ("pii: {redact: [»emial]}\n", 'unknown value "emial"; did you mean "email"?'),
        ("pii: {redact: [email], never: [»email]}\n", "pii.never[0]: here already: pii.redact[0]"),
        ("pii: {names: [»'*']}\n", "pii.names[0]: no name"),
        ("pii: {names: [Ada, »Fal*con]}\n", "pii.names[1]: no name"),
    ],
)
def test_what_cannot_be_is_told(written: str, said: str) -> None:
    plain, place = marked(written)
    found = errors(plain)
    assert any(place in line and said in line for line in found), found


def test_a_rule_for_names_without_names_is_a_warning() -> None:
    told = read("pii: {redact: [name]}\n").notes
    assert any(one.severity is Severity.WARNING and "no names" in one.message for one in told)


def test_rules_are_read() -> None:
    rules = pii_rules(config("pii: {store: [ip], redact: [email], private: [card], names: [Ada L.]}\n").pii)
    assert (rules.store, rules.redact, rules.private) == ({PiiClass.IP}, {PiiClass.EMAIL}, {PiiClass.CARD})
    assert rules.names.by_word == {"ada": [("ada", "l")]}


def test_the_configuration_knows_every_class() -> None:
    assert set(typing.get_args(schema.PiiClass)) == set(PiiClass)
