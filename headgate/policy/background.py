"""The dispatch gate: how much background work may be under way beside interactive requests.

There is a ceiling on the requests of everybody together, so that background work gets what interactive traffic leaves
below it and gives way at once when that grows. The ceiling is found by additive increase and multiplicative decrease
(Chiu and Jain, 1989): it grows while it is used and nothing is wrong, and falls at the first sign of saturation, which
is a provider that refuses, or first content that comes later than it does without background work. Where it fell is
remembered: from a margin below that on it grows slowly, so that the edge is touched rarely.

Quotas, budgets and the process's own room are known limits: of each, background work leaves a share to others.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from headgate.types import Frozen

FIRST_LIMIT = 8.0  # requests under way, before anything is known
LEAST_LIMIT = 1.0
DECREASE = 0.7
INCREASE = 1.0  # for each look at which the ceiling was used, if nobody could feel it
FELT_GROWTH_SECONDS = 2.0  # for one more request while there are streams: they tell late what is too much
EDGE_MARGIN = 0.6  # of where saturation was seen: below it the ceiling grows as usual
CARRIED_SHARE = 0.5  # of what others had under way unharmed: so much is good for everybody together
PROBE_SECONDS = 60.0  # for one more request above that
REST_SECONDS = 2.0  # after a decrease: what is under way has to end before anything is learnt from it
LEAST_STREAMS = 3  # new ones, before their time to first content counts
EDGE_FORGOTTEN_SECONDS = 3600.0
LONGEST_LOOK_SECONDS = 1.0  # a look says nothing of a longer time before it
LEARNT_STREAMS = 30  # of which the usual time to first content is known well enough
LEARNT_SECONDS = 600.0  # until it is measured again: traffic changes over a night
LEARNING_SECONDS = 60.0  # at most, at a time, until what is under way has ended and there were so many streams
FRESH_SECONDS = 5.0  # at most, where nothing is under way: what has just been submitted is kept waiting for it
UNFELT_SHARE = 0.1  # of the other requests under way: so few do not change what is usual


class Why(StrEnum):
    """What keeps background work from going in."""

    OPEN = "open"  # nothing does
    FULL = "full"  # as much is under way as was learnt to be good
    REFUSED = "refused"  # the provider refused
    SLOW = "slow"  # first content comes late
    LEARNING = "learning"  # it is measured how soon first content comes without background work
    WAITING = "waiting"  # interactive requests wait for the provider's quota
    QUOTA = "quota"  # the share of the provider's quota is used
    IN_FLIGHT = "in_flight"  # the share of the process's own room is used


class GateRules(Frozen, frozen=True, gc=False):
    """What is left to interactive traffic. Shares are of the whole, in use by everybody together."""

    quota_share: float = 0.8
    budget_share: float = 0.9
    in_flight_share: float = 0.5
    ttft_factor: float = 1.5
    most: int = 256  # background requests under way for one model


class Sight(Frozen, frozen=True, gc=False):
    """What is seen of a model's deployments now; times are monotonic seconds."""

    in_flight: int = 0  # requests of everybody at its deployments
    background: int = 0  # of them, those of background work, and what was let in and is not there yet
    refusals: int = 0  # by the provider since the last look: 429, 503, 529
    streams: int = 0  # interactive ones that had their first content since the last look
    is_felt: bool = False  # interactive streams come
    ttft_seconds: float | None = None  # of streams lately
    usual_ttft_seconds: float | None = None  # of streams while no background work was under way
    quiet_streams: int = 0  # that this is known from, ever
    is_awaited: bool = False  # requests wait for the provider's quota
    quota_used: float = 0.0  # share, of the deployment with the most room
    process_used: float = 0.0  # share of the process's room for requests under way


