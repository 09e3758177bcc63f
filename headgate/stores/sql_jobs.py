"""Jobs as those see them who submit them, in SQL: adding, looking, and commands. Workers use `sql_work.py`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from headgate.errors import Conflict, InvalidRequest, NotFound
from headgate.job_types import Command, Item, ItemState, Job, JobFilter, JobState, NewJob, Owner
from headgate.policy import jobs as policy
from headgate.policy.jobs import OPEN, Event
from headgate.ports import Clock
from headgate.stores.cleaning import clean
from headgate.stores.database import Database
from headgate.stores.inserts import inserter
from headgate.stores.job_counts import COUNTED, Shifts, counts_of, database_now
from headgate.stores.jobs_tables import job_attempts, job_items, job_turns, jobs
from headgate.stores.schema import requests

_ITEM_COLUMNS = tuple(column.name for column in job_items.columns)
_OPEN = tuple(state.value for state in OPEN)


class SqlJobs:
    """The port `Jobs` on a `Database`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._add_items = inserter(job_items, _ITEM_COLUMNS, database.dialect)

    async def submit(self, job: NewJob) -> tuple[Job, bool]:
        def work(connection: Connection) -> tuple[Job, bool]:
            if job.idempotency_key is not None:
                same = (jobs.c.tenant == job.owner.tenant, jobs.c.idempotency_key == job.idempotency_key)
                known = connection.execute(select(jobs).where(*same)).one_or_none()
                if known is not None and known.digest != job.digest:
                    raise Conflict("Another job was submitted with this idempotency key.", param="idempotency-key")
                if known is not None:
                    return _job(connection, known), False
            now = database_now(connection, self._clock)
            connection.execute(insert(jobs).values(**_job_values(job)))
            first = _take_turns(connection, job.owner.tenant, len(job.requests))
            self._add_items(connection, [_item_values(job, index, first, now) for index in range(len(job.requests))])
            return _job(connection, _row(connection, job.id, None)), True

        return await self._database.run(self._database.jobs, work, writes=True)

    async def get(self, job_id: str, tenant: str | None = None) -> Job:
        def work(connection: Connection) -> Job:
            return _job(connection, _row(connection, job_id, tenant))

        return await self._database.run(self._database.reading, work)

    async def page(self, wanted: JobFilter, limit: int, after: str | None = None) -> tuple[list[Job], str | None]:
        query = select(jobs).order_by(jobs.c.id.desc()).limit(limit + 1)
        for name in ("tenant", "state", "kind"):
            if (value := getattr(wanted, name)) is not None:
                query = query.where(jobs.c[name] == str(value))
        if after is not None:
            query = query.where(jobs.c.id < after)

        def work(connection: Connection) -> tuple[list[Job], str | None]:
            found = connection.execute(query).all()
            shown = [_job(connection, row) for row in found[:limit]]
            return shown, shown[-1].id if len(found) > limit else None

        return await self._database.run(self._database.reading, work)

    async def items(self, job_id: str, limit: int, after: int = 0, state: ItemState | None = None) -> list[Item]:
        query = select(job_items).where(job_items.c.job_id == job_id, job_items.c.number > after)
        if state is not None:
            query = query.where(job_items.c.state == state.value)
        query = query.order_by(job_items.c.number).limit(limit)

        def work(connection: Connection) -> list[Item]:
            return [_item(row) for row in connection.execute(query)]

        return await self._database.run(self._database.reading, work)

    async def command(self, job_id: str, command: Command, tenant: str | None = None) -> Job:
        def work(connection: Connection) -> Job:
            row = _row(connection, job_id, tenant, for_update=True)
            now = database_now(connection, self._clock)
            shifts = Shifts()
            _COMMANDS[command](connection, row, shifts, now)
            shifts.write(connection, now)
            return _job(connection, _row(connection, job_id, None))

        return await self._database.run(self._database.jobs, work, writes=True)


def _cancel(connection: Connection, row: Row[Any], shifts: Shifts, now: float) -> None:
    _move_all(connection, row.id, shifts, Event.CANCEL, {"ready": 0, "finished_at": now})


def _pause(connection: Connection, row: Row[Any], shifts: Shifts, now: float) -> None:
    """What workers have goes on; what becomes free stays where it is."""
    if row.state not in (JobState.QUEUED, JobState.RUNNING, JobState.RETRYING):
        raise InvalidRequest(f"The job is {row.state}: there is nothing left to pause.")
    _hold(connection, row.id, 1)
    still = update(job_items).where(job_items.c.job_id == row.id, job_items.c.ready == 1).values(ready=0)
    connection.execute(still)


def _resume(connection: Connection, row: Row[Any], shifts: Shifts, now: float) -> None:
    _hold(connection, row.id, 0)
    waiting = (ItemState.QUEUED.value, ItemState.RETRYING.value)
    due = (job_items.c.job_id == row.id, job_items.c.state.in_(waiting), job_items.c.next_at <= now)
    connection.execute(update(job_items).where(*due).values(ready=1))


