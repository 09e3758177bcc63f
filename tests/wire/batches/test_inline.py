"""Requests that are read while they come in: the same as when the whole is read at once."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import BodyTooLarge, MalformedJson
from headgate.wire.batches.inline import RequestsReader


def read(body: bytes, size: int = 7, most_bytes: int = 100_000) -> list[bytes]:
    reader = RequestsReader(most_bytes)
    found = [element for start in range(0, len(body), size) for element in reader.feed(body[start : start + size])]
    reader.end()
    return found


VALUES = st.recursive(
    st.text(max_size=8) | st.sampled_from(['"', "\\", '\\"', "]}", "{[", "\n"]) | st.none() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), max_size=5),
    st.integers(1, 30),
    st.sampled_from([None, 0, 2]),
    st.booleans(),
)
def test_the_elements_are_those_of_the_whole(
    elements: list[object], size: int, indent: int | None, ascii_only: bool
) -> None:
    body = json.dumps({"requests": elements}, indent=indent, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    assert [json.loads(element.decode(errors="surrogatepass")) for element in read(body, size)] == elements


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"[]", b'{"requests": 3}', b'{"other": 1, "requests": []}', b'{"requests": [',
        b'{"requests": [{}', b'{"requests": [{}]', b'{"requests": [{}]} x', b'{"requests": [{} {}]}',
        b'{"requests": [,{}]}', b'{"requests": [{},]}', b'{"requests": [3]}', b'{"requests": [{"a": "]}',
        b'{"requests": [{}], "more": 1}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 5, 100_000])
def test_what_is_no_such_body_is_refused(body: bytes, size: int) -> None:
    with pytest.raises(MalformedJson):
        read(body, size)


@pytest.mark.parametrize("body", [b" " * 200_000, b'{"requests": [' + b" " * 200_000])
@pytest.mark.parametrize("size", [5, 100_000])
def test_a_long_way_to_nothing_is_refused(body: bytes, size: int) -> None:
    with pytest.raises(MalformedJson):
        read(body, size)


def test_an_element_that_is_too_large_is_refused_before_it_ends() -> None:
    body = b'{"requests": [{"a": "b"}, {"a": "' + b"x" * 1000
    reader = RequestsReader(100)
    with pytest.raises(BodyTooLarge, match=r"requests\[1\]"):
        for start in range(0, len(body), 50):
            list(reader.feed(body[start : start + 50]))
