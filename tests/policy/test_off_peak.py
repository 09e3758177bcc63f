"""Off-peak windows: what opens when, on ordinary days and when the clocks change."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import InvalidRequest
from headgate.policy.off_peak import Hours, Opening, opening, opens_at, read_hours

BERLIN = "Europe/Berlin"


def at(written: str, fold: int = 0) -> float:
    return datetime.fromisoformat(written).replace(tzinfo=ZoneInfo(BERLIN), fold=fold).timestamp()


def in_berlin(window: str, written: str, fold: int = 0) -> Opening:
    return opening(read_hours(window, BERLIN), at(written, fold))


def test_a_window_is_open_between_its_ends() -> None:
    assert in_berlin("01:00-06:00", "2026-11-28T00:59:59") == Opening(False, at("2026-11-28T01:00"))
    assert in_berlin("01:00-06:00", "2026-11-28T01:00:00") == Opening(True, at("2026-11-28T06:00"))
    assert in_berlin("01:00-06:00", "2026-11-28T05:59:59").is_open
    assert in_berlin("01:00-06:00", "2026-11-28T06:00:00") == Opening(False, at("2026-11-29T01:00"))


def test_it_may_go_over_midnight() -> None:
    assert in_berlin("22:00-06:00", "2026-11-28T23:00") == Opening(True, at("2026-11-29T06:00"))
    assert in_berlin("22:00-06:00", "2026-11-28T03:00") == Opening(True, at("2026-11-28T06:00"))
    assert in_berlin("22:00-06:00", "2026-11-28T12:00") == Opening(False, at("2026-11-28T22:00"))
    assert in_berlin("20:00-24:00", "2026-11-28T21:00") == Opening(True, at("2026-11-29T00:00"))


def test_in_the_night_that_is_an_hour_longer_it_is_open_in_both() -> None:
    assert in_berlin("02:15-02:45", "2026-10-25T02:20") == Opening(True, at("2026-10-25T02:45", fold=1))
    assert in_berlin("02:15-02:45", "2026-10-25T02:50").is_open, "the clock is about to be put back"
    assert not in_berlin("02:15-02:45", "2026-10-25T02:50", fold=1).is_open
    assert in_berlin("01:00-06:00", "2026-10-25T01:00").until - at("2026-10-25T01:00") == 6 * 3600


def test_in_the_night_that_is_an_hour_shorter_it_opens_at_the_first_moment_there_is() -> None:
    assert in_berlin("02:30-06:00", "2026-03-29T01:00").until == at("2026-03-29T03:00")
    assert in_berlin("01:00-06:00", "2026-03-29T01:00").until - at("2026-03-29T01:00") == 4 * 3600
    assert in_berlin("02:15-02:45", "2026-03-29T01:00") == Opening(False, at("2026-03-30T02:15")), "not that night"


@pytest.mark.parametrize(
    "window", ["", "1-6", "01:00", "01:00-01:00", "25:00-06:00", "01:60-06:00", "24:00-06:00", "01:00-24:01", "x" * 99]
)
def test_what_is_no_window_is_refused(window: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a window") as refused:
        read_hours(window, "UTC")
    assert refused.value.param == "window"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "", "a" * 300])
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidRequest, match="no time zone"):
        read_hours("01:00-06:00", zone)


hours = st.builds(
    Hours,
    begin=st.integers(0, 1439),
    end=st.integers(1, 1440),
    zone_name=st.sampled_from(["UTC", BERLIN, "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"]),
).filter(lambda hours: hours.begin != hours.end)
moments = st.floats(1.7e9, 1.9e9)


@given(hours, moments)
def test_it_stays_as_it_is_until_the_next_edge(hours: Hours, now: float) -> None:
    found = opening(hours, now)
    assert now < found.until <= now + 3 * 86_400
    assert opening(hours, (now + found.until) / 2).is_open == found.is_open
    assert opening(hours, found.until - 0.001).is_open == found.is_open
    if not found.is_open:
        assert opening(hours, found.until).is_open
    assert opening(hours, opens_at(hours, now)).is_open


@given(hours, moments)
def test_it_is_open_when_the_clock_on_the_wall_says_so(hours: Hours, now: float) -> None:
    local = datetime.fromtimestamp(now, ZoneInfo(hours.zone_name))
    if local.utcoffset() != datetime.fromtimestamp(now - 90_000, ZoneInfo(hours.zone_name)).utcoffset():
        return  # the clocks were changed within the last day
    if local.utcoffset() != datetime.fromtimestamp(now + 90_000, ZoneInfo(hours.zone_name)).utcoffset():
        return
    minutes = local.hour * 60 + local.minute
    wraps = hours.begin > hours.end
    shown = minutes >= hours.begin or minutes < hours.end if wraps else hours.begin <= minutes < hours.end
    assert opening(hours, now).is_open == shown