def _redrive(connection: Connection, row: Row[Any], shifts: Shifts, now: float) -> None:
    """What did not succeed begins anew, behind what waits already."""
    anew = {
        "ready": 1 - row.paused, "held": row.paused, "next_at": now, "retries": 0, "lost_to": "[]", "error_code": "",
        "error": "", "finished_at": None, "deadline_at": None,
    }  # fmt: skip
    _move_all(connection, row.id, shifts, Event.REDRIVE, anew)
    connection.execute(update(jobs).where(jobs.c.id == row.id).values(deadline_at=None, error_code="", error=""))


_COMMANDS = {Command.CANCEL: _cancel, Command.PAUSE: _pause, Command.RESUME: _resume, Command.REDRIVE: _redrive}


def _move_all(connection: Connection, job_id: str, shifts: Shifts, event: Event, values: dict[str, Any]) -> None:
    for source in policy.sources(event):
        target = policy.TRANSITIONS[source, event]
        change = update(job_items).where(job_items.c.job_id == job_id, job_items.c.state == source.value)
        moved = connection.execute(change.values(state=target.value, **values)).rowcount
        if moved:
            shifts.move(job_id, source.value, target.value, moved)


def _hold(connection: Connection, job_id: str, held: int) -> None:
    connection.execute(
        update(job_items).where(job_items.c.job_id == job_id, job_items.c.state.in_(_OPEN)).values(held=held)
    )
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(paused=held, version=jobs.c.version + 1))


def _take_turns(connection: Connection, tenant: str, count: int) -> int:
    """The first of `count` turns for a tenant: behind its own items, and not before the one that was claimed last."""
    now_at = connection.execute(select(job_turns.c.turn).where(job_turns.c.tenant == "")).scalar_one()
    mine = connection.execute(
        select(job_turns.c.turn).where(job_turns.c.tenant == tenant).with_for_update()
    ).scalar_one_or_none()
    first = max(int(now_at), int(mine or 0)) + 1
    last = first + count - 1
    if mine is None:
        connection.execute(insert(job_turns).values(tenant=tenant, turn=last))
    else:
        connection.execute(update(job_turns).where(job_turns.c.tenant == tenant).values(turn=last))
    return first


def _job_values(job: NewJob) -> dict[str, Any]:
    return {
        "id": job.id, "tenant": clean(job.owner.tenant), "key_id": job.owner.key_id,
        "user_name": clean(job.owner.user), "kind": job.kind, "state": JobState.QUEUED.value, "paused": 0,
        "priority": job.priority, "idempotency_key": clean(job.idempotency_key), "digest": job.digest,
        "created_at": job.created_at, "start_at": job.start_at, "deadline_at": job.deadline_at, "finished_at": None,
        "error_code": "", "error": "", "version": 1, **dict.fromkeys(COUNTED, 0), "queued": len(job.requests),
    }  # fmt: skip


def _item_values(job: NewJob, index: int, first_turn: int, now: float) -> tuple[Any, ...]:
    """In the order of the table's columns."""
    ready = int(job.start_at <= now)
    return (
        job.id, index + 1, ItemState.QUEUED.value, ready, 0, -job.priority, first_turn + index,
        job.start_at or now, job.deadline_at, 0, 0, "[]", "", 0, 0.0,
        clean(job.requests[index].decode(errors="replace")), "", "", "", None,
    )  # fmt: skip


def _row(connection: Connection, job_id: str, tenant: str | None, *, for_update: bool = False) -> Row[Any]:
    """Another tenant's job is not there."""
    query = select(jobs).where(jobs.c.id == job_id)
    if tenant is not None:
        query = query.where(jobs.c.tenant == tenant)
    row = connection.execute(query.with_for_update() if for_update else query).one_or_none()
    if row is None:
        raise NotFound(f"There is no job '{job_id}'.", param="job_id")
    return row


def _job(connection: Connection, row: Row[Any]) -> Job:
    ours = select(job_attempts.c.request_id).where(job_attempts.c.job_id == row.id)
    cost = select(func.coalesce(func.sum(requests.c.cost_picousd), 0)).where(requests.c.id.in_(ours))
    return Job(
        id=row.id,
        owner=Owner(row.tenant, row.key_id, row.user_name),
        kind=row.kind,
        state=JobState(row.state),
        counts=counts_of(row),
        created_at=row.created_at,
        priority=row.priority,
        start_at=row.start_at,
        deadline_at=row.deadline_at,
        paused=bool(row.paused),
        finished_at=row.finished_at,
        error_code=row.error_code,
        error=row.error,
        version=row.version,
        cost_picousd=int(connection.execute(cost).scalar_one()),
    )


def _item(row: Row[Any]) -> Item:
    return Item(
        job_id=row.job_id,
        number=row.number,
        state=ItemState(row.state),
        attempts=row.attempts,
        error_code=row.error_code,
        error=row.error,
        result=row.result.encode(),
        finished_at=row.finished_at,
    )
