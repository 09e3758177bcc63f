"""Facts in a provider's HTTP headers."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.wire.http import has_type, retry_after_seconds

NOW = 1_800_000_000.0


def date(offset_seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(NOW + offset_seconds, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": " 3 "}, 3.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "0", "retry-after": "7"}, 0.0),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": date(90)}, 90.0),
        ({"retry-after": date(-90)}, 0.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e300"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Thu, 99 Xyz 2026 00:00:00 GMT"}, None),
    ],
    ids=str,
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers, NOW) == seconds


@given(st.text(max_size=40), st.text(max_size=10))
def test_no_header_is_ever_a_fault_of_ours(value: str, milliseconds: str) -> None:
    found = retry_after_seconds({"retry-after": value, "retry-after-ms": milliseconds}, NOW)
    assert found is None or 0 <= found < float("inf")


@pytest.mark.parametrize(
    ("content_type", "is_stream"),
    [("text/event-stream", True), ("Text/Event-Stream; charset=utf-8", True), ("application/json", False), ("", False)],
)
def test_event_streams(content_type: str, is_stream: bool) -> None:
    assert has_type({"content-type": content_type}, "text/event-stream") is is_stream
    assert not has_type({}, "text/event-stream")
