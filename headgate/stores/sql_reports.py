"""Reports on jobs, in SQL: the items and attempts of a tree, joined with the ledger."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, literal, or_, select

from headgate.report_types import CostRow, FailureRow, JobReport, PartRow, SlowRow
from headgate.stores.database import Database
from headgate.stores.job_counts import counts_of
from headgate.stores.jobs_tables import job_attempts, job_items, jobs
from headgate.stores.schema import requests
from headgate.types import Outcome

_ENDED_BADLY = ("failed", "dead", "expired", "cancelled")


class SqlReports:
    """The port `Reports` on a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def report(self, root_id: str, documents_id: str, shard_documents: int, most: int) -> JobReport:
        def work(connection: Connection) -> JobReport:
            failures = connection.execute(_failures(root_id).limit(most)).all()
            counted = select(func.count()).select_from(_failures(root_id).subquery())
            return JobReport(
                parts=_parts(connection, root_id),
                costs=tuple(
                    CostRow(**row._mapping)
                    for row in connection.execute(_costs(root_id, documents_id, max(1, shard_documents)))
                ),
                failure_count=int(connection.execute(counted).scalar_one()),
                failures=tuple(FailureRow(**row._mapping) for row in failures),
                slowest=tuple(SlowRow(**row._mapping) for row in connection.execute(_slowest(root_id).limit(most))),
            )

        return await self._database.run(self._database.reading, work)


def _tree(root_id: str) -> ColumnElement[bool]:
    return or_(jobs.c.id == root_id, jobs.c.root_id == root_id)


def _parts(connection: Connection, root_id: str) -> tuple[PartRow, ...]:
    """Of large trees the jobs directly below the root; those of single documents are left out."""
    query = select(jobs).where(or_(jobs.c.id == root_id, jobs.c.parent_id == root_id)).order_by(jobs.c.id)
    rows = []
    for row in connection.execute(query):
        counts = counts_of(row)
        name = row.id.removeprefix(root_id).removeprefix("-")
        rows.append(PartRow(name, row.kind, row.state, counts.done, counts.succeeded, counts.total))
    return tuple(rows)


def _costs(root_id: str, documents_id: str, shard_documents: int) -> Select[Any]:
    """A document's requests are those of its item, and those of the job below it that has its pieces."""
    number = case(
        (jobs.c.id == documents_id, job_attempts.c.number), (jobs.c.parent_id == documents_id, jobs.c.parent_number),
        else_=literal(0),
    )  # fmt: skip
    shard = case((number > 0, (number - 1) // shard_documents + 1), else_=literal(0))
    is_duplicate, cost = requests.c.outcome == Outcome.DUPLICATE.value, requests.c.cost_picousd
    columns = {
        "model": requests.c.model, "day": requests.c.day, "shard": shard, "requests": func.count(),
        "input_tokens": func.sum(requests.c.input_tokens),
        "cached_input_tokens": func.sum(requests.c.cached_input_tokens),
        "output_tokens": func.sum(requests.c.output_tokens),
        "cost_picousd": func.sum(case((is_duplicate, 0), else_=cost)),
        "duplicate_picousd": func.sum(case((is_duplicate, cost), else_=0)),
    }  # fmt: skip
    joined = jobs.join(job_attempts, job_attempts.c.job_id == jobs.c.id)
    joined = joined.join(requests, requests.c.id == job_attempts.c.request_id)
    query = select(*[column.label(name) for name, column in columns.items()]).select_from(joined)
    by = (requests.c.model, requests.c.day, shard)
    return query.where(_tree(root_id)).group_by(*by).order_by(*by)


def _failures(root_id: str) -> Select[Any]:
    columns = (
        job_items.c.job_id, job_items.c.number, job_items.c.label, job_items.c.state,
        job_items.c.error_code.label("code"), job_items.c.error.label("message"), job_items.c.attempts,
    )  # fmt: skip
    joined = jobs.join(job_items, job_items.c.job_id == jobs.c.id)
    query = select(*columns).select_from(joined).where(_tree(root_id), job_items.c.state.in_(_ENDED_BADLY))
    return query.order_by(job_items.c.job_id, job_items.c.number)


def _slowest(root_id: str) -> Select[Any]:
    its = and_(job_items.c.job_id == job_attempts.c.job_id, job_items.c.number == job_attempts.c.number)
    joined = jobs.join(job_attempts, job_attempts.c.job_id == jobs.c.id).join(job_items, its)
    joined = joined.join(requests, requests.c.id == job_attempts.c.request_id)
    columns = (
        job_items.c.job_id, job_items.c.number, job_items.c.label, requests.c.model,
        requests.c.e2e_seconds.label("seconds"), requests.c.output_tokens,
    )  # fmt: skip
    return select(*columns).select_from(joined).where(_tree(root_id)).order_by(requests.c.e2e_seconds.desc())
