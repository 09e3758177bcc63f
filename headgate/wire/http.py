"""Facts that stand in HTTP headers, whatever the dialect."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime


def retry_after_seconds(headers: Mapping[str, str], now: float) -> float | None:
    """How long a provider asks to wait: `retry-after-ms`, or `retry-after` as seconds or a date (RFC 9110, 10.2.3)."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if value is None:
        return None
    seconds = _number(value)
    if seconds is not None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number < 1e9 else None


def upstream_id(headers: Mapping[str, str]) -> str:
    """The provider's own name for the request, to ask its support with."""
    return (
        headers.get("x-request-id")
        or headers.get("request-id")
        or headers.get("apim-request-id")
        or headers.get("cf-ray", "")
    )


def has_type(headers: Mapping[str, str], media_type: str) -> bool:
    """Whether a body is of a media type; its parameters do not matter."""
    return headers.get("content-type", "").lower().startswith(media_type)
