"""When a delivery is tried again, and which of those that wait are next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from headgate.delivery_types import Waiting
from headgate.types import Frozen

FIRST_BACKOFF_SECONDS = 5.0
LONGEST_BACKOFF_SECONDS = 3600.0
GIVE_UP_SECONDS = 86_400.0  # after what is told happened
AT_ONCE = 64  # attempts of one process
AT_ONCE_PER_TENANT = 24
AT_ONCE_PER_LANE = 4


class Again(Frozen, frozen=True, gc=False):
    """Try again after a pause; None: never. The reason is for people."""

    pause_seconds: float | None
    reason: str


def backoff_seconds(attempts: int, chance: float) -> float:
    """Exponential backoff after so many attempts, at least half of it: uniform in [d/2, d), d = min(cap, base 4^(n-1)).

    A receiver that is away for an hour is asked a dozen times in a day, not hundreds of times.
    """
    delay = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 4.0 ** min(attempts - 1, 30))
    return delay * (0.5 + chance / 2)


def after_failure(
    attempts: int, *, age_seconds: float, chance: float, final: bool, retry_after_seconds: float
) -> Again:
    """What follows the attempt of number `attempts` that failed; the age is since what is told happened."""
    if final:
        return Again(None, "the receiver will never take it")
    pause = max(backoff_seconds(attempts, chance), min(retry_after_seconds, LONGEST_BACKOFF_SECONDS))
    if age_seconds + pause > GIVE_UP_SECONDS:
        return Again(None, f"{attempts} attempts within a day failed")
    return Again(pause, f"attempt {attempts} failed")


class Busy(Frozen, frozen=True, gc=False):
    """Attempts under way in this process, by tenant and by lane."""

    tenants: Mapping[str, int]
    lanes: Mapping[str, int]

    @property
    def full_tenants(self) -> tuple[str, ...]:
        return tuple(name for name, count in self.tenants.items() if count >= AT_ONCE_PER_TENANT)

    @property
    def full_lanes(self) -> tuple[str, ...]:
        return tuple(name for name, count in self.lanes.items() if count >= AT_ONCE_PER_LANE)


def next_ones(waiting: Sequence[Waiting], busy: Busy) -> list[Waiting]:
    """Those to try now, in their order: few for each receiver and tenant, so that nobody is kept waiting by another."""
    tenants, lanes = Counter(busy.tenants), Counter(busy.lanes)
    free = AT_ONCE - sum(lanes.values())
    chosen: list[Waiting] = []
    for one in waiting:
        if len(chosen) >= free:
            break
        if tenants[one.tenant] < AT_ONCE_PER_TENANT and lanes[one.lane] < AT_ONCE_PER_LANE:
            tenants[one.tenant] += 1
            lanes[one.lane] += 1
            chosen.append(one)
    return chosen
