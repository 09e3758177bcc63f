"""Characters cut in two: some providers cut text into events between the halves of a surrogate pair.

JSON can write one half ("\\ud83d"), text cannot hold it, and msgspec refuses it. Whoever fails to decode an event lets
it be mended here and tries again.
"""

from __future__ import annotations

import re

_ESCAPE = re.compile(
    rb"\\(?:u(?P<high>[dD][89abAB][0-9a-fA-F]{2})(?P<pair>\\u[dD][c-fC-F][0-9a-fA-F]{2})?"
    rb"|u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_LONE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_UNREADABLE = rb"\ufffd"  # the replacement character


class Mender:
    """Puts the halves of one stream's characters together, each where its second half comes."""

    __slots__ = ("_high",)

    def __init__(self) -> None:
        self._high = b""

    def mend(self, data: bytes) -> bytes:
        """The JSON without lone halves: a first half is kept for the second, a second one without a first replaced."""
        return _ESCAPE.sub(self._whole, data)

    def _whole(self, escape: re.Match[bytes]) -> bytes:
        if escape["high"] and not escape["pair"]:
            self._high = escape["high"]
            return b""
        if not escape["low"]:
            return escape[0]
        high, self._high = self._high, b""
        return b"\\u" + high + b"\\u" + escape["low"] if high else _UNREADABLE


def mend(data: bytes) -> bytes:
    """The JSON with every lone half replaced, for a document that is whole."""
    return _ESCAPE.sub(_readable, data)


def has_lone_halves(data: bytes) -> bool:
    """Whether a document has what looks like half a character, in one fast search: for messages only."""
    return _LONE.search(data) is not None


def _readable(escape: re.Match[bytes]) -> bytes:
    lone = escape["low"] or (escape["high"] and not escape["pair"])
    return _UNREADABLE if lone else escape[0]
