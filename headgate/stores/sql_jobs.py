"""Jobs as those see them who submit them, in SQL: adding, looking, and commands. Workers use `sql_work.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, insert, literal_column, select, text, update

from headgate.delivery_types import Target, TargetKind, Told
from headgate.errors import Conflict, InvalidRequest
from headgate.job_types import (
    Command,
    Counts,
    Item,
    ItemState,
    Job,
    JobFilter,
    JobState,
    NewItem,
    NewJob,
    OffPeak,
    Owner,
    Parent,
    Refusal,
)
from headgate.policy import jobs as policy
from headgate.policy.jobs import OPEN
from headgate.ports import Clock
from headgate.stores import locks, off_peak
from headgate.stores.cleaning import clean
from headgate.stores.database import Database, Unstorable
from headgate.stores.inserts import inserter
from headgate.stores.job_commands import carry_out
from headgate.stores.job_costs import costs_of, provisional_of
from headgate.stores.job_counts import COUNTED, Shifts, below, counts_of, database_now, follow
from headgate.stores.jobs_tables import (
    IS_FROM_A_QUEUE,
    IS_LEASED,
    IS_LISTED,
    MADE,
    MAX_NUMBER,
    job_attempts,
    job_items,
    job_turns,
    jobs,
)
from headgate.stores.outbox_tables import AT_THE_END, EVERY_CHANGE, job_targets, tell
from headgate.stores.owned import owned_row
from headgate.stores.sql_purses import limits_of, open_purse

_ITEM_COLUMNS = tuple(column.name for column in job_items.columns)
_OPEN = tuple(state.value for state in OPEN)
_INHERITED = ("priority", "start_at", "paused", "hours", "timezone", "closed", "edge_at")

# A batch at its provider could not be stopped before it costs more.
_ONE_BY_ONE = {"execution": "live", "execution_reason": "it may cost only so much, which is kept request by request"}


class SqlJobs:
    """The port `Jobs` on a `Database`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._add_items = inserter(job_items, _ITEM_COLUMNS, database.dialect)

    async def submit(self, job: NewJob) -> tuple[Job, bool]:
        def work(connection: Connection) -> tuple[Job, bool]:
            if job.parent is not None:
                locks.hold(connection, locks.of_tree(job.parent.root_id))
            if (known := _known(connection, job)) is not None:
                return _job(connection, known), False
            now = database_now(connection, self._clock)
            values = _job_values(job, now) | (_inherited(connection, job, job.parent) if job.parent else {})
            if job.max_cost_picousd is not None or (job.parent and limits_of(connection, [job.parent.root_id])):
                values |= _ONE_BY_ONE
            connection.execute(insert(jobs).values(**values))
            _enter_targets(connection, job)
            if job.max_cost_picousd is not None:
                open_purse(connection, job.id, job.max_cost_picousd)
            row = owned_row(connection, jobs, job.id, None)
            self._insert(connection, row, [NewItem(index, body) for index, body in enumerate(job.requests, start=1)])
            follow(connection, row, now)
            return _job(connection, owned_row(connection, jobs, job.id, None)), True

        try:
            return await self._database.run(self._database.jobs, work, writes=True)
        except Unstorable:  # another process submitted the same in this moment: now it is there
            return await self._database.run(self._database.jobs, work, writes=True)

    async def add(self, job_id: str, items: Sequence[NewItem]) -> int:
        def work(connection: Connection) -> int:
            # Whoever cancels the job meanwhile finds these items, or has sealed it before them.
            locks.hold(connection, locks.of_tree(owned_row(connection, jobs, job_id, None).root_id))
            row = owned_row(connection, jobs, job_id, None, for_update=True)
            if row.sealed or policy.is_over(JobState(row.state)):
                raise InvalidRequest(f"The job '{job_id}' takes no more items.")
            numbers = [item.number for item in items]
            there = select(job_items.c.number).where(
                job_items.c.job_id == job_id, job_items.c.number.between(min(numbers), max(numbers))
            )
            known = set(connection.execute(there).scalars())
            new = [item for item in items if item.number not in known]
            if not new:
                return 0
            self._insert(connection, row, new)
            shifts = Shifts()
            shifts.enter(job_id, ItemState.QUEUED.value, len(new))
            shifts.write(connection, database_now(connection, self._clock))
            return len(new)

        return await self._database.run(self._database.jobs, work, writes=True)

    async def seal(self, job_id: str) -> None:
        def work(connection: Connection) -> None:
            owned_row(connection, jobs, job_id, None)
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(sealed=1, version=jobs.c.version + 1))
            follow(connection, owned_row(connection, jobs, job_id, None), database_now(connection, self._clock))

        await self._database.run(self._database.jobs, work, writes=True)

    async def get(self, job_id: str, tenant: str | None = None) -> Job:
        def work(connection: Connection) -> Job:
            job = _job(connection, owned_row(connection, jobs, job_id, tenant, jobs.c.erasing == 0))
            return msgspec.structs.replace(job, provisional_picousd=provisional_of(connection, job_id))

        return await self._database.run(self._database.reading, work)

    async def page(self, wanted: JobFilter, limit: int, after: str | None = None) -> tuple[list[Job], str | None]:
        query = select(jobs).where(jobs.c.parent_id == "", jobs.c.erasing == 0)
        query = query.order_by(literal_column(MADE).desc()).limit(limit + 1)
        for column in (jobs.c.tenant, jobs.c.state, jobs.c.kind, jobs.c.user_name, jobs.c.idempotency_key):
            if (value := getattr(wanted, column.name.removesuffix("_name"))) is not None:
                query = query.where(column == clean(str(value)))
        if wanted.since is not None:
            query = query.where(jobs.c.created_at >= wanted.since)
        if wanted.until is not None:
            query = query.where(jobs.c.created_at < wanted.until)
        if after is not None:
            query = query.where(literal_column(MADE) < after[-26:])

        def work(connection: Connection) -> tuple[list[Job], str | None]:
            found = connection.execute(query).all()
            shown = _jobs(connection, found[:limit])
            return shown, shown[-1].id if len(found) > limit else None

        return await self._database.run(self._database.reading, work)

    async def items(self, job_id: str, limit: int, after: int = 0, state: ItemState | None = None) -> list[Item]:
        asked = (job_attempts.c.job_id == job_items.c.job_id, job_attempts.c.number == job_items.c.number)
        last = select(func.max(job_attempts.c.request_id)).where(*asked).scalar_subquery()  # ids grow with time
        query = select(job_items, last.label("request_id")).where(*_which(job_id, state))
        query = query.where(job_items.c.number > min(after, MAX_NUMBER)).order_by(job_items.c.number).limit(limit)

        def work(connection: Connection) -> list[Item]:
            return [_item(row) for row in connection.execute(query)]

        return await self._database.run(self._database.reading, work)

    async def command(self, job_id: str, command: Command, tenant: str | None = None) -> Job:
        def work(connection: Connection) -> Job:
            locks.hold(connection, locks.of_tree(owned_row(connection, jobs, job_id, tenant).root_id))
            row = owned_row(connection, jobs, job_id, tenant, jobs.c.erasing == 0)
            if command is Command.PAUSE and policy.is_over(JobState(row.state)):
                raise InvalidRequest(f"The job is {row.state}: there is nothing left to pause.")
            now = database_now(connection, self._clock)
            shifts = Shifts()
            carry_out(connection, row.id, command, shifts, now)
            shifts.write(connection, now)
            return _job(connection, owned_row(connection, jobs, job_id, None))

        return await self._database.run(self._database.jobs, work, writes=True)

    def _insert(self, connection: Connection, row: Row[Any], items: Sequence[NewItem]) -> None:
        """Items that are not there yet; the counts of the job's row are its caller's."""
        now = database_now(connection, self._clock)
        first = _take_turns(connection, row.tenant, len(items))
        self._add_items(connection, [_item_values(row, item, first + at, now) for at, item in enumerate(items)])
        more = jobs.c.request_bytes + sum(len(item.request) for item in items)
        fed_at = now if row.fed_at else 0.0
        connection.execute(update(jobs).where(jobs.c.id == row.id).values(request_bytes=more, fed_at=fed_at))


