"""What is found in a text: classes of content, and where they are."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from headgate.types import Frozen


class PiiClass(StrEnum):
    """A class of content, as the configuration names it. Of two that overlap, the one named first here wins."""

    SECRET = "secret"  # keys, tokens, passwords
    EMAIL = "email"
    IBAN = "iban"
    CARD = "card"
    NATIONAL_ID = "national_id"  # of persons: identity, tax and social security numbers, passports, licences
    IP = "ip"
    PHONE = "phone"
    NAME = "name"  # by configuration


EVERY_CLASS = frozenset(PiiClass)
_RANK = {found: rank for rank, found in enumerate(PiiClass)}


class Finding(Frozen, frozen=True, gc=False):
    """`text[start:end]` is of a class."""

    pii_class: PiiClass
    start: int
    end: int


def without_overlaps(found: Iterable[Finding]) -> list[Finding]:
    """In the order of the text; of those that overlap the one of the first class. Two of one class become one."""
    kept: list[Finding] = []
    for finding in sorted(found, key=lambda one: (one.start, one.end)):
        while kept and kept[-1].end > finding.start:
            before = kept[-1]
            if before.pii_class is finding.pii_class:
                kept[-1] = Finding(before.pii_class, before.start, max(before.end, finding.end))
                break
            if _RANK[before.pii_class] < _RANK[finding.pii_class]:
                break
            kept.pop()
        else:
            kept.append(finding)
    return kept
