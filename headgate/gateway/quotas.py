"""The live side of a deployment's quota: what was sent, what its provider said, and whom to tell when that changes.

The decisions are `policy.quota`'s. Configured limits are the deployment's; a provider's word is about one of its keys.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

from headgate.policy import quota
from headgate.policy.quota import FITS, NOTHING_SENT, NOTHING_TOLD, Decision, Demand, Minute, QuotaLimits, Sent, Told
from headgate.types import Call
from headgate.wire.allowances import read_allowances

NO_LIMITS = QuotaLimits()
_READ_EVERY_SECONDS = 0.25  # the headers of a provider with plenty of room
_TYPICAL_OUTPUT_TOKENS = 256  # assumed when the caller sets no limit


def demand_of(call: Call) -> Demand:
    """What a request is expected to use, before its tokens are known."""
    typical = _TYPICAL_OUTPUT_TOKENS * call.choices
    ceiling = call.max_output_tokens * call.choices if call.max_output_tokens else typical
    return Demand(call.body_bytes // 4, ceiling, min(typical, ceiling))


class Mark(NamedTuple):
    """Where an attempt stands among all that was sent: the provider's answer to it does not know what came after."""

    began: float  # monotonic
    sent: Sent


class Answered(NamedTuple):
    """When an answer's headers came."""

    at: float  # monotonic
    at_unix: float


class _Unread(NamedTuple):
    headers: Mapping[str, str]
    mark: Mark
    answered: Answered


class _KeyQuota:
    """What is known of one key.

    The newest answer's headers are kept unread while there is plenty of room by those that were read last, and that was
    not long ago: reading them takes longer than everything else that a quota asks of a request.
    """

    __slots__ = ("_base", "_read_at", "_told", "_unread", "newest", "refused", "sent", "waits_until")

    def __init__(self) -> None:
        self.sent: Sent = NOTHING_SENT
        self.newest = -1.0  # when the attempt began that was answered, of all answers that said something
        self.waits_until = 0.0  # as a 429 asked for
        self.refused = 0.0  # when the attempt began that got it
        self._told: Told = NOTHING_TOLD
        self._base: Sent = NOTHING_SENT  # what `_told` knows of
        self._read_at = float("-inf")
        self._unread: _Unread | None = None

    def decide(self, demand: Demand, now: float) -> Decision:
        if now < self.waits_until:
            return Decision(False, self.waits_until, "the provider asks to wait")
        if self._unread is not None and now >= self._read_at + _READ_EVERY_SECONDS:
            self.read()
        if quota.has_room(self._told, self.sent.since(self._base), demand, now):
            return FITS
        self.read()
        self._told = quota.less(self._told, self.sent.since(self._base), now)
        self._base = self.sent
        return quota.decide(self._told, demand, now)

    def used_share(self, demand: Demand, now: float) -> float:
        if now < self.waits_until:
            return 1.0
        self.read()
        return quota.used_share(quota.less(self._told, self.sent.since(self._base), now), demand, now)

    def hear(self, headers: Mapping[str, str], mark: Mark, answered: Answered) -> None:
        self.newest = mark.began
        self._unread = _Unread(headers, mark, answered)
        if answered.at >= self._read_at + _READ_EVERY_SECONDS:
            self.read()

    def read(self) -> None:
        """Believe what was said last."""
        unread, self._unread = self._unread, None
        if unread is None:
            return
        allowances = read_allowances(unread.headers, unread.answered.at_unix)
        if allowances is not None:
            at = unread.answered.at
            before = quota.less(self._told, self.sent.since(self._base), at)
            self._told = quota.told(allowances, self.sent.since(unread.mark.sent), at, before)
            self._base = self.sent
            self._read_at = unread.answered.at


