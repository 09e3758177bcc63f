"""Calendar windows in any time zone: they tile time, whatever clocks are put to."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headgate.policy.calendar import EVER, WINDOWS, period
from tests.scale import scaled

ZONES = (
    "UTC", "Europe/Berlin", "America/Sao_Paulo", "America/Havana", "America/St_Johns", "America/Toronto", "Asia/Gaza",
    "Asia/Kathmandu", "Asia/Tehran", "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Kwajalein", "Atlantic/Azores",
)  # fmt: skip
HOUR = 3600.0


def at(text: str) -> float:
    """A moment in UTC, Unix seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def day(zone: str, moment: str) -> tuple[str, float]:
    """Its name and its length in hours."""
    found = period("day", ZoneInfo(zone), at(moment))
    return found.name, (found.ends_at - found.begins_at) / HOUR


def test_a_window_has_a_name_that_sorts() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    names = [period(window, berlin, at("2026-12-31T23:30")).name for window in WINDOWS]
    assert names == ["2027-01-01", "2026-W53", "2027-01"]
    assert period("", berlin, 0.0) == EVER


@pytest.mark.parametrize(
    ("zone", "moment", "expected"),
    [
        ("Europe/Berlin", "2026-03-29T12:00", ("2026-03-29", 23.0)),
        ("Europe/Berlin", "2026-10-25T12:00", ("2026-10-25", 25.0)),
        ("America/Sao_Paulo", "2018-11-04T12:00", ("2018-11-04", 23.0)),  # midnight is 01:00
        ("America/Sao_Paulo", "2018-02-18T02:30", ("2018-02-17", 25.0)),  # 23:30 for the second time
        ("Pacific/Apia", "2011-12-30T09:59", ("2011-12-29", 24.0)),
        ("Pacific/Apia", "2011-12-30T10:00", ("2011-12-31", 24.0)),  # there was no 30th
        ("America/St_Johns", "2008-11-02T02:30:30", ("2008-11-02", 25.0)),  # one minute, then 23:01 of the 1st again
        ("America/St_Johns", "2008-11-02T02:45", ("2008-11-02", 25.0)),
        ("America/Toronto", "1919-03-31T04:45", ("1919-03-31", 23.5)),  # 23:30 was 00:30
    ],
)
def test_days_on_which_clocks_are_put_back_or_forward(zone: str, moment: str, expected: tuple[str, float]) -> None:
    assert day(zone, moment) == expected


def test_a_day_begins_at_the_first_moment_that_exists() -> None:
    assert period("day", ZoneInfo("America/Sao_Paulo"), at("2018-11-04T12:00")).begins_at == at("2018-11-04T03:00")
    assert period("day", ZoneInfo("America/Toronto"), at("1919-03-31T12:00")).begins_at == at("1919-03-31T04:30")


@settings(max_examples=scaled(5_000, 300))
@given(
    zone=st.sampled_from(ZONES),
    window=st.sampled_from(WINDOWS),
    now=st.floats(at("1972-01-01"), at("2037-12-31")) | st.integers(64 * 10**7, 142 * 10**7).map(float),
)
@example("America/St_Johns", "day", at("2008-11-02T02:30:59"))
@example("Pacific/Apia", "day", at("2011-12-30T10:00"))
@example("Pacific/Apia", "week", at("2011-12-30T10:00"))
@example("UTC", "day", at("1987-01-01T00:00:00") - 2.4e-7)
def test_windows_tile_time(zone: str, window: str, now: float) -> None:
    place = ZoneInfo(zone)
    here = period(window, place, now)
    assert here.begins_at <= now < here.ends_at
    after, before = period(window, place, here.ends_at), period(window, place, here.begins_at - 1e-3)
    assert after.begins_at == here.ends_at and before.ends_at == here.begins_at
    assert before.name < here.name < after.name
    assert period(window, place, here.begins_at) == here == period(window, place, here.ends_at - 1e-3)
