"""Off-peak windows: the hours of a day in which a job's items may begin, in a time zone.

A window is what the clock on the wall says: on the night that has 02:00 to 03:00 twice it is open both times, on the
night that has it never it opens at the first moment there is. It may go over midnight.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfoNotFoundError

from headgate.errors import InvalidRequest
from headgate.policy.calendar import zone_of
from headgate.types import Frozen

_WRITTEN = re.compile(r"([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})")
_DAY_MINUTES = 24 * 60


class Hours(Frozen, frozen=True, gc=False):
    """A window as minutes of a day; `end` may be before `begin`: then it is of the next day."""

    begin: int
    end: int
    zone_name: str


class Opening(Frozen, frozen=True, gc=False):
    """Whether a window is open, and until when it stays so, in Unix seconds."""

    is_open: bool
    until: float


def read_hours(window: str, zone_name: str) -> Hours:
    """A window such as `01:00-06:00`. Raises InvalidRequest."""
    match = _WRITTEN.fullmatch(window)
    begin, end = _minutes(match, 1), _minutes(match, 3)
    if begin is None or end is None or begin in (end, _DAY_MINUTES):
        raise InvalidRequest(f"'{window}' is not a window. Write when it begins and ends: 01:00-06:00.", param="window")
    try:
        zone_of(zone_name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # whatever a name does to the file system
        raise InvalidRequest(
            f"There is no time zone '{zone_name}'. Use a name such as Europe/Berlin or UTC.", param="timezone"
        ) from None
    return Hours(begin, end, zone_name)


def opening(hours: Hours, now: float) -> Opening:
    """How a window stands at a time."""
    zone = zone_of(hours.zone_name)
    today = datetime.fromtimestamp(now, zone).date()
    for offset in range(-1, 4):
        day = today + timedelta(days=offset)
        last_day = day if hours.begin < hours.end else day + timedelta(days=1)
        begins = _instant(day, hours.begin, zone, again=False)
        ends = _instant(last_day, hours.end, zone, again=True)
        if begins <= now < ends:
            return Opening(True, ends)
        if now < begins < ends:
            return Opening(False, begins)
    raise AssertionError("a window opens every day, or the day after")


def opens_at(hours: Hours, at: float) -> float:
    """The first moment from `at` on at which the window is open."""
    found = opening(hours, at)
    return at if found.is_open else found.until


def _minutes(match: re.Match[str] | None, group: int) -> int | None:
    if match is None:
        return None
    hour, minute = int(match[group]), int(match[group + 1])
    total = hour * 60 + minute
    return total if minute < 60 and total <= _DAY_MINUTES else None


def _instant(day: date, minutes: int, zone: tzinfo, *, again: bool) -> float:
    """When the clock on the wall shows it: of two moments the second if `again`, of none the first after it."""
    if minutes == _DAY_MINUTES:
        day, minutes = day + timedelta(days=1), 0
    local = datetime.combine(day, time(minutes // 60, minutes % 60), zone)
    first, second = int(local.timestamp()), int(local.replace(fold=1).timestamp())
    if second >= first:
        return float(second if again else first)
    shown = local.replace(tzinfo=None)
    early, at = second, first  # a gap: its end is between the readings by the offset after it and by the one before
    while early < at:
        middle = (early + at) // 2
        if datetime.fromtimestamp(middle, zone).replace(tzinfo=None) < shown:
            early = middle + 1
        else:
            at = middle
    return float(at)
