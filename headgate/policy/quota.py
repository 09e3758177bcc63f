"""Whether a deployment's provider will take a request now: what it allows by configuration, and what it says is left.

Two sources, and both must let a request pass. The configured limits are counted here, in a sliding minute (`Minute`).
What a provider says in its answers is believed until its reset (`Bucket`), less what was sent since: several processes
may share the provider's quota, so its word counts for more than what this one knows. Both say when a request will fit.

A request that is larger than a whole quota passes when all of it is free: the sizes are estimates, and the provider
knows better.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import exp

import msgspec

from headgate.policy.sliding import SlidingWindow, fits_at
from headgate.types import Allowance, Allowances, Frozen

PERIOD_SECONDS = 60.0
DAY_SECONDS = 86_400.0
LONGEST_BELIEF_SECONDS = 3600.0  # a provider's word is tried again after that, in case it was a slip
UNDER_WAY_SECONDS = 1.0  # until requests under way are done: nobody knows
_REFILL_TOLERANCE_SECONDS = 1.0  # resets are told in whole seconds, some of them
_REFILL_TOLERANCE_SHARE = 0.02
_SMOOTHING_SECONDS = 10.0  # of what others take
_LEAST_SHARE = 0.05  # that is ours, however much others take: else nothing would be heard of their stopping
_ROUNDING = 1e-3  # of a request or token: seconds since the start of a machine are not exact to less


class QuotaLimits(Frozen, frozen=True, gc=False):
    """What a provider allows in any minute; None: no limit. One of several processes may be handed its share."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


class Demand(Frozen, frozen=True, gc=False):
    """What a request, or several of its kind, are expected to use of a quota: requests and tokens."""

    input_tokens: int = 0
    output_tokens: int = 0  # at most
    likely_output_tokens: int = 0  # for providers that count what they have generated, whatever the ceiling
    requests: int = 1

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def times(self, requests: int) -> Demand:
        """Of so many requests: when they fit, the last of them fits."""
        if requests == 1:
            return self
        return Demand(
            self.input_tokens * requests,
            self.output_tokens * requests,
            self.likely_output_tokens * requests,
            self.requests * requests,
        )


class Decision(Frozen, frozen=True, gc=False):
    """Whether a request fits now, else when it will and why not yet. `at` is in monotonic seconds."""

    fits: bool
    at: float = 0.0
    reason: str = ""
    may_be_sooner: bool = False  # requests under way may turn out smaller than was held for them


FITS = Decision(True)


