"""How the row of a job follows its items, inside the transaction that changes them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, case, func, or_, select, text, update

from headgate.delivery_types import Told
from headgate.job_types import Counts, ItemState, JobState
from headgate.policy import jobs as policy
from headgate.ports import Clock
from headgate.stores.jobs_tables import IS_CHILD, job_items, jobs
from headgate.stores.outbox_tables import AT_THE_END, EVERY_CHANGE, tell

COUNTED = tuple(state.value for state in ItemState)


class Shifts:
    """What a transaction moved from one state to another, by job, and the last error of each."""

    def __init__(self) -> None:
        self._changes: dict[str, Counter[str]] = defaultdict(Counter)
        self._errors: dict[str, tuple[str, str]] = {}
        self._results: Counter[str] = Counter()  # bytes
        self._cancelled: set[str] = set()

    def move(self, job_id: str, source: str, target: str, items: int = 1) -> None:
        """So many items of a job went from one state to another."""
        self._changes[job_id][source] -= items
        self._changes[job_id][target] += items

    def enter(self, job_id: str, target: str, items: int) -> None:
        """So many items came to a job."""
        self._changes[job_id][target] += items

    def cancelled(self, job_id: str) -> None:
        """A job gets no more items, as it was cancelled: perhaps before it had any."""
        self.enter(job_id, ItemState.CANCELLED.value, 0)
        self._cancelled.add(job_id)

    def failed(self, job_id: str, code: str, error: str) -> None:
        """Why an item of a job failed."""
        self._errors[job_id] = (code, error)

    def kept(self, job_id: str, result_bytes: int) -> None:
        """A result of so many bytes came to a job."""
        self._results[job_id] += result_bytes

    def write(self, connection: Connection, now: float) -> None:
        """Last in the transaction, as jobs with many items are waited for; in one order, so that nobody deadlocks."""
        for job_id in sorted(self._changes):
            values: dict[str, Any] = {
                state: jobs.c[state] + change for state, change in self._changes[job_id].items() if change
            }
            if job_id in self._errors:
                values["error_code"], values["error"] = self._errors[job_id]
            if kept := self._results[job_id]:
                values["result_bytes"] = jobs.c.result_bytes + kept
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(version=jobs.c.version + 1, **values))
            row = connection.execute(select(jobs).where(jobs.c.id == job_id)).one()
            follow(connection, row, now, is_cancelled=job_id in self._cancelled)


def follow(connection: Connection, row: Row[Any], now: float, *, is_cancelled: bool = False) -> None:
    """The state of a job is what its row's counts say; who waits for it is told when it is over."""
    is_cancelled = is_cancelled or row.state == JobState.CANCELLED
    state = policy.job_state(counts_of(row), sealed=bool(row.sealed), is_cancelled=is_cancelled)
    finished_at = now if policy.is_over(state) else None
    if state == row.state and (finished_at is None) == (row.finished_at is None):
        return
    connection.execute(update(jobs).where(jobs.c.id == row.id).values(state=state.value, finished_at=finished_at))
    if row.told_when and (finished_at is not None or row.told_when == EVERY_CHANGE):
        told = _told(connection, row, state, now)
        tell(connection, row.id, row.version, told, EVERY_CHANGE if finished_at is None else AT_THE_END)
    if finished_at is not None:
        _seal_below(connection, row.id, now)
    if finished_at is not None and row.parent_id:
        its = (job_items.c.job_id == row.parent_id, job_items.c.number == row.parent_number)
        waits = (job_items.c.state == ItemState.RETRYING.value, job_items.c.held == 0)
        connection.execute(update(job_items).where(*its, *waits).values(ready=1, next_at=now))


def _seal_below(connection: Connection, job_id: str, now: float) -> None:
    """Nobody is left who would add to the children of a job that is over: they are over with what they have."""
    unsealed = select(jobs.c.id).where(text(IS_CHILD), jobs.c.parent_id == job_id, jobs.c.sealed == 0)
    for child_id in connection.execute(unsealed).scalars().all():
        change = update(jobs).where(jobs.c.id == child_id).values(sealed=1, version=jobs.c.version + 1)
        connection.execute(change)
        follow(connection, connection.execute(select(jobs).where(jobs.c.id == child_id)).one(), now)


def below(connection: Connection, job_ids: Collection[str]) -> dict[str, Counts]:
    """By root, the items of all jobs that it has below it; those that have none are left out."""
    sums = [func.sum(jobs.c[state]).label(state) for state in COUNTED]
    its = (jobs.c.root_id.in_(job_ids), text(IS_CHILD))
    found = connection.execute(select(jobs.c.root_id, *sums).where(*its).group_by(jobs.c.root_id))
    return {row.root_id: counts_of(row) for row in found}


def tree_of(job_ids: Collection[str]) -> tuple[ColumnElement[bool], ColumnElement[str]]:
    """Which rows of `jobs` are these or below them, and whose each of those is. None of these is below another."""
    is_below = jobs.c.root_id.in_(job_ids)
    return or_(jobs.c.id.in_(job_ids), is_below), case((is_below, jobs.c.root_id), else_=jobs.c.id)


def _told(connection: Connection, row: Row[Any], state: JobState, now: float) -> Told:
    counts = below(connection, [row.id]).get(row.id) or counts_of(row)
    counts = counts if counts.total else counts_of(row)
    return Told(state.value, counts.done, counts.total, now, row.error_code, row.error)


def counts_of(row: Row[Any]) -> Counts:
    """Of a row of `jobs`."""
    return Counts(**{state: int(getattr(row, state)) for state in COUNTED})


def database_now(connection: Connection, clock: Clock) -> float:
    """Unix seconds that all who share the database agree on: its own clock, or the machine's if it is a file there."""
    if connection.dialect.name == "postgresql":
        return float(connection.execute(select(func.extract("epoch", func.clock_timestamp()))).scalar_one())
    return clock.now()
