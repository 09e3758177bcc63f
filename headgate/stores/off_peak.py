"""Off-peak windows in SQL: items outside of their job's window are held, as those of a paused job are."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, or_, select, text, update

from headgate.job_types import ItemState
from headgate.policy.off_peak import opening, read_hours
from headgate.stores.jobs_tables import FOR_BATCH, HAS_WINDOW, OUT_OF_HOURS, PAUSED, job_items, jobs

_AT_ONCE = 1000
_NOT_LIVE = ("batch", "undecided")
_WAITING = (ItemState.QUEUED.value, ItemState.RETRYING.value)


def standing(hours: str, timezone: str, now: float) -> dict[str, Any]:
    """How the window of a job stands: values of its row."""
    if not hours:
        return {"hours": "", "timezone": "", "closed": 0, "edge_at": 0.0}
    found = opening(read_hours(hours, timezone), now)
    return {"hours": hours, "timezone": timezone, "closed": int(not found.is_open), "edge_at": found.until}


def held_of(job: Row[Any], closed: int) -> int:
    """Why items of a job whose window is `closed` (0 or 1) cannot be claimed; 0: they can."""
    return int(PAUSED * job.paused + OUT_OF_HOURS * closed + FOR_BATCH * (job.execution in _NOT_LIVE))


def holds() -> ColumnElement[bool]:
    """Whether a row of `jobs` is one whose items cannot be claimed, whatever the time."""
    return or_(jobs.c.paused == 1, jobs.c.closed == 1, jobs.c.execution.in_(_NOT_LIVE))


def with_reason(reason: int) -> ColumnElement[int]:
    """What an item is held for, and this."""
    return job_items.c.held.op("|")(reason)


def without_reason(reason: int) -> ColumnElement[int]:
    """What an item is held for, but for this."""
    return job_items.c.held.op("&")(PAUSED + OUT_OF_HOURS + FOR_BATCH - reason)


def free_those_due(connection: Connection, job_id: str, now: float) -> None:
    """What nothing holds any more may be claimed, if its time has come."""
    due = (job_items.c.job_id == job_id, job_items.c.state.in_(_WAITING), job_items.c.next_at <= now)
    connection.execute(update(job_items).where(*due, job_items.c.held == 0).values(ready=1))


def turn_windows(connection: Connection, now: float) -> int:
    """Open and close the windows whose time it is; how many."""
    query = select(jobs).where(text(HAS_WINDOW), jobs.c.edge_at <= now).order_by(jobs.c.id).limit(_AT_ONCE)
    found = connection.execute(query.with_for_update(skip_locked=True)).all()
    for row in found:
        stands = standing(row.hours, row.timezone, now)
        version = row.version + 1 if stands["closed"] != row.closed else row.version
        connection.execute(update(jobs).where(jobs.c.id == row.id).values(version=version, **stands))
        its = update(job_items).where(job_items.c.job_id == row.id, job_items.c.finished_at.is_(None))
        if stands["closed"]:
            connection.execute(its.values(held=with_reason(OUT_OF_HOURS), ready=0))
        else:
            connection.execute(its.values(held=without_reason(OUT_OF_HOURS)))
            free_those_due(connection, row.id, now)
    return len(found)