class Minute:
    """What was sent to a deployment in the last minute, in slices of 0.25 s: `sliding.py` has the bound on the error.

    Tokens count from the moment their request began, as estimated until it ends and as used from then on; those of a
    request that takes longer than a minute count until it ends. Times are monotonic seconds.
    """

    __slots__ = ("_requests", "_tokens", "_under_way")

    def __init__(self) -> None:
        self._requests = SlidingWindow(PERIOD_SECONDS)
        self._tokens = SlidingWindow(PERIOD_SECONDS)
        self._under_way: dict[int, int] = {}  # tokens held, by the slice their request began in, in the order of time

    def began(self, tokens: int, now: float) -> None:
        """A request is sent."""
        self._requests.add(1, now)
        self._tokens.add(tokens, now)
        place = self._tokens.slice_of(now)
        self._under_way[place] = self._under_way.get(place, 0) + tokens

    def ended(self, held: int, used: int, began: float) -> None:
        """The request that began then, and for which so many tokens were held, has used so many."""
        self._tokens.amend(used - held, began)
        place = self._tokens.slice_of(began)
        left = self._under_way.get(place, 0) - held
        if left > 0:
            self._under_way[place] = left
        else:
            self._under_way.pop(place, None)

    def decide(self, limits: QuotaLimits, demand: Demand, now: float) -> Decision:
        """Whether the configured limits let a request pass."""
        decision = FITS
        if (most := limits.requests_per_minute) is not None:
            used = self._requests.used(now)
            if used + demand.requests > most:
                later_seconds, need = _in_turn(demand.requests, most)
                at = fits_at(self._leaving(self._requests), used + need - most, now) + later_seconds
                decision = Decision(False, at, f"{used} of {most} requests a minute are used")
        if (most := limits.tokens_per_minute) is not None:
            used = self._tokens.used(now) + self._overdue(now)
            tokens = _sized(demand.tokens, demand.requests, most)
            if used + tokens > most:
                decision = later(decision, self._tokens_decision(used, most, tokens, now))
        return decision

    def used_share(self, limits: QuotaLimits, demand: Demand, now: float) -> float:
        """How much of the configured limits is used, the fuller of them, with `demand` that is yet to be sent."""
        requests, tokens = limits.requests_per_minute, limits.tokens_per_minute
        share = (self._requests.used(now) + demand.requests) / requests if requests else 0.0
        if tokens:
            share = max(share, (self._tokens.used(now) + self._overdue(now) + demand.tokens) / tokens)
        return share

    def _tokens_decision(self, used: int, most: int, tokens: int, now: float) -> Decision:
        under_way = sum(self._under_way.values())
        leaving = self._tokens.total
        later_seconds, need = _in_turn(tokens, most)
        excess = used + need - most
        at = fits_at(self._leaving(self._tokens), excess, now) + later_seconds
        if leaving < excess:
            at = max(at, now + UNDER_WAY_SECONDS)
        reason = f"{used} of {most} tokens a minute are used"
        if under_way:
            reason += f", {under_way} of them held for requests under way"
        return Decision(False, at, reason, may_be_sooner=under_way >= excess)

    def _overdue(self, now: float) -> int:
        """Tokens held for requests that began more than a minute ago."""
        oldest, overdue = self._tokens.slice_of(now - PERIOD_SECONDS), 0
        for place, tokens in self._under_way.items():
            if place >= oldest:
                break
            overdue += tokens
        return overdue

    @staticmethod
    def _leaving(window: SlidingWindow) -> Iterable[tuple[float, int]]:
        return ((window.expires_at(place), amount) for place, amount in window.slices())