def _known(connection: Connection, job: NewJob) -> Row[Any] | None:
    """The job, if it was submitted before. Raises Conflict."""
    if job.parent is not None:
        return connection.execute(select(jobs).where(jobs.c.id == job.id)).one_or_none()
    if job.origin:
        taken = (text(IS_FROM_A_QUEUE), jobs.c.origin == job.origin)
        if (known := connection.execute(select(jobs).where(*taken)).one_or_none()) is not None:
            return known
    if job.idempotency_key is None:
        return None
    same = (jobs.c.tenant == clean(job.owner.tenant), jobs.c.idempotency_key == clean(job.idempotency_key))
    known = connection.execute(select(jobs).where(*same)).one_or_none()
    if known is not None and known.digest != job.digest:
        raise Conflict("Another job was submitted with this idempotency key.", param="idempotency-key")
    return known


def _inherited(connection: Connection, job: NewJob, parent: Parent) -> dict[str, Any]:
    """What a child has of its parent. Raises InvalidRequest if that is over: its worker may not know yet that it was
    cancelled."""
    row = owned_row(connection, jobs, parent.job_id, None)
    if row.finished_at is not None:
        raise InvalidRequest(f"The job '{parent.job_id}' is over: nothing is submitted below it.")
    deadlines = [at for at in (job.deadline_at, row.deadline_at) if at is not None]
    return {name: getattr(row, name) for name in _INHERITED} | {"deadline_at": min(deadlines, default=None)}


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


