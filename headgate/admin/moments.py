"""Times as operators write them: `7d`, `2026-11-01`, or Unix seconds."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import Annotated

import msgspec

from headgate.errors import InvalidRequest

LATEST = 100_000_000_000  # Unix seconds, in the year 5138: what databases and calendars agree on ends somewhere beyond
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"([0-9]{1,6})([smhdw])")
_UNIX_SECONDS = re.compile(r"[0-9]{1,11}(\.[0-9]{1,9})?")

UnixSeconds = Annotated[float, msgspec.Meta(ge=0, le=LATEST)]
Moment = Annotated[
    str,
    msgspec.Meta(
        description="A day (`2026-11-01`, UTC), how long ago (`7d`; s, m, h, d or w), or Unix seconds.",
        extra_json_schema={
            "anyOf": [
                {"format": "date"},
                {"pattern": f"^{_DURATION.pattern}$"},
                {"pattern": f"^{_UNIX_SECONDS.pattern}$"},
            ]
        },
    ),
]


def duration_seconds(text: str, param: str) -> float:
    """`30d` in seconds. Raises InvalidRequest."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise InvalidRequest(
            f"'{text}' is not a duration. Write a number and a unit: 45s, 30m, 12h, 7d, 4w.", param=param
        )
    return int(match[1]) * _UNIT_SECONDS[match[2]]


def moment(text: str | None, now: float, param: str) -> float | None:
    """A point in time as Unix seconds; a duration counts back from now. None stays None. Raises InvalidRequest."""
    if text is None:
        return None
    text = text.strip()
    if _DURATION.fullmatch(text):
        return now - duration_seconds(text, param)
    if _UNIX_SECONDS.fullmatch(text):
        return min(float(text), LATEST)
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC).timestamp()
    except ValueError:
        raise InvalidRequest(
            f"'{text}' is not a time. Write a day (2026-11-01), how long ago (7d), or Unix seconds.", param=param
        ) from None


def written(at: float | None) -> str:
    """A time for people: `2026-11-01 12:30 UTC`."""
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
