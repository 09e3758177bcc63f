"""A provider's quota: the configured minute, and the provider's word."""

from __future__ import annotations

import copy
import random

import pytest

from headgate.policy import quota
from headgate.policy.quota import (
    FITS,
    LONGEST_BELIEF_SECONDS,
    NOTHING_SENT,
    Decision,
    Demand,
    Minute,
    QuotaLimits,
    Sent,
    Told,
)
from headgate.types import Allowance, Allowances

ONE = Demand(10, 20, 20)
NOW = 1000.0
SENT_ONE = NOTHING_SENT.and_then(ONE)
SLICE = 0.25


def told(requests: Allowance | None = None, tokens: Allowance | None = None, *, since: Sent = NOTHING_SENT) -> Told:
    return quota.told(Allowances(requests, tokens), since, NOW)


def fits(what: Told, demand: Demand = ONE, *, at: float = NOW) -> bool:
    return quota.decide(what, demand, at).fits


# --- configured limits ---


def test_no_limits_no_decision() -> None:
    minute = Minute()
    minute.began(10**9, NOW)
    assert minute.decide(QuotaLimits(), ONE, NOW) == FITS


def test_requests_of_a_minute() -> None:
    minute, limits = Minute(), QuotaLimits(requests_per_minute=3)
    for second in range(3):
        assert minute.decide(limits, ONE, NOW + second).fits
        minute.began(0, NOW + second)
    refused = minute.decide(limits, ONE, NOW + 3)
    assert refused == Decision(False, NOW + SLICE + 60, "3 of 3 requests a minute are used")
    assert not minute.decide(limits, ONE, refused.at - 0.001).fits
    assert minute.decide(limits, ONE, refused.at).fits


def test_tokens_are_held_as_expected_and_counted_as_used() -> None:
    minute, limits = Minute(), QuotaLimits(tokens_per_minute=100)
    minute.began(90, NOW)
    refused = minute.decide(limits, ONE, NOW)
    assert not refused.fits and refused.may_be_sooner
    assert refused.reason == "90 of 100 tokens a minute are used, 90 of them held for requests under way"
    minute.ended(90, 70, NOW)
    assert minute.decide(limits, ONE, NOW + 1).fits
    minute.began(30, NOW + 1)
    minute.ended(30, 40, NOW + 1)
    refused = minute.decide(limits, ONE, NOW + 2)
    assert refused == Decision(False, NOW + SLICE + 60, "110 of 100 tokens a minute are used")


def test_what_is_under_way_for_more_than_a_minute_counts_until_it_ends() -> None:
    minute, limits = Minute(), QuotaLimits(tokens_per_minute=100)
    minute.began(90, NOW)
    late = NOW + 200
    refused = minute.decide(limits, ONE, late)
    assert not refused.fits and refused.may_be_sooner and refused.at > late
    minute.ended(90, 90, NOW)
    assert minute.decide(limits, ONE, late).fits


def test_a_request_larger_than_the_limit_passes_when_all_is_free() -> None:
    minute, limits, huge = Minute(), QuotaLimits(tokens_per_minute=100), Demand(5_000, 0)
    assert minute.decide(limits, huge, NOW).fits
    minute.began(1, NOW)
    minute.ended(1, 1, NOW)
    refused = minute.decide(limits, huge, NOW)
    assert not refused.fits and refused.at == NOW + 60 + SLICE
    assert minute.decide(limits, huge, refused.at).fits


def test_both_limits_must_fit_and_the_later_time_counts() -> None:
    minute, limits = Minute(), QuotaLimits(requests_per_minute=1, tokens_per_minute=100)
    minute.began(10, NOW)
    minute.began(80, NOW + 30)
    refused = minute.decide(limits, ONE, NOW + 31)
    assert refused.at == NOW + 30 + SLICE + 60


def test_a_share_of_the_limits_may_be_handed_in() -> None:
    minute, whole = Minute(), QuotaLimits(requests_per_minute=4)
    minute.began(0, NOW)
    assert minute.decide(whole, ONE, NOW).fits
    assert not minute.decide(QuotaLimits(requests_per_minute=1), ONE, NOW).fits