class Ceiling(Frozen, frozen=True, gc=False):
    """What was learnt of a model. `edge` is where saturation was seen last, 0: nowhere lately."""

    limit: float = FIRST_LIMIT
    edge: float = 0.0
    edge_at: float = 0.0
    rests_until: float = 0.0
    looked_at: float = 0.0
    used_seconds: float = 0.0  # since it grew last
    streams: int = 0  # seen since the last decrease
    why: Why = Why.OPEN
    reason: str = ""  # of the last decrease, while it matters
    learnt_at: float = float("-inf")  # when the usual time to first content was measured
    learns_until: float = 0.0  # while it is being measured, and from how many streams on it is
    learns_to: int = 0


class Verdict(Frozen, frozen=True, gc=False):
    """How many more may begin, and what keeps others out."""

    room: int
    why: Why
    reason: str = ""


class GateState(Frozen, frozen=True, gc=False):
    """How a gate stands for one model or router."""

    limit: int  # requests of everybody under way up to which background work may add its own
    under_way: int  # background requests
    held: int  # that wait at the gate
    room: int  # how many more may begin
    why: Why
    reason: str


def look(ceiling: Ceiling, sight: Sight, rules: GateRules, now: float) -> Ceiling:
    """What is learnt from one look, a few times a second."""
    seconds = min(now - ceiling.looked_at, LONGEST_LOOK_SECONDS)
    ceiling = msgspec.structs.replace(ceiling, streams=ceiling.streams + sight.streams, looked_at=now)
    if now < ceiling.rests_until:
        return ceiling
    if sight.streams and now - ceiling.learnt_at > LEARNT_SECONDS:
        least = sight.quiet_streams + LEARNT_STREAMS
        until = now + (LEARNING_SECONDS if sight.background else FRESH_SECONDS)
        ceiling = msgspec.structs.replace(ceiling, learnt_at=now, learns_until=until, learns_to=least)
    if sight.refusals:
        return _lowered(ceiling, sight, now, Why.REFUSED, f"the provider refused {sight.refusals} requests")
    if sight.streams and ceiling.streams >= LEAST_STREAMS and (reason := _slowness(sight, rules)):
        return _lowered(ceiling, sight, now, Why.SLOW, reason)
    if ceiling.edge and now - ceiling.edge_at > EDGE_FORGOTTEN_SECONDS:
        ceiling = msgspec.structs.replace(ceiling, edge=0.0)
    if sight.in_flight < int(ceiling.limit):
        return _calm(ceiling)  # it is not used: nothing is learnt of more
    return _raised(ceiling, sight, rules, seconds)


def verdict(ceiling: Ceiling, sight: Sight, rules: GateRules, now: float) -> Verdict:
    """How much more background work may begin now."""
    if now < ceiling.rests_until:
        return Verdict(0, ceiling.why, ceiling.reason)
    interactive = max(0, sight.in_flight - sight.background)
    if interactive and now < ceiling.learns_until and sight.quiet_streams < ceiling.learns_to:
        return Verdict(0, Why.LEARNING, "it is measured how soon first content comes without background work")
    if sight.is_awaited:
        return Verdict(0, Why.WAITING, "requests wait for the provider's quota")
    if sight.quota_used >= rules.quota_share:
        return Verdict(0, Why.QUOTA, f"{sight.quota_used:.0%} of the provider's quota is used")
    if sight.process_used >= rules.in_flight_share:
        return Verdict(0, Why.IN_FLIGHT, f"{sight.process_used:.0%} of server.max_in_flight is used")
    room = min(int(ceiling.limit) - sight.in_flight, rules.most - sight.background)
    if room > 0:
        return Verdict(room, Why.OPEN)
    return Verdict(
        0,
        Why.FULL,
        f"{sight.background} background and {interactive} other requests are under way, of {int(ceiling.limit)}",
    )


def budget_reason(name: str, used: int, limit: int, rules: GateRules) -> str:
    """Why a budget keeps background work out, though interactive requests may still spend of it; empty: it does not.

    `used` and `limit` are in the budget's own unit, what is held included.
    """
    if limit <= 0 or used < rules.budget_share * limit:
        return ""
    return f"{used / limit:.0%} of {name} is used, and background work leaves the rest to others"


