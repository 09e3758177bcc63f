"""A breaker on money that is spent unusually fast: a meter like those of `meters.py`."""

from __future__ import annotations

from headgate.metering import Crossing, Meter, Reading, Verdict
from headgate.policy.sliding import SlidingWindow, fits_at

VELOCITY_SLICES = 60
RECOVERED_SHARE = 0.5  # a tripped velocity lets a probe through when no more than this share of its limit is used
PROBE_SECONDS = 60.0  # a probe that nobody settles is given up
BASELINE_WEIGHT = 0.1  # of the newest period in the running mean
BASELINE_PERIODS = 12  # before so many there is no baseline
BASELINE_FLOOR_PICOUSD = 10**10  # less than a cent is never unusual
_MOST_DECAYS = 200


class Velocity:
    """A breaker on money: closed, open until little enough is spent, then half open, for one probe at a time.

    Open for the limit that tripped it; for any other, as when it was raised since, while more than that is spent.
    """

    __slots__ = (
        "_limited", "_threshold", "baseline", "period", "period_ends_at", "period_spent", "periods", "probe_until",
        "reset_at", "retry_at", "touched", "tripped_by", "window",
    )  # fmt: skip

    def __init__(self, meter: Meter) -> None:
        self.window = SlidingWindow(meter.rule.period_seconds, VELOCITY_SLICES)
        self.retry_at = 0.0  # above 0: it has tripped, and lets probes through from then on
        self.tripped_by = (0, 0.0)  # the limit and the factor that it did by
        self.probe_until = 0.0  # above 0: a probe is under way
        self.baseline = 0.0  # running mean of a period's spending
        self.periods = 0  # seen so far
        self.period = -1  # the one that `period_spent` is of
        self.period_spent = 0
        self.period_ends_at = 0.0
        self.reset_at = 0.0  # what was spent before does not count
        self.touched = 0.0
        self._limited: Meter | None = None  # the meter that was settled last, and its threshold in this period
        self._threshold: float | None = None

    def room(self, meter: Meter, now: float) -> int | None:
        return None

    def verdict(self, meter: Meter, amount: int, now: float) -> Verdict | None:
        if amount == 0 or meter.rule.action == "alert" or not self.is_tripped(meter, now):
            return None
        return Verdict.TRIPPED if now < self.retry_at or now < self.probe_until else None

    def take(self, meter: Meter, amount: int, now: float) -> None:
        if amount and self.is_tripped(meter, now):
            self.probe_until = now + PROBE_SECONDS
        self.touched = now

    def settle(self, meter: Meter, amount: int, actual: int, at: float, now: float) -> None:
        is_probe = self.probe_until > 0.0 and at >= self.retry_at
        if not self.spend(meter, actual, now) and is_probe and self._threshold is not None:
            self.probe_until = 0.0
            if self.window.total <= self._threshold:
                self.retry_at = 0.0
            else:
                self._trip(meter, self._threshold, now)

    def is_tripped(self, meter: Meter, now: float) -> bool:
        """For this meter."""
        if self.retry_at == 0.0 or (meter.limit, meter.rule.factor) == self.tripped_by:
            return self.retry_at > 0.0
        threshold = self.threshold(meter)
        return threshold is not None and self.window.used(now) > threshold

    def spend(self, meter: Meter, picousd: int, now: float) -> bool:
        """Count what was spent. Whether that trips it, which was closed."""
        was_tripped = self.retry_at > 0.0 and self.is_tripped(meter, now)
        if now >= self.period_ends_at:
            self._advance(meter, now)
        window = self.window
        if now >= window.looks_at:
            window.look(now)
        window.total += picousd
        self.period_spent += picousd
        if meter is not self._limited:
            self._limited, self._threshold = meter, self.threshold(meter)
        threshold = self._threshold
        if threshold is None or window.total <= threshold or was_tripped:
            return False
        self._trip(meter, threshold, now)
        return True

    def release(self, meter: Meter, amount: int, at: float) -> None:
        if self.probe_until > 0.0 and at >= self.retry_at:
            self.probe_until = 0.0

    def threshold(self, meter: Meter) -> float | None:
        """What may be spent in a period; None: nothing is known that would limit it."""
        limit = float(meter.limit) if meter.limit else None
        if not meter.rule.factor or self.periods < BASELINE_PERIODS:
            return limit
        unusual = max(meter.rule.factor * self.baseline, float(BASELINE_FLOOR_PICOUSD))
        return unusual if limit is None or unusual < limit else limit

    def waits_until(self, now: float) -> float:
        """When the next probe may go."""
        return max(self.retry_at, self.probe_until if self.probe_until > now else 0.0)

    def reset(self, now: float) -> None:
        """Closed again, by an operator; what was spent until now does not trip it a second time."""
        self.reset_at = self.touched = now
        self.retry_at = self.probe_until = 0.0
        self.window = SlidingWindow(self.window.period_seconds, VELOCITY_SLICES)

    def reading(self, meter: Meter, now: float) -> Reading:
        tripped = self.is_tripped(meter, now)
        frees_at = self.waits_until(now) if tripped else None
        return Reading(meter, self.window.used(now), 0, frees_at, tripped, int(self.threshold(meter) or 0))

    def trip(self, tenant: str, meter: Meter) -> Crossing:
        """To be told of: it has tripped."""
        return Crossing(tenant, meter, 0, self.window.total, int(self.threshold(meter) or 0))

    def restore(self, meter: Meter, spent: int, now: float) -> None:
        if now < self.reset_at + self.window.period_seconds:
            return  # some of it does not count any more, and what does is known
        self.window.add(max(0, spent - self.window.used(now)), now)
        self.touched = now

    def _trip(self, meter: Meter, threshold: float, now: float) -> None:
        self.tripped_by = meter.limit, meter.rule.factor
        excess = self.window.total - int(RECOVERED_SHARE * threshold)
        leaving = [(self.window.expires_at(place), amount) for place, amount in self.window.slices()]
        self.retry_at = fits_at(leaving, excess, now)

    def _advance(self, meter: Meter, now: float) -> None:
        """Periods that are over join the running mean."""
        period = int(now / meter.rule.period_seconds)
        self.period_ends_at = (period + 1) * meter.rule.period_seconds - 0.001  # a little before, and then exactly
        if self.period < 0:
            self.period = period
        passed = period - self.period
        if passed <= 0:
            return
        self.period = period
        self._limited = None
        self._join(self.period_spent)
        self.period_spent = 0
        for _ in range(min(passed - 1, _MOST_DECAYS)):
            self._join(0)

    def _join(self, spent: int) -> None:
        first = self.periods == 0
        self.baseline = float(spent) if first else self.baseline + BASELINE_WEIGHT * (spent - self.baseline)
        self.periods += 1
