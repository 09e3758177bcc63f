"""Data URLs."""

from __future__ import annotations

import pytest

from headgate.wire import data_url


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("data:image/png;base64,AAAA", ("image/png", "AAAA")),
        ("DATA:image/png;charset=x;BASE64,AA,A", ("image/png;charset=x", "AA,A")),
        ("data:;base64,", ("text/plain", "")),
        ("data:text/plain,hello", None),
        ("https://a.test/b;base64,AAAA", None),
        ("AAAA", None),
        ("", None),
    ],
)
def test_reading(url: str, found: tuple[str, str] | None) -> None:
    assert data_url.read(url) == found


def test_what_is_written_reads_the_same() -> None:
    assert data_url.read(data_url.write("image/png", "AAAA")) == ("image/png", "AAAA")
