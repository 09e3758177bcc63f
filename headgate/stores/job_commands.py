"""What is asked of jobs, carried out in SQL, inside a transaction. Whoever commands a whole tree holds its lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, or_, select, update

from headgate.job_types import Command
from headgate.policy import jobs as policy
from headgate.policy.jobs import OPEN, Event
from headgate.stores import locks, off_peak
from headgate.stores.job_counts import Shifts
from headgate.stores.jobs_tables import PAUSED, job_checkpoints, job_items, jobs
from headgate.stores.owned import owned_row

_OPEN = tuple(state.value for state in OPEN)


def carry_out(connection: Connection, job_id: str, command: Command, shifts: Shifts, now: float) -> None:
    """Do what is asked of a job, and of all below it."""
    whole = select(jobs).where(or_(jobs.c.id == job_id, jobs.c.root_id == job_id)).order_by(jobs.c.id.desc())
    for each in connection.execute(whole).all():  # children first: their names begin with their parent's
        _CARRY_OUT[command](connection, each, shifts, now)


def _cancel(connection: Connection, row: Row[Any], shifts: Shifts, now: float) -> None:
    # One after the other states are left, and meanwhile workers put items from one into another that was left already.
    open_ones = select(job_items.c.number).where(job_items.c.job_id == row.id, job_items.c.state.in_(_OPEN))
    locks.rows(connection, open_ones)
    move_all(connection, row.id, shifts, Event.CANCEL, {"ready": 0, "finished_at": now})
    if not row.sealed:  # nobody is left who would add to it
        connection.execute(update(jobs).where(jobs.c.id == row.id).values(sealed=1))
        shifts.cancelled(row.id)


def _pause(connection: Connection, row: Row[Any], shifts: Shifts, now: float) -> None:
    """What workers have goes on; what becomes free stays where it is."""
    _hold(connection, row.id, 1, off_peak.with_reason(PAUSED))
    still = update(job_items).where(job_items.c.job_id == row.id, job_items.c.ready == 1).values(ready=0)
    connection.execute(still)


def _resume(connection: Connection, row: Row[Any], shifts: Shifts, now: float) -> None:
    _hold(connection, row.id, 0, off_peak.without_reason(PAUSED))
    off_peak.free_those_due(connection, row.id, now)


def redrive(connection: Connection, row: Row[Any], shifts: Shifts, now: float, *only: Any) -> int:
    """What did not succeed begins anew, behind what waits already, and so does what was made of it; how many items of
    the job. `only` are conditions on them."""
    # Until its items are there nobody decides otherwise when and how they may begin.
    row = connection.execute(select(jobs).where(jobs.c.id == row.id).with_for_update()).one()
    moved = move_all(connection, row.id, shifts, Event.REDRIVE, _anew(row, now), *only)
    connection.execute(update(jobs).where(jobs.c.id == row.id).values(deadline_at=None, error_code="", error=""))
    below = row if moved else None
    while below is not None and below.parent_id:
        below = _reopen(connection, below, shifts, now)
    return moved


def _reopen(connection: Connection, row: Row[Any], shifts: Shifts, now: float) -> Row[Any] | None:
    """The item that waited for a job does so again; its job, if it was over."""
    parent = owned_row(connection, jobs, row.parent_id, None, for_update=True)
    its = (job_items.c.job_id == parent.id, job_items.c.number == row.parent_number)
    anew = _anew(parent, now)
    moved = [move_all(connection, parent.id, shifts, event, anew, *its) for event in (Event.REOPEN, Event.REDRIVE)]
    if not any(moved):
        return None
    steps = (job_checkpoints.c.job_id == parent.id, job_checkpoints.c.number == row.parent_number)
    connection.execute(delete(job_checkpoints).where(*steps))  # what was made of the old results
    return parent


def _anew(row: Row[Any], now: float) -> dict[str, Any]:
    closed = off_peak.standing(row.hours, row.timezone, now)["closed"]  # nobody turns the window of what is over
    held = off_peak.held_of(row, closed)
    return {
        "ready": int(not held), "held": held, "next_at": now, "retries": 0, "lost_to": "[]", "error_code": "",
        "error": "", "finished_at": None, "deadline_at": None,
    }  # fmt: skip


_CARRY_OUT: dict[Command, Callable[[Connection, Row[Any], Shifts, float], object]] = {
    Command.CANCEL: _cancel, Command.PAUSE: _pause, Command.RESUME: _resume, Command.REDRIVE: redrive
}  # fmt: skip


def move_all(
    connection: Connection, job_id: str, shifts: Shifts, event: Event, values: dict[str, Any], *only: Any
) -> int:
    """All items of a job to which an event may happen; how many."""
    count = 0
    for source in policy.sources(event):
        target = policy.TRANSITIONS[source, event]
        change = update(job_items).where(job_items.c.job_id == job_id, job_items.c.state == source.value, *only)
        moved = connection.execute(change.values(state=target.value, **values)).rowcount
        if moved:
            shifts.move(job_id, source.value, target.value, moved)
            count += moved
    return count


def _hold(connection: Connection, job_id: str, paused: int, held: ColumnElement[int]) -> None:
    connection.execute(
        update(job_items).where(job_items.c.job_id == job_id, job_items.c.state.in_(_OPEN)).values(held=held)
    )
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(paused=paused, version=jobs.c.version + 1))