def _job_values(job: NewJob, now: float) -> dict[str, Any]:
    hours, timezone = (job.off_peak.window, job.off_peak.timezone) if job.off_peak is not None else ("", "")
    return {
        "id": job.id, "tenant": clean(job.owner.tenant), "key_id": job.owner.key_id,
        "user_name": clean(job.owner.user), "kind": job.kind, "state": JobState.QUEUED.value, "paused": 0,
        "priority": job.priority, "idempotency_key": clean(job.idempotency_key), "digest": job.digest,
        "created_at": job.created_at, "start_at": job.start_at, "deadline_at": job.deadline_at, "finished_at": None,
        "error_code": "", "error": "", "version": 1, **dict.fromkeys(COUNTED, 0), "queued": len(job.requests),
        "parent_id": job.parent.job_id if job.parent else "", "parent_number": job.parent.number if job.parent else 0,
        "root_id": job.parent.root_id if job.parent else job.id, "sealed": int(job.sealed),
        "told_when": max(map(_told_when, job.targets), default=0),
        "execution": "undecided" if job.undecided else "", "execution_reason": "",
        "origin": job.origin, "fed_at": now if job.is_fed else 0.0, **off_peak.standing(hours, timezone, now),
    }  # fmt: skip


def _told_when(target: Target) -> int:
    return EVERY_CHANGE if target.kind is TargetKind.PUBLISH else AT_THE_END


def _enter_targets(connection: Connection, job: NewJob) -> None:
    """Who is told of a job, and that it is there."""
    for number, target in enumerate(job.targets, start=1):
        values = {"tenant": clean(job.owner.tenant), "kind": target.kind.value, "address": clean(target.address)}
        its = {"job_id": job.id, "number": number, "lane": clean(target.lane), "told_when": _told_when(target)}
        connection.execute(insert(job_targets).values(**its, **values))
    if any(target.kind is TargetKind.PUBLISH for target in job.targets):
        tell(connection, job.id, 1, Told(JobState.QUEUED, 0, len(job.requests), job.created_at), EVERY_CHANGE)


def _item_values(job: Row[Any], item: NewItem, turn: int, now: float) -> tuple[Any, ...]:
    """In the order of the table's columns."""
    held = off_peak.held_of(job, job.closed)
    ready = int(job.start_at <= now and not held)
    return (
        job.id, item.number, ItemState.QUEUED.value, ready, held, -job.priority, turn,
        job.start_at or now, job.deadline_at, 0, 0, "[]", "", 0, 0.0,
        clean(item.request.decode(errors="replace")), "", "", "", None, clean(item.label), "",
        len(item.request),
    )  # fmt: skip


def _job(connection: Connection, row: Row[Any]) -> Job:
    (job,) = _jobs(connection, [row])
    return job


def _jobs(connection: Connection, rows: Sequence[Row[Any]]) -> list[Job]:
    """With as few statements for many as for one."""
    ids = [row.id for row in rows]
    costs, children = costs_of(connection, ids), below(connection, ids)
    limits = limits_of(connection, [row.root_id for row in rows])
    return [_told(row, costs[row.id], children.get(row.id, Counts()), limits.get(row.root_id)) for row in rows]


def _told(row: Row[Any], costs: tuple[int, int], children: Counts, limit: int | None) -> Job:
    charged, twice = costs
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
        idempotency_key=row.idempotency_key,
        cost_picousd=charged,
        duplicate_picousd=twice,
        root_id=row.root_id,
        below=children,
        sealed=bool(row.sealed),
        execution=row.execution,
        execution_reason=row.execution_reason,
        off_peak=OffPeak(row.hours, row.timezone) if row.hours else None,
        opens_at=row.edge_at if row.closed else None,
        max_cost_picousd=limit,
    )


def _which(job_id: str, state: ItemState | None) -> Sequence[Any]:
    """Which items, so that an index has them; those that have not begun are looked for, if there are any."""
    its = job_items.c.job_id == job_id
    if state is None:
        return (its,)
    is_so = job_items.c.state == state.value
    if state is ItemState.QUEUED:
        return its, is_so, select(jobs.c.queued).where(jobs.c.id == job_id).scalar_subquery() > 0
    if state is ItemState.LEASED:  # few are, of all jobs: by its key it would be all of this one
        return job_items.c.job_id + "" == job_id, text(IS_LEASED)
    return its, is_so, text(IS_LISTED)


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
        label=row.label,
        request_id=row.request_id or "",
        refusal=msgspec.json.decode(row.refusal, type=Refusal) if row.refusal else None,
        request=row.request.encode(),
    )