def _sized(need: int, requests: int, most: int) -> int:
    """What so many requests need together, none more than there is at most."""
    return min(need // requests, most) * requests


def _in_turn(need: int, most: int) -> tuple[float, int]:
    """When more is needed than a minute has: how much later the last of it comes, and how much that is."""
    minutes, last = divmod(need - 1, most) if need > most else (0, need - 1)
    return minutes * PERIOD_SECONDS, last + 1


class Bucket(Frozen, frozen=True, gc=False):
    """What a provider said is left of one limit. Times are monotonic seconds."""

    level: float  # left at `at`; below zero when more was sent than it knew of
    at: float
    limit: int | None  # None: not said
    per_second: float  # what comes back steadily; 0: everything at `resets_at` and nothing before
    resets_at: float
    taken: float = 0.0  # of the level, by what was sent since the provider said it: its next word may give it back
    said: float = 0.0  # what the provider said was left, at `said_at`
    said_at: float = 0.0
    others_per_second: float = 0.0  # what others seem to take of what comes back: they share the provider's quota

    @property
    def ours_per_second(self) -> float:
        return min(self.per_second, max(_LEAST_SHARE * self.per_second, self.per_second - self.others_per_second))


class Told(Frozen, frozen=True, gc=False):
    """What a provider said is left for a key, of everything it limits."""

    requests: Bucket | None = None
    tokens: Bucket | None = None
    input_tokens: Bucket | None = None
    output_tokens: Bucket | None = None


NOTHING_TOLD = Told()


class Sent(Frozen, frozen=True, gc=False):
    """What was sent with a key, all in all: two of them tell what was sent between."""

    requests: int = 0
    tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def and_then(self, demand: Demand) -> Sent:
        """With one more request."""
        return Sent(
            self.requests + demand.requests,
            self.tokens + demand.tokens,
            self.input_tokens + demand.input_tokens,
            self.output_tokens + demand.likely_output_tokens,
        )

    def since(self, before: Sent) -> Sent:
        """What was sent between."""
        if before is self:
            return NOTHING_SENT
        return Sent(
            self.requests - before.requests,
            self.tokens - before.tokens,
            self.input_tokens - before.input_tokens,
            self.output_tokens - before.output_tokens,
        )


NOTHING_SENT = Sent()


def told(allowances: Allowances, since: Sent, now: float, before: Told = NOTHING_TOLD) -> Told:
    """Believe a provider's word, which came at `now`; `since` was sent after the request that it answers.

    `before` is what was left by its last word, less everything that was sent: what is missing of it, others have taken.
    """
    return Told(
        _beside_others(_bucket(allowances.requests, since.requests, now), before.requests),
        _beside_others(_bucket(allowances.tokens, since.tokens, now), before.tokens),
        _beside_others(_bucket(allowances.input_tokens, since.input_tokens, now), before.input_tokens),
        _beside_others(_bucket(allowances.output_tokens, since.output_tokens, now), before.output_tokens),
    )


def less(what: Told, since: Sent, now: float) -> Told:
    """What is left after more was sent, and with what came back until now."""
    return Told(
        _less(what.requests, since.requests, now),
        _less(what.tokens, since.tokens, now),
        _less(what.input_tokens, since.input_tokens, now),
        _less(what.output_tokens, since.output_tokens, now),
    )


def has_room(what: Told, since: Sent, demand: Demand, now: float) -> bool:
    """Whether a request fits for certain, even if nothing came back since: a short answer for the usual case."""
    for bucket, sent, need in (
        (what.requests, since.requests, demand.requests),
        (what.tokens, since.tokens, demand.tokens),
        (what.input_tokens, since.input_tokens, demand.input_tokens),
        (what.output_tokens, since.output_tokens, demand.likely_output_tokens),
    ):
        if bucket is not None and (bucket.level - sent < need or (not bucket.per_second and now >= bucket.resets_at)):
            return False
    return True


def decide(what: Told, demand: Demand, now: float) -> Decision:
    """Whether a provider's word lets a request pass."""
    worst = FITS
    parts = (
        (what.requests, demand.requests, "requests"),
        (what.tokens, demand.tokens, "tokens"),
        (what.input_tokens, demand.input_tokens, "input tokens"),
        (what.output_tokens, demand.likely_output_tokens, "output tokens"),
    )
    for bucket, need, unit in parts:
        if bucket is not None:
            worst = later(worst, _decide(bucket, need, demand.requests, unit, now))
    return worst


def used_share(what: Told, demand: Demand, now: float) -> float:
    """How much of what a provider limits is used, by its word: the fullest, with `demand` that is yet to be sent."""
    parts = (
        (what.requests, demand.requests),
        (what.tokens, demand.tokens),
        (what.input_tokens, demand.input_tokens),
        (what.output_tokens, demand.likely_output_tokens),
    )
    share = 0.0
    for bucket, need in parts:
        known = _at(bucket, now) if bucket is not None else None
        if known is not None and known.limit:
            share = max(share, (known.limit - known.level + need) / known.limit)
    return share


def later(one: Decision, other: Decision) -> Decision:
    """Of two that must both let a request pass, what they say together."""
    if one.fits or other.fits:
        return other if one.fits else one
    last = one if one.at >= other.at else other
    return msgspec.structs.replace(last, may_be_sooner=one.may_be_sooner and other.may_be_sooner)


def sooner(one: Decision, other: Decision) -> Decision:
    """Of two of which either may let a request pass, what they say together."""
    if one.fits or other.fits:
        return FITS
    first = one if one.at <= other.at else other
    return msgspec.structs.replace(first, may_be_sooner=one.may_be_sooner or other.may_be_sooner)


def _bucket(allowance: Allowance | None, since: int, now: float) -> Bucket | None:
    """How the limit refills is seen from its reset.

    OpenAI, Groq and Anthropic refill steadily, and tell the time until the limit is full: it is in proportion to what
    is used. A reset that is not tells the end of a window. Without a reset a limit is taken to refill over a minute.
    """
    if allowance is None:
        return None
    remaining, limit, reset = allowance.remaining, allowance.limit, allowance.reset_seconds
    per_second = 0.0
    if limit:
        used = max(0, limit - remaining) / limit
        for period in (PERIOD_SECONDS, DAY_SECONDS):
            full = used * period
            if reset is None or abs(full - reset) <= _REFILL_TOLERANCE_SECONDS + _REFILL_TOLERANCE_SHARE * full:
                reset, per_second = full, limit / period
                break
    if reset is None:
        return None  # neither how much nor when: that says nothing
    resets_at = now + min(reset, LONGEST_BELIEF_SECONDS)
    level = max(remaining - since, -limit) if limit else remaining - since
    return Bucket(float(level), now, limit or None, per_second, resets_at, float(since), float(remaining), now)


def _beside_others(bucket: Bucket | None, before: Bucket | None) -> Bucket | None:
    """With what others take a second, smoothed over several words (exponentially, weighted by the time between)."""
    if bucket is None or before is None or not bucket.per_second or not before.per_second:
        return bucket
    seconds = bucket.at - before.said_at
    if seconds <= 0:
        return msgspec.structs.replace(bucket, others_per_second=before.others_per_second)
    full = before.said + bucket.per_second * seconds
    expected = min(full, float(bucket.limit or full)) - before.taken
    missing = (expected - (bucket.said - bucket.taken)) / seconds
    weight = 1.0 - exp(-seconds / _SMOOTHING_SECONDS)
    others = before.others_per_second + weight * (missing - before.others_per_second)
    return msgspec.structs.replace(bucket, others_per_second=others)


def _at(bucket: Bucket, now: float) -> Bucket | None:
    """The same limit later; None when nothing is known of it any more."""
    limit = bucket.limit
    if bucket.per_second:
        level = bucket.level + bucket.ours_per_second * max(0.0, now - bucket.at)
        level = min(level, float(limit or level))
        return msgspec.structs.replace(bucket, level=level, at=max(now, bucket.at))
    if now < bucket.resets_at:
        return bucket
    if limit is None:
        return None
    return Bucket(float(limit), now, limit, 0.0, now + PERIOD_SECONDS)


def _less(bucket: Bucket | None, amount: int, now: float) -> Bucket | None:
    known = _at(bucket, now) if bucket is not None else None
    if known is None or (known is not bucket and not known.per_second):
        return known  # of a window that has begun since nothing is used
    level = known.level - amount
    if known.limit is not None:  # a size far beyond the limit was a wrong guess, for the provider took the request
        level = max(level, -float(known.limit))
    return msgspec.structs.replace(known, level=level, taken=known.taken + amount)


def _decide(bucket: Bucket, need: int, requests: int, unit: str, now: float) -> Decision:
    known = _at(bucket, now)
    if known is None:
        return FITS
    if known.limit is not None:
        need = _sized(need, requests, known.limit)
    missing = need - known.level
    if missing <= _ROUNDING:
        return FITS
    if known.per_second:
        at = now + missing / known.ours_per_second
    else:
        at = known.resets_at + (_in_turn(need, known.limit)[0] if known.limit is not None else 0.0)
    reason = f"the provider has {max(0, int(known.level))} of {known.limit or 'its'} {unit} left"
    return Decision(False, min(at, now + LONGEST_BELIEF_SECONDS), reason, may_be_sooner=missing <= known.taken)