class Quota:
    """Of one deployment, in one process. Times are monotonic seconds.

    `is_free` says that nothing limits it, as far as is known: then there is nothing to decide. `limits` may be replaced
    at any time, by a process's share of them too.
    """

    __slots__ = ("_keys", "_limits", "_minute", "_wakers", "is_free")

    def __init__(self, limits: QuotaLimits = NO_LIMITS) -> None:
        self._limits = limits
        self._minute: Minute | None = Minute() if limits != NO_LIMITS else None
        self._keys: dict[str, _KeyQuota] = {}  # those of which the provider has said something
        self._wakers: dict[Hashable, Callable[[], None]] = {}
        self.is_free = self._minute is None

    @property
    def limits(self) -> QuotaLimits:
        return self._limits

    @limits.setter
    def limits(self, limits: QuotaLimits) -> None:
        if limits == self._limits:
            return
        self._limits = limits
        if limits == NO_LIMITS:
            self._minute = None
        elif self._minute is None:
            self._minute = Minute()  # what was sent before is not known
        self.is_free = self._minute is None and not self._keys
        self._changed()

    def decide(self, keys: Sequence[str], demand: Demand, now: float) -> Decision:
        """Whether a request fits: into the configured limits, and into what is left of one of the keys."""
        if self.is_free:
            return FITS
        minute = self._minute.decide(self._limits, demand, now) if self._minute is not None else FITS
        best: Decision | None = None
        for key in keys:
            known = self._keys.get(key)
            decision = known.decide(demand, now) if known is not None else FITS
            best = decision if best is None else quota.sooner(best, decision)
            if best.fits:
                return minute
        return quota.later(minute, best) if best is not None else minute

    def used_share(self, keys: Sequence[str], demand: Demand, now: float) -> float:
        """How much is used of the limits, with `demand` that is yet to be sent, if it goes to the key with the most
        room."""
        if self.is_free:
            return 0.0
        configured = self._minute.used_share(self._limits, demand, now) if self._minute is not None else 0.0
        known = [self._keys[key].used_share(demand, now) if key in self._keys else 0.0 for key in keys]
        return max(configured, min(known, default=0.0))

    def allows(self, key: str, demand: Demand, now: float) -> bool:
        """Whether a request fits into what is left of a key."""
        known = self._keys.get(key)
        return known is None or known.decide(demand, now).fits

    def began(self, key: str, demand: Demand, now: float) -> Mark:
        """A request is sent with a key."""
        if self._minute is not None:
            self._minute.began(demand.tokens, now)
        known = self._keys.get(key)
        if known is None:
            return Mark(now, NOTHING_SENT)
        known.sent = sent = known.sent.and_then(demand)
        return Mark(now, sent)

    def ended(self, demand: Demand, used_tokens: int, began: float) -> None:
        """The request that began then has used so many tokens."""
        if self._minute is not None:
            self._minute.ended(demand.tokens, used_tokens, began)
            self._changed()

    def heard(self, key: str, headers: Mapping[str, str], mark: Mark, answered: Answered) -> None:
        """The provider said what is left for a key, in the headers of its answer to the attempt with that mark."""
        known = self._key(key)
        if mark.began >= known.newest:  # else a later attempt was answered first
            known.hear(headers, mark, answered)
            self._changed()

    def refused(self, key: str, mark: Mark, until: float) -> None:
        """The provider answered 429, and asks to leave the key alone until then."""
        known = self._key(key)
        known.waits_until = max(known.waits_until, min(until, mark.began + quota.LONGEST_BELIEF_SECONDS))
        known.refused = max(known.refused, mark.began)

    def accepted(self, key: str, mark: Mark) -> None:
        """The provider took the attempt: if it began after the one that was refused, waiting is over."""
        known = self._keys.get(key)
        if known is not None and known.waits_until and mark.began > known.refused:
            known.waits_until = 0.0
            self._changed()

    def wake_when_changed(self, topic: Hashable, wake: Callable[[], None]) -> None:
        """Call `wake` once, as soon as something may fit that did not; one for each topic."""
        self._wakers[topic] = wake

    def _key(self, key: str) -> _KeyQuota:
        known = self._keys.get(key)
        if known is None:
            known = self._keys[key] = _KeyQuota()
            self.is_free = False
        return known

    def _changed(self) -> None:
        if self._wakers:
            wakers, self._wakers = self._wakers, {}
            for wake in wakers.values():
                wake()
