"""What the store has just refused is refused here too, for as long as nothing could have changed its mind: so a flood
of refused requests costs no round trips.

The store says for how long: until then not even the first who comes would fit, and nobody is given a turn of his own
any more. What is given back in this process ends it at once, what is given back in another one after MOST_SECONDS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from headgate.metering import Admission, Ask, Meter, Refusal, Standing
from headgate.types import Measure

MOST_SECONDS = 0.25
MOST_KEPT = 64  # of a tenant


class Question(NamedTuple):
    """What the store is asked, and when: monotonic seconds of this process."""

    meters: Sequence[Meter]  # kept, so that no others can have their identity
    ask: Ask
    at: float
    released: int  # so many requests of this process had been by then
    settled: int


class Refused(NamedTuple):
    """One refusal, and until when it holds. Times are the process's own."""

    question: Question
    told: Admission
    refusal: Refusal
    told_at: float
    until: float

    def covers(self, ask: Ask) -> bool:
        """Whether it is true of another request. A limit on requests does not look at the size of one, and what lets
        a larger one pass lets a smaller one pass."""
        before = self.question.ask
        if ask == before:
            return True
        return (
            self.refusal.meter.rule.measure is Measure.REQUESTS
            and ask.input_tokens <= before.input_tokens
            and ask.output_tokens <= before.output_tokens
            and ask.choices <= before.choices
            and ask.input_picousd <= before.input_picousd
            and ask.output_price <= before.output_price
            and ask.least_output_tokens <= before.least_output_tokens
            and ask.fingerprint == before.fingerprint
        )

    def again(self, now: float) -> Admission:
        """The same, said later."""
        passed, told = now - self.told_at, self.told
        refusal = msgspec.structs.replace(self.refusal, wait_seconds=_less(self.refusal.wait_seconds, passed))
        requests, tokens = _later(told.requests, passed), _later(told.tokens, passed)
        return Admission(refusal, 0, _less(told.wait_seconds, passed), requests, tokens)


class RecentRefusals:
    """Those of one tenant, the last for each kind of request."""

    __slots__ = ("_kept", "_released", "_settled")

    def __init__(self) -> None:
        self._kept: dict[int, Refused] = {}  # by the identity of the meters
        self._released = 0
        self._settled = 0

    def settled(self, *, released: bool) -> None:
        """A request of this process is over. It may give back tokens; only if it is released, it gives back itself."""
        self._settled += 1
        self._released += released

    def question(self, meters: Sequence[Meter], ask: Ask, now: float) -> Question:
        """The store is asked now."""
        return Question(meters, ask, now, self._released, self._settled)

    def note(self, question: Question, told: Admission, quiet_seconds: float, now: float) -> None:
        """The store has answered, and would say so again for so long."""
        if told.refusal is None or quiet_seconds <= 0:
            return
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        until = question.at + min(quiet_seconds, MOST_SECONDS)  # it looked after it was asked
        self._kept[id(question.meters)] = Refused(question, told, told.refusal, now, until)

    def find(self, meters: Sequence[Meter], ask: Ask, now: float) -> Admission | None:
        """The refusal of a request; None: the store has to be asked."""
        one = self._kept.get(id(meters)) if self._kept else None
        if one is None or one.question.meters is not meters:
            return None
        if now >= one.until or self._has_given_back(one):
            del self._kept[id(meters)]
            return None
        return one.again(now) if one.covers(ask) else None

    def clear(self) -> None:
        """The store knows other things now."""
        self._kept.clear()

    def _has_given_back(self, one: Refused) -> bool:
        if one.refusal.meter.rule.measure is Measure.REQUESTS:
            return one.question.released != self._released
        return one.question.settled != self._settled


def _less(seconds: float | None, passed: float) -> float | None:
    return None if seconds is None else max(0.0, seconds - passed)


def _later(standing: Standing | None, passed: float) -> Standing | None:
    if standing is None:
        return None
    return msgspec.structs.replace(standing, reset_seconds=max(0.0, standing.reset_seconds - passed))