class Load(Frozen, frozen=True, gc=False):
    """What a worker that chooses its own concurrency goes by."""

    under_way: int = 0  # items that it has
    held: int = 0  # of them, those that the gate keeps waiting
    room: int = 0  # requests that the gate would let in now, of the models it knows
    oldest_age_seconds: float = 0.0  # of the items that wait for a worker


FIRST_CONCURRENCY = 16  # items at once, while little is known
LEAST_HELD = 4  # items that may wait at the gate, so that it is never idle for want of work
QUEUE_AGE_SECONDS = 2.0  # a queue that is older is worth more items at once


def concurrency(load: Load, most: int) -> int:
    """How many items a worker should have at once: what the gate lets through, more as long as items wait."""
    passing = load.under_way - load.held
    if load.held >= LEAST_HELD:
        wanted = passing + LEAST_HELD  # the gate is what it waits for: more items would only wait there
    elif load.oldest_age_seconds >= QUEUE_AGE_SECONDS:
        wanted = max(FIRST_CONCURRENCY, passing + max(LEAST_HELD, load.room))
    else:
        wanted = max(FIRST_CONCURRENCY, passing)
    return max(1, min(most, wanted))


def _slowness(sight: Sight, rules: GateRules) -> str:
    ttft, usual = sight.ttft_seconds, sight.usual_ttft_seconds
    if ttft is None or usual is None or sight.quiet_streams < LEARNT_STREAMS or ttft <= rules.ttft_factor * usual:
        return ""
    return f"first content takes {ttft:.2g} s, without background work {usual:.2g} s"


def _lowered(ceiling: Ceiling, sight: Sight, now: float, why: Why, reason: str) -> Ceiling:
    edge = float(sight.in_flight)
    if sight.background:
        limit = max(LEAST_LIMIT, DECREASE * min(ceiling.limit, max(edge, LEAST_LIMIT)))
    else:  # what others do by themselves says where the edge is, and no more
        limit = max(LEAST_LIMIT, min(ceiling.limit, EDGE_MARGIN * edge))
    return msgspec.structs.replace(
        ceiling,
        limit=limit,
        edge=max(edge, 1.0),
        edge_at=now,
        rests_until=now + REST_SECONDS,
        used_seconds=0.0,
        streams=0,
        why=why,
        reason=reason,
    )


def _raised(ceiling: Ceiling, sight: Sight, rules: GateRules, seconds: float) -> Ceiling:
    """As much is under way as may be, by whomever, and nothing is wrong."""
    limit, used_seconds = ceiling.limit + INCREASE, ceiling.used_seconds + seconds
    if sight.ttft_seconds is not None and sight.quiet_streams < LEARNT_STREAMS and limit > FIRST_LIMIT:
        return _calm(ceiling)  # whether it would be felt cannot be known yet
    if ceiling.edge and sight.streams and sight.in_flight > ceiling.edge:
        ceiling = msgspec.structs.replace(ceiling, edge=float(sight.in_flight))  # it is further than it was taken to be
    others = sight.in_flight - sight.background
    if others >= int(ceiling.limit) and limit > CARRIED_SHARE * others:
        return _calm(ceiling)  # they fill it by themselves: what they carry says no more than that
    is_near = ceiling.edge > 0 and limit > EDGE_MARGIN * ceiling.edge
    pause_seconds = PROBE_SECONDS if is_near else FELT_GROWTH_SECONDS if sight.is_felt else 0.0
    if used_seconds < pause_seconds:
        return _calm(ceiling, used_seconds=used_seconds)
    most = float(rules.most + others)
    return _calm(ceiling, limit=min(limit, max(most, ceiling.limit)), used_seconds=0.0)


def _calm(ceiling: Ceiling, **changes: float) -> Ceiling:
    return msgspec.structs.replace(ceiling, why=Why.OPEN, reason="", **changes)
