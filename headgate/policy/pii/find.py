"""Finding personal data and secrets in a text: every recogniser over the places that concern it.

Time grows with the length of the text and no faster, whatever is in it. Most texts have neither an `@` nor a place
dense with digits nor a word that announces a secret, and are done after a few quick looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from headgate.policy.pii.accounts import ibans
from headgate.policy.pii.digits import SHORTEST, dense_areas, digits_of, has_digits, runs
from headgate.policy.pii.documents import FEWEST_DIGITS, documents, spaced_documents
from headgate.policy.pii.findings import EVERY_CLASS, Finding, PiiClass, without_overlaps
from headgate.policy.pii.internet import DOTS_OF_IPV4, emails, ipv4, ipv6
from headgate.policy.pii.names import NO_NAMES, Names, find_names
from headgate.policy.pii.numbers import numbers
from headgate.policy.pii.secrets import announced_secrets, known_secrets

_IN_DIGITS = frozenset({PiiClass.CARD, PiiClass.IBAN, PiiClass.NATIONAL_ID, PiiClass.PHONE, PiiClass.IP})


def find(text: str, classes: Set[PiiClass] = EVERY_CLASS, names: Names = NO_NAMES) -> list[Finding]:
    """What of these classes is in a text, in its order and without overlaps."""
    found = [finding for finding in _all(text, classes, names) if finding.pii_class in classes]
    return without_overlaps(found) if len(found) > 1 else found


def _all(text: str, classes: Set[PiiClass], names: Names) -> Iterator[Finding]:
    digits = digits_of(text)
    some_digits = has_digits(digits)
    if PiiClass.SECRET in classes:
        yield from known_secrets(text)
        if some_digits:
            yield from announced_secrets(text)
    if "@" in text and PiiClass.EMAIL in classes:
        yield from emails(text)
    if ":" in text and PiiClass.IP in classes:
        yield from ipv6(text)
    if some_digits and not classes.isdisjoint(_IN_DIGITS):
        for start, end, count in dense_areas(digits):
            yield from _in_digits(text, start, end, count)
    if PiiClass.NAME in classes:
        yield from find_names(text, names)


def _in_digits(text: str, start: int, end: int, count: int) -> Iterator[Finding]:
    if text.count(".", start, end) >= DOTS_OF_IPV4:
        yield from ipv4(text, start, end)
    yield from documents(text, start, end)
    if count >= FEWEST_DIGITS:
        yield from spaced_documents(text, start, end)
    if count < SHORTEST:
        return
    yield from ibans(text, start, end)
    for run in runs(text, start, end):
        yield from numbers(text, run)
