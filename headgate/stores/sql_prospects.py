"""How far jobs are, in SQL: what forecasts are made from, and the place in the queue.

Of a job with many items a sample is looked at: rows are wide, as they hold requests and answers.

Among items that were begun lately, those that are done already are the short and cheap ones. So of a small job only
those count that were begun before all that are under way: they are done whether they are short or long.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, or_, select

from headgate.job_types import Group, ItemState, Prospects, Sampled, Step
from headgate.policy.jobs import OPEN
from headgate.stores.database import Database
from headgate.stores.jobs_tables import job_attempts, job_checkpoints, job_items, jobs
from headgate.stores.schema import requests
from headgate.types import Outcome

SAMPLED = 2000  # items that are done, and as many that are not
FARTHEST = 10_000  # items ahead in the queue that are counted
_ANSWERED = (ItemState.SUCCEEDED.value, ItemState.FAILED.value, ItemState.DEAD.value)
_OPEN = tuple(state.value for state in OPEN)
_LAST_STEPS = 20


class SqlProspects:
    """The port `JobProspects` on a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def version(self, job_id: str) -> int:
        query = select(func.coalesce(func.sum(jobs.c.version), 0)).where(
            or_(jobs.c.id == job_id, jobs.c.root_id == job_id)
        )
        return await self._database.run(
            self._database.reading, lambda connection: int(connection.execute(query).scalar_one())
        )

    async def of(self, job_id: str) -> Prospects:
        def work(connection: Connection) -> Prospects:
            kinds = _kinds(connection, job_id)
            done = sum(int(row.done) for row in kinds)
            stride = max(1, -(-done // SAMPLED))
            samples = _samples(connection, job_id, stride)
            began = _oldest_under_way(connection, job_id) if stride == 1 else None
            groups = tuple(_settled(_group(connection, job_id, row, samples[row.kind]), samples[row.kind], began)
                           for row in kinds)  # fmt: skip
            ends = sorted(row.finished_at for rows in samples.values() for row in rows if row.finished_at is not None)
            return Prospects(groups, tuple(ends), stride, _steps(connection, job_id), _ahead(connection, job_id))

        return await self._database.run(self._database.reading, work)


def _kinds(connection: Connection, job_id: str) -> list[Row[Any]]:
    """The work of a tree by kind, without the items that only wait for others."""
    open_ = func.sum(jobs.c.queued + jobs.c.leased + jobs.c.retrying).label("open")
    done = func.sum(jobs.c.succeeded + jobs.c.failed + jobs.c.dead).label("done")
    total = func.sum(jobs.c.request_bytes).label("request_bytes")
    query = select(jobs.c.kind, open_, done, total).where(jobs.c.root_id == job_id, _does_not_wait(job_id))
    return list(connection.execute(query.group_by(jobs.c.kind).order_by(jobs.c.kind)))


def _does_not_wait(job_id: str) -> ColumnElement[bool]:
    """Jobs of a tree that have none below them."""
    parents = select(jobs.c.parent_id).where(jobs.c.root_id == job_id, jobs.c.parent_id != "")
    return jobs.c.id.not_in(parents)


def _samples(connection: Connection, job_id: str, stride: int) -> dict[str, list[Any]]:
    """Items that are done, with their size and cost: all of a small job, every so many of a large one."""
    size = jobs.c.queued + jobs.c.leased + jobs.c.retrying + jobs.c.succeeded + jobs.c.failed + jobs.c.dead
    its = (job_attempts.c.job_id == jobs.c.id, requests.c.id == job_attempts.c.request_id)
    item = (job_items.c.job_id == job_attempts.c.job_id, job_items.c.number == job_attempts.c.number)
    charged = requests.c.outcome != Outcome.DUPLICATE.value
    chosen = (or_(job_attempts.c.number % stride == 0, size < stride), job_items.c.state.in_(_ANSWERED), charged)
    columns = (jobs.c.kind, job_items.c.request_bytes, job_items.c.finished_at)
    sums = (func.sum(requests.c.cost_picousd).label("cost"), func.min(job_attempts.c.started_at).label("began_at"))
    query = (
        select(*columns, *sums)
        .where(jobs.c.root_id == job_id, *its, *item, *chosen)
        .group_by(job_items.c.job_id, job_items.c.number, *columns)
    )
    found: dict[str, list[Any]] = defaultdict(list)
    for row in connection.execute(query).all():
        found[row.kind].append(row)
    return found


def _group(connection: Connection, job_id: str, kind: Row[Any], rows: list[Any]) -> Group:
    sample = tuple(Sampled(row.request_bytes, int(row.cost)) for row in rows)
    done, rest = int(kind.done), int(kind.open)
    if not done or (sample and done <= max(rest, SAMPLED)):
        done_bytes = done * sum(one.size_bytes for one in sample) / max(len(sample), 1)
        rest_bytes = max(0.0, float(kind.request_bytes) - done_bytes)
    else:
        rest_bytes = rest * _open_size(connection, job_id, kind.kind, max(1, -(-rest // SAMPLED)))
    mean = sum(one.cost_picousd for one in sample) / len(sample) if sample else 0.0
    return Group(done, rest, round(mean * done), rest_bytes, sample)


def _oldest_under_way(connection: Connection, job_id: str) -> float | None:
    """When the item was begun that has been under way for longest."""
    its = (jobs.c.root_id == job_id, job_items.c.job_id == jobs.c.id, job_items.c.state == ItemState.LEASED.value)
    attempt = (job_attempts.c.job_id == job_items.c.job_id, job_attempts.c.number == job_items.c.number)
    lease = (job_attempts.c.token == job_items.c.token, _does_not_wait(job_id))
    query = select(func.min(job_attempts.c.started_at)).where(*its, *attempt, *lease)
    began: float | None = connection.execute(query).scalar_one()
    return began


def _settled(group: Group, rows: list[Any], began: float | None) -> Group:
    """The same, with those begun later among the rest, if that leaves at least half of what is known."""
    known = [row for row in rows if began is not None and row.began_at < began]
    if len(known) == len(rows) or 2 * len(known) < len(rows):
        return group
    sizes, costs = sum(row.request_bytes for row in known), sum(int(row.cost) for row in known)
    done_bytes, done_cost = sum(row.request_bytes for row in rows), sum(int(row.cost) for row in rows)
    later = len(rows) - len(known)
    return Group(
        done=len(known),
        rest=group.rest + later,
        cost_picousd=costs,
        rest_bytes=group.rest_bytes + done_bytes - sizes,
        sample=tuple(Sampled(row.request_bytes, int(row.cost)) for row in known),
        unsettled=later,
        unsettled_picousd=done_cost - costs,
    )


def _open_size(connection: Connection, job_id: str, kind: str, stride: int) -> float:
    """The mean size of the items that are not done, of a sample."""
    its = (jobs.c.root_id == job_id, jobs.c.kind == kind, job_items.c.job_id == jobs.c.id, _does_not_wait(job_id))
    chosen = (job_items.c.number % stride == 0, job_items.c.state.in_(_OPEN))
    mean = connection.execute(select(func.avg(job_items.c.request_bytes)).where(*its, *chosen)).scalar_one()
    return float(mean or 0.0)


def _steps(connection: Connection, job_id: str) -> tuple[Step, ...]:
    """The newest first."""
    query = select(job_checkpoints.c.name, job_checkpoints.c.at).where(job_checkpoints.c.job_id == job_id)
    newest = query.order_by(job_checkpoints.c.at.desc()).limit(_LAST_STEPS)
    return tuple(Step(row.name, row.at) for row in connection.execute(newest))


def _ahead(connection: Connection, job_id: str) -> int | None:
    """Items that go before the first one of a job that waits; None if none of it could begin."""
    whole = select(jobs.c.id).where(jobs.c.root_id == job_id)
    mine = select(job_items.c.rank, job_items.c.turn).where(job_items.c.job_id.in_(whole), job_items.c.ready == 1)
    first = connection.execute(mine.order_by(job_items.c.rank, job_items.c.turn).limit(1)).one_or_none()
    if first is None:
        return None
    before = or_(job_items.c.rank < first.rank, (job_items.c.rank == first.rank) & (job_items.c.turn < first.turn))
    counted = select(job_items.c.turn).where(job_items.c.ready == 1, before).limit(FARTHEST).subquery()
    return int(connection.execute(select(func.count()).select_from(counted)).scalar_one())
