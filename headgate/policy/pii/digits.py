"""Where in a text the digits are, and the numbers they form.

The cheap look before all others: most texts have no place with four digits close together, and cost a microsecond.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from headgate.types import Frozen

MARGIN = 20  # characters around digits that may belong to them: the letters of an IBAN, say
SHORTEST = 6  # digits of a number worth a look
_DIGITS = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x20 for byte in range(256))
_DENSE = re.compile(rb"0(?:[^0]{0,3}0){3,}")  # every digit is a 0 here
_RUN = re.compile(r"(?<![A-Za-z0-9_])(?:\+|\(\+?)?[0-9]++(?:[ .\-/()\u00a0\u2010-\u2013]{1,3}[0-9]++)*+")
_GROUP = re.compile(r"[0-9]+")
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013"), "-") | {0xA0: " "}


class Run(Frozen, frozen=True, gc=False):
    """Groups of digits with nothing but separators between them: one number, or several."""

    start: int  # of what is before them: + or ( or both
    groups: tuple[tuple[int, int], ...]  # where they are in the text
    form: tuple[str, ...]  # how they are written: the first's length, then of each what is before it and its length


def digits_of(text: str) -> bytes:
    """A 0 for each digit, and something else for every other character."""
    return text.encode("latin-1", "replace").translate(_DIGITS)


def has_digits(digits: bytes) -> bool:
    """Whether there is any, of what `digits_of` says."""
    return b"0" in digits


def dense_areas(digits: bytes) -> list[tuple[int, int, int]]:
    """Places with at least four digits, each at most three characters from the next, and what stands around them.

    Each as its start, its end, and how many digits are in it. `digits` as `digits_of` says.
    """
    areas: list[tuple[int, int]] = []
    for match in _DENSE.finditer(digits):
        start, end = max(0, match.start() - MARGIN), match.end() + MARGIN
        if areas and start <= areas[-1][1]:
            start = areas.pop()[0]
        areas.append((start, end))
    return [(start, end, digits.count(b"0", start, end)) for start, end in areas]


def runs(text: str, start: int, end: int) -> Iterator[Run]:
    """The runs of digits in an area of a text."""
    for match in _RUN.finditer(text, start, end):
        groups = tuple([group.span() for group in _GROUP.finditer(text, match.start(), match.end())])
        form, before = [], groups[0][0]
        for begin, beyond in groups:
            separator = text[before:begin]
            form.append(f"{separator if separator.isascii() else separator.translate(_DASHES)}{beyond - begin}")
            before = beyond
        yield Run(match.start(), groups, tuple(form))
