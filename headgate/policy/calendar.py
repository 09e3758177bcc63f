"""Calendar windows: the day, week or month that a moment lies in, in a tenant's time zone.

Days begin at local midnight, whatever daylight saving does to their length (23, 24 or 25 hours); where midnight does
not exist on a day, at the first moment that does.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from math import floor
from zoneinfo import ZoneInfo

from headgate.types import Frozen

WINDOWS = ("day", "week", "month")


class Period(Frozen, frozen=True, gc=False):
    """One window. `name` is how it sorts and reads: 2026-11-28, 2026-W48, 2026-11; times are Unix seconds."""

    name: str
    begins_at: float
    ends_at: float


EVER = Period("", 0.0, float("inf"))


def zone_of(name: str) -> tzinfo:
    """The time zone of an IANA name; UTC also where no time zones are installed. Raises ZoneInfoNotFoundError."""
    return UTC if name == "UTC" else ZoneInfo(name)


def period(window: str, zone: tzinfo, now: float) -> Period:
    """The window around a moment; "" is all time. Weeks begin on Monday, as in ISO 8601."""
    if not window:
        return EVER
    today = _day_of(now, zone)
    if window == "day":
        first, name = today, today.isoformat()
        following = first + timedelta(days=1)
    elif window == "week":
        first = today - timedelta(days=today.weekday())
        year, week, _ = today.isocalendar()
        name, following = f"{year}-W{week:02d}", first + timedelta(days=7)
    else:
        first, name = today.replace(day=1), f"{today:%Y-%m}"
        following = (first + timedelta(days=31)).replace(day=1)
    return Period(name, _midnight(first, zone), _midnight(following, zone))


def _day_of(now: float, zone: tzinfo) -> date:
    """The local day, by its first moment: where clocks were put back over midnight, a date that comes again is over."""
    today = datetime.fromtimestamp(floor(now), zone).date()  # it rounds, up to a day that has not begun
    tomorrow = today + timedelta(days=1)
    return today if now < _midnight(tomorrow, zone) else tomorrow


def _midnight(day: date, zone: tzinfo) -> float:
    """The first moment of a local day: of two midnights the first, of none the end of the gap (PEP 495)."""
    latest = datetime(day.year, day.month, day.day, tzinfo=zone)
    at, early = int(latest.timestamp()), int(latest.replace(fold=1).timestamp())
    while early < at:  # a gap: the moment is between the readings by the offset after it and by the one before
        middle = (early + at) // 2
        if datetime.fromtimestamp(middle, zone).date() < day:
            early = middle + 1
        else:
            at = middle
    return float(at)
