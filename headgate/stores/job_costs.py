"""What jobs cost so far, kept beside the ledger so that nobody has to add up a job's rows to look at it.

The ledger is the truth: a job's cost is the sum of the rows of its attempts. The transaction that adds rows to the
ledger adds those of jobs to `job_costs` too, only rows that were not there before; the one that makes duplicates of
rows moves them to the other sum. Retention may fold the rows, the sums stay. Attempts that began under a release that
kept no sums are marked so (`summed` is 0), and their rows are looked for each time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, func, select, text

from headgate.stores.cleaning import MAX_INTEGER
from headgate.stores.inserts import Insert, as_json, insert_of_json, inserter
from headgate.stores.job_counts import tree_of
from headgate.stores.jobs_tables import DUPLICATE, IS_NOT_SUMMED, IS_REPEATED, job_attempts, job_costs, jobs
from headgate.stores.rows import REQUEST_COLUMNS, Values
from headgate.stores.schema import requests
from headgate.stores.totals import PART, joined, sums
from headgate.types import Outcome

_OURS = "job_attempts.summed = 1"
_SUM_OR_NOTHING = f"coalesce(sum(requests.cost_picousd / {PART}), 0), coalesce(sum(requests.cost_picousd % {PART}), 0)"
_ITS_ITEM = "job_items.job_id = job_attempts.job_id AND job_items.number = job_attempts.number"
_ITS_ROW = "requests.id = job_attempts.request_id AND requests.outcome IN ('done', 'provisional', 'disconnected')"
_OF_TREE = "jobs.id = job_attempts.job_id AND (jobs.id = :job_id OR jobs.root_id = :job_id)"
# Lost calls of items that are not over, and duplicates that the ledger does not know yet.
_REPEATED = (
    f"SELECT {_SUM_OR_NOTHING} FROM jobs CROSS JOIN job_attempts CROSS JOIN job_items CROSS JOIN requests "
    f"WHERE {_OF_TREE} AND {IS_REPEATED} AND {_ITS_ITEM} AND {_ITS_ROW} "
    f"AND (job_attempts.fate = '{DUPLICATE}' OR job_items.finished_at IS NULL)"
)
# Calls of processes that died, whose leases have not run out yet.
_NOT_KNOWN = (
    f"SELECT {_SUM_OR_NOTHING} FROM requests CROSS JOIN job_attempts CROSS JOIN job_items CROSS JOIN jobs "
    f"WHERE requests.outcome = 'provisional' AND {_ITS_ROW} AND job_attempts.fate = '' AND {_ITS_ITEM} AND {_OF_TREE} "
    "AND job_items.finished_at IS NULL"
)
_SUM = f"sum(cost_picousd / {PART}), sum(cost_picousd % {PART})"
# Names the order of the tables: SQLite would go through all attempts otherwise.
_NEW_SINCE = (
    f"SELECT job_attempts.job_id, requests.outcome, {_SUM} FROM requests CROSS JOIN job_attempts WHERE "
    f"requests.sequence > :last AND job_attempts.request_id = requests.id AND {_OURS} GROUP BY 1, 2"
)
_THOSE_ADDED = (
    f"WITH added AS ({{insert}} RETURNING id, cost_picousd, outcome) SELECT job_attempts.job_id, added.outcome, {_SUM} "
    f"FROM added JOIN job_attempts ON job_attempts.request_id = added.id WHERE {_OURS} GROUP BY 1, 2"
).replace("%", "%%")  # for the driver
# Numbers that a provider made up must not stop the ledger: a job's sum ends at 9.2 million USD.
_ADD = (
    "INSERT INTO job_costs (job_id, charged_picousd, duplicate_picousd) VALUES (:job_id, :charged, :duplicate) "
    "ON CONFLICT (job_id) DO UPDATE SET "
    f"charged_picousd = CASE WHEN job_costs.charged_picousd > :charged_room THEN {MAX_INTEGER} "
    "ELSE job_costs.charged_picousd + excluded.charged_picousd END, "
    f"duplicate_picousd = CASE WHEN job_costs.duplicate_picousd > :duplicate_room THEN {MAX_INTEGER} "
    "ELSE job_costs.duplicate_picousd + excluded.duplicate_picousd END"
)


def adding_inserter(dialect: str) -> Insert:
    """A function that adds rows to the ledger, and their costs to the jobs whose they are."""
    return _in_sqlite() if dialect == "sqlite" else _in_postgresql()


def move_to_duplicates(connection: Connection, request_ids: Sequence[str]) -> None:
    """These rows have just become duplicates."""
    its = (job_attempts.c.request_id == requests.c.id, requests.c.id.in_(request_ids), text(_OURS))
    found = connection.execute(select(job_attempts.c.job_id, requests.c.cost_picousd).where(*its)).all()
    charged, duplicate = Counter[str](), Counter[str]()
    for job_id, cost in found:
        charged[job_id] -= cost
        duplicate[job_id] += cost
    _add(connection, charged, duplicate)


def costs_of(connection: Connection, job_ids: Collection[str]) -> dict[str, tuple[int, int]]:
    """What jobs, each with all below it, are charged, and what their duplicates cost, in pico-dollars."""
    whole, top = tree_of(job_ids)
    columns = (job_costs.c.charged_picousd, job_costs.c.duplicate_picousd)
    kept = select(top, *[func.coalesce(part, 0) for part in sums(columns)])
    kept = kept.join_from(jobs, job_costs, job_costs.c.job_id == jobs.c.id).where(whole).group_by(top)
    costs = dict.fromkeys(job_ids, (0, 0))
    for job_id, *parts in connection.execute(kept):
        charged, duplicate = joined(parts)
        costs[job_id] = charged, duplicate
    its = (job_attempts.c.request_id == requests.c.id, job_attempts.c.job_id.in_(select(jobs.c.id).where(whole)))
    not_kept = select(top, requests.c.cost_picousd, requests.c.outcome).join_from(
        job_attempts, jobs, jobs.c.id == job_attempts.c.job_id
    )
    for job_id, cost, outcome in connection.execute(not_kept.join(requests, its[0]).where(its[1], text(IS_NOT_SUMMED))):
        charged, duplicate = costs[job_id]
        is_duplicate = outcome == Outcome.DUPLICATE
        costs[job_id] = charged + cost * (not is_duplicate), duplicate + cost * is_duplicate
    return costs


def provisional_of(connection: Connection, job_id: str) -> int:
    """How much of what a job and all below it are charged was for calls that were lost with their workers, and may yet
    be a duplicate of another: their items are not over, or the ledger does not say so yet."""
    queries = (_REPEATED, _NOT_KNOWN)
    return sum(joined(connection.execute(text(each), {"job_id": job_id}).one())[0] for each in queries)


def _in_sqlite() -> Insert:
    """It has one writer at a time: what is numbered behind the last row was not there before."""
    insert = inserter(requests, REQUEST_COLUMNS, "sqlite")
    last = select(func.coalesce(func.max(requests.c.sequence), 0))

    def add(connection: Connection, rows: Sequence[Values]) -> None:
        before = connection.execute(last).scalar_one()
        insert(connection, rows)
        _add_new(connection, connection.execute(text(_NEW_SINCE), {"last": before}))

    return add


def _in_postgresql() -> Insert:
    statement = _THOSE_ADDED.format(insert=insert_of_json(requests, REQUEST_COLUMNS))  # which has its own %s

    def add(connection: Connection, rows: Sequence[Values]) -> None:
        added: list[Any] = []
        for values in as_json(REQUEST_COLUMNS, rows):
            added += connection.exec_driver_sql(statement, (values,)).all()
        _add_new(connection, added)

    return add


def _add_new(connection: Connection, added: Iterable[Any]) -> None:
    charged, duplicate = Counter[str](), Counter[str]()
    for job_id, outcome, *parts in added:
        (duplicate if outcome == Outcome.DUPLICATE else charged)[job_id] += joined(parts)[0]
    _add(connection, charged, duplicate)


def _add(connection: Connection, charged: Counter[str], duplicate: Counter[str]) -> None:
    """Last in a transaction, as others wait for it; in one order, so that nobody deadlocks."""
    values = [_within_64_bits(job_id, charged[job_id], duplicate[job_id]) for job_id in sorted({*charged, *duplicate})]
    if values:
        connection.execute(text(_ADD), values)


def _within_64_bits(job_id: str, charged: int, duplicate: int) -> dict[str, str | int]:
    charged, duplicate = min(charged, MAX_INTEGER), min(duplicate, MAX_INTEGER)
    return {
        "job_id": job_id, "charged": charged, "duplicate": duplicate,
        "charged_room": MAX_INTEGER - max(charged, 0), "duplicate_room": MAX_INTEGER - max(duplicate, 0),
    }  # fmt: skip