@pytest.mark.parametrize("seed", range(20))
def test_no_moving_minute_has_more_than_the_limits(seed: int) -> None:
    """Random requests, of which those go out that fit: checked against an exact count, and so are the times told."""
    chance, now = random.Random(seed), NOW
    limits = QuotaLimits(requests_per_minute=chance.randrange(1, 40), tokens_per_minute=chance.randrange(100, 3000))
    assert limits.requests_per_minute is not None and limits.tokens_per_minute is not None
    minute, sent, under_way = Minute(), list[tuple[float, int]](), list[tuple[float, int]]()
    for _ in range(600):
        now += chance.expovariate(1.0)
        if under_way and chance.random() < 0.5:
            began, held = under_way.pop(chance.randrange(len(under_way)))
            used = chance.randrange(held + 1)
            minute.ended(held, used, began)
            sent.append((began, used))
        demand = Demand(chance.randrange(100), 0)
        decision = minute.decide(limits, demand, now)
        if decision.fits:
            minute.began(demand.tokens, now)
            under_way.append((now, demand.tokens))
        elif not under_way:
            assert copy.deepcopy(minute).decide(limits, demand, decision.at).fits, "the time told is true"
        recent = [tokens for began, tokens in (*sent, *under_way) if began > now - 60]
        assert len(recent) <= limits.requests_per_minute
        assert sum(recent) <= limits.tokens_per_minute


# --- a provider's word ---


def test_nothing_said_nothing_decided() -> None:
    assert quota.decide(Told(), ONE, NOW) == FITS


def test_what_is_left_is_what_was_said_less_what_was_sent() -> None:
    what = told(Allowance(2, 5000, 59.976))
    assert fits(what)
    what = quota.less(what, NOTHING_SENT.and_then(ONE).and_then(ONE), NOW)
    refused = quota.decide(what, ONE, NOW)
    assert not refused.fits and refused.may_be_sooner
    assert refused.reason == "the provider has 0 of 5000 requests left"


def test_what_was_sent_after_the_request_that_is_answered_is_taken_off() -> None:
    assert fits(told(Allowance(5, 100, 57.0), since=Sent(requests=4)))
    assert not fits(told(Allowance(5, 100, 57.0), since=Sent(requests=5)))
    assert not fits(told(None, Allowance(50, 1000, 57.0), since=Sent(tokens=30)))


def test_room_for_certain() -> None:
    steady, window = told(Allowance(2, 5000, 59.976)), told(Allowance(2, 10, 5.0))
    for what in (steady, window):
        assert quota.has_room(what, SENT_ONE, ONE, NOW)
        assert not quota.has_room(what, SENT_ONE.and_then(ONE), ONE, NOW)
    assert quota.has_room(steady, SENT_ONE, ONE, NOW + 5)
    assert not quota.has_room(window, NOTHING_SENT, ONE, NOW + 5), "its reset has come: that must be worked out"
    assert not quota.has_room(told(None, Allowance(29, 100)), NOTHING_SENT, ONE, NOW)
    assert quota.has_room(Told(), SENT_ONE, ONE, NOW)


def test_a_limit_that_refills_steadily_has_room_before_it_is_full() -> None:
    """OpenAI: 60 / 500 seconds for each request."""
    what = told(Allowance(0, 500, 60.0))
    refused = quota.decide(what, ONE, NOW)
    assert refused.at == pytest.approx(NOW + 0.12)
    assert fits(what, at=refused.at) and not fits(what, at=refused.at - 0.01)


def test_a_limit_of_a_day_refills_over_a_day() -> None:
    """Groq: 14,400 requests a day, one in six seconds."""
    assert quota.decide(told(Allowance(0, 14_400, 86_400.0)), ONE, NOW).at == pytest.approx(NOW + 6.0)


def test_what_others_take_is_not_ours_to_wait_for() -> None:
    """Another process takes half of what comes back: each word has less than was left here."""
    what, now = told(Allowance(0, 600, 60.0)), NOW
    assert quota.decide(what, ONE, now).at == pytest.approx(now + 0.1)
    for _ in range(60):
        now += 1.0
        before = quota.less(what, Sent(requests=5), now)
        what = quota.told(Allowances(Allowance(0, 600, 60.0)), NOTHING_SENT, now, before)
    assert quota.decide(what, ONE, now).at == pytest.approx(now + 0.2, rel=0.02)
    for _ in range(60):  # and stops
        now += 1.0
        before = quota.less(what, Sent(requests=5), now)
        remaining = min(600, int(what.requests.said) + 5) if what.requests else 0
        what = quota.told(Allowances(Allowance(remaining, 600, (600 - remaining) / 10)), NOTHING_SENT, now, before)
    assert what.requests is not None and what.requests.ours_per_second == pytest.approx(10.0, rel=0.02)


