"""What to damage JSON with, and where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from tests.hostile.voices import Event

INVALID = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\x80")  # no UTF-8
HALVES = (b"\\ud83d", b"\\ude42", b"\\uD83D\\ud83d", b"\\udfff\\ud800")  # of characters, as JSON writes them

ODD = [
    *(None, True, False, 0, -1, 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30),
    *(1e300, -1e300, 1e-320, 1.5, "", "x", "\u2028", "\x00", "12", "[DONE]", "error", "x" * 70),
    *([], {}, [[]], [{}], [None], {"a": 1}, {"": None}, [1, 2, 3], {"error": "no"}, {"type": "error"}),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
RAW = [
    *(b"NaN", b"Infinity", b"1e999", b"-1e999", b"1" * 400, b"0" * 9, b"'x'", b"", b"}", b"]", b'"', b"/**/1"),
    *(b"[" * depth + b"]" * depth for depth in (900, 3_000)),
    *(b'{"a":' * depth + b"1" + b"}" * depth for depth in (900, 3_000)),
    *(b'"\\ud83d"', b'"\\u0000"', b'"\\x"', b'"\n"', b'"\xff"'),
]
_HERE = "here, and nowhere else"


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value in JSON, the whole of it first."""
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, member in members:
        yield from places(member, (*path, step))


def with_raw(event: Event, path: tuple[str | int, ...], raw: bytes) -> Event:
    """The event with other JSON at a place."""
    value: Any = json.loads(event.data)
    if not path:
        return Event(event.what, raw, event.name)
    inner = value
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = _HERE
    return Event(event.what, json.dumps(value).encode().replace(json.dumps(_HERE).encode(), raw), event.name)
