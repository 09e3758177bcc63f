"""Live, or in the provider's batch API: what a job's items wait for, by its deadline and by price.

A provider's batch costs about half, and takes up to a day: most are done within the hour, none promises it. So it is
for jobs that say when they must be done, and whose deadline leaves room to do the rest live if the provider has not
come to it in time.
"""

from __future__ import annotations

from enum import StrEnum

from headgate.types import Frozen

WINDOW_SECONDS = 26 * 3600.0  # each provider gives a batch a day; after that nothing is done of it any more
MOST_TRIES = 5


class Execution(StrEnum):
    """How a job's items are executed."""

    LIVE = "live"
    BATCH = "batch"
    UNDECIDED = "undecided"  # workers leave it alone until it is one of the two


class BatchRules(Frozen, frozen=True, gc=False):
    """When a model's jobs go to its provider's batch API."""

    use: str = "never"  # never, auto or always
    min_items: int = 20
    min_hours: float = 4.0  # to the deadline
    spill_hours: float = 1.0  # before the deadline what is not done is done live
    discount: float = 0.5  # of the price, where the price list has no price for batches
    max_items: int = 5_000  # of one batch
    poll_seconds: float = 60.0


class JobFacts(Frozen, frozen=True, gc=False):
    """What is known of a job."""

    waiting: int  # items that nobody has begun
    deadline_at: float | None = None  # Unix seconds
    obstacle: str = ""  # why it cannot go to a batch API at all
    is_cheaper: bool = True


class Choice(Frozen, frozen=True, gc=False):
    """The decision."""

    execution: Execution
    reason: str


def choose(facts: JobFacts, rules: BatchRules, now: float) -> Choice:
    """How the waiting items of a job are executed."""
    live, hours = Execution.LIVE, _hours_left(facts, now)
    if rules.use == "never":
        return Choice(live, "batch.use of its model is never")
    if facts.obstacle:
        return Choice(live, facts.obstacle)
    if hours is not None and hours <= rules.spill_hours:
        return Choice(live, f"{hours:.1f} hours are left to its deadline, too few for a batch")
    if rules.use == "always":
        return Choice(Execution.BATCH, "batch.use of its model is always")
    if not facts.is_cheaper:
        return Choice(live, "its provider has no other price for batches")
    if hours is None:
        return Choice(live, "it has no deadline, so it may be wanted at once")
    if hours < rules.min_hours:
        return Choice(live, f"{hours:.1f} hours to its deadline are fewer than batch.min_hours")
    if facts.waiting < rules.min_items:
        return Choice(live, f"{facts.waiting} items are fewer than batch.min_items")
    return Choice(Execution.BATCH, f"{hours:.1f} hours are left to its deadline, and the provider's batches cost less")


def spills(deadline_at: float | None, rules: BatchRules, now: float) -> bool:
    """Whether what a provider has not done by now is to be done live."""
    return deadline_at is not None and now >= deadline_at - rules.spill_hours * 3600.0


def abandons(deadline_at: float | None, rules: BatchRules, now: float, *, is_heard: bool) -> bool:
    """Whether what is in a batch is done live though it may be done there too. A provider that is heard of stops its
    batch when it is told to, which may take it half of the time that was left for the rest."""
    hours = rules.spill_hours / 2 if is_heard else rules.spill_hours
    return deadline_at is not None and now >= deadline_at - hours * 3600.0


def next_try_at(tries: int, last_at: float, pause_seconds: float) -> float | None:
    """When something is handed over again that so many tries did not bring to the provider, each after twice the pause
    of the one before; None: it is done live."""
    return None if tries >= MOST_TRIES else last_at + pause_seconds * 2.0 ** (tries - 1)


def _hours_left(facts: JobFacts, now: float) -> float | None:
    return None if facts.deadline_at is None else (facts.deadline_at - now) / 3600.0