def test_others_never_take_all() -> None:
    what = quota.told(Allowances(Allowance(0, 600, 60.0)), NOTHING_SENT, NOW + 60, told(Allowance(600, 600, 0.0)))
    assert what.requests is not None and 0 < what.requests.ours_per_second < 10.0
    assert quota.decide(what, ONE, NOW + 60).at < NOW + 63


def test_a_window_has_nothing_before_its_end_and_all_of_it_after() -> None:
    what = told(Allowance(0, 10, 5.0))
    assert quota.decide(what, ONE, NOW) == Decision(False, NOW + 5, "the provider has 0 of 10 requests left")
    assert not fits(what, at=NOW + 4.999)
    what = quota.less(what, SENT_ONE, NOW + 5)
    for sent in range(10):
        assert fits(what, at=NOW + 5 + sent)
        what = quota.less(what, SENT_ONE, NOW + 5 + sent)
    assert not fits(what, at=NOW + 15), "the provider's limit is known, and used up again"
    assert fits(what, at=NOW + 65)


def test_without_a_limit_nothing_is_known_after_the_reset() -> None:
    what = told(Allowance(0, None, 5.0))
    assert not fits(what, at=NOW + 4.9)
    assert fits(what, at=NOW + 5)
    assert quota.less(what, SENT_ONE, NOW + 5) == Told()


def test_without_a_reset_a_limit_refills_over_a_minute() -> None:
    assert quota.decide(told(Allowance(0, 100)), ONE, NOW).at == pytest.approx(NOW + 0.6)


def test_without_limit_and_reset_nothing_is_said() -> None:
    assert told(Allowance(0)) == Told()


def test_a_word_too_large_to_be_true_is_believed_for_an_hour() -> None:
    assert quota.decide(told(Allowance(0, None, 1e8)), ONE, NOW).at == NOW + LONGEST_BELIEF_SECONDS
    assert quota.decide(told(Allowance(0, 7, 1e8)), ONE, NOW).at == NOW + LONGEST_BELIEF_SECONDS


def test_the_scarcest_of_all_limits_decides() -> None:
    what = quota.told(
        Allowances(
            requests=Allowance(100, 100, 0.0), input_tokens=Allowance(0, 60, 60.0), output_tokens=Allowance(0, 60, 60.0)
        ),
        NOTHING_SENT,
        NOW,
    )
    refused = quota.decide(what, Demand(10, 5000, 20), NOW)
    assert refused.at == pytest.approx(NOW + 20), "20 likely output tokens at one a second"
    assert "output tokens" in refused.reason


def test_a_request_larger_than_a_limit_waits_for_all_of_it() -> None:
    what = told(None, Allowance(0, 600, 60.0))
    refused = quota.decide(what, Demand(10**6, 0), NOW)
    assert refused.at == pytest.approx(NOW + 60) and fits(what, Demand(10**6, 0), at=refused.at)


@pytest.mark.parametrize("seed", range(20))
def test_the_time_told_is_true_whatever_was_said(seed: int) -> None:
    chance = random.Random(seed)

    def allowance() -> Allowance | None:
        limit = chance.choice((None, 1, 7, 500, 10**7))
        remaining = chance.choice((0, 1, 5, 500, 10**6))
        return chance.choice((None, Allowance(remaining, limit, chance.choice((None, 0.0, 1.0, 12.3, 60.0, 1e4, 1e9)))))

    for _ in range(200):
        now = chance.choice((0.5, NOW, 1e7)) + chance.random()
        what = quota.told(Allowances(*(allowance() for _ in range(4))), NOTHING_SENT, now)
        for _ in range(chance.randrange(5)):
            now += chance.random() * 10
            what = quota.less(what, NOTHING_SENT.and_then(Demand(chance.randrange(10**4), 5, 5)), now)
        for _ in range(10):
            decision = quota.decide(what, demand := Demand(chance.randrange(10**5), 3, 3), now)
            assert decision.fits or not quota.has_room(what, NOTHING_SENT, demand, now)
            if decision.fits:
                break
            assert decision.at > now
            assert decision.at <= now + LONGEST_BELIEF_SECONDS
            now = decision.at
        else:
            raise AssertionError(f"{what} never has room for {demand}")


# --- several ---


def test_two_that_must_both_pass_and_two_of_which_one_may() -> None:
    early, late = Decision(False, 5.0, "early", may_be_sooner=True), Decision(False, 9.0, "late")
    assert quota.later(early, late) == Decision(False, 9.0, "late")
    assert quota.later(FITS, early) == quota.later(early, FITS) == early
    assert quota.sooner(early, late) == Decision(False, 5.0, "early", may_be_sooner=True)
    assert quota.sooner(late, FITS) == FITS
