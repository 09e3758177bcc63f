"""The ledger in SQL: SQLite or PostgreSQL, the same statements for both.

Owns the rows of `requests` and `other_attempts`; `retention.py` folds them into `daily_totals`. On PostgreSQL
transactions may commit in another order than their rows were numbered. So writers share an advisory lock, and a reader
of pages takes it alone for a moment: when it has it, every number given out so far is committed, and a cursor never
passes a row that would appear later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection, select, update

from headgate.errors import InvalidRequest
from headgate.stores import locks
from headgate.stores.cleaning import MAX_INTEGER, cleaned
from headgate.stores.database import Database, Unstorable
from headgate.stores.groups import check_group, day_of
from headgate.stores.inserts import inserter
from headgate.stores.job_costs import adding_inserter
from headgate.stores.layout import Layout
from headgate.stores.retention import fold, vacuum
from headgate.stores.rows import (
    ATTEMPT_COLUMNS,
    REQUEST_COLUMNS,
    Rows,
    attempt_record,
    request_record,
    rows_of,
)
from headgate.stores.schema import other_attempts, requests
from headgate.stores.totals import Question, usage
from headgate.types import AttemptRecord, RequestRecord, UsageRow

Result = TypeVar("Result")

PAGE_ROWS = 1000


class SqlLedger:
    """The port `Ledger` on a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert_requests = adding_inserter(database.dialect)
        self._insert_attempts = inserter(other_attempts, ATTEMPT_COLUMNS, database.dialect)

    async def write(self, records: Sequence[RequestRecord], undelivered: Sequence[str] = ()) -> None:
        try:
            rows = rows_of(records, undelivered)
        except UnicodeEncodeError:  # tags that no database holds
            rows = rows_of([cleaned(record) for record in records], undelivered)
        await self.store(rows)

    async def store(self, rows: Rows) -> None:
        """As `write`, for rows as the journal has them."""
        try:
            await self._change(lambda connection: self._store(connection, rows))
        except Unstorable:
            requests_layout, attempts_layout = (
                Layout(requests, REQUEST_COLUMNS),
                Layout(other_attempts, ATTEMPT_COLUMNS),
            )
            fit = Rows(
                list(map(requests_layout.cleaned, rows.requests)),
                list(map(attempts_layout.cleaned, rows.attempts)),
                rows.undelivered,
            )
            await self._change(lambda connection: self._store(connection, fit))

    async def known(self, ids: Sequence[str]) -> set[str]:
        """Those of at most 1000 ids that have a row."""
        found = select(requests.c.id).where(requests.c.id.in_(ids))
        return await self._database.run(
            self._database.reading, lambda connection: set(connection.execute(found).scalars())
        )

    async def page(self, limit: int, after: str | None = None) -> tuple[list[RequestRecord], str | None]:
        """At most 1000 rows, in the order in which they came into the ledger. Raises InvalidRequest for a bad
        cursor."""
        position = _position(after)
        rows = max(1, min(limit, PAGE_ROWS))
        return await self._database.run(self._database.reading, lambda connection: _page(connection, rows, position))

    async def usage(
        self,
        by: str,
        *,
        since: float | None = None,
        until: float | None = None,
        tenant: str | None = None,
        user: str | None = None,
        key_id: str | None = None,
    ) -> list[UsageRow]:
        """`until` is exclusive. A folded day counts as a whole, when its midnight lies between the two.

        Raises InvalidRequest for an unknown `by`.
        """
        check_group(by)
        question = Question(by, since, until, tenant, user, key_id)
        return await self._database.run(self._database.reading, lambda connection: usage(connection, question))

    async def used(
        self, by: str, tenant: str, *, since: float, until: float | None = None, without: Sequence[str] = ()
    ) -> list[UsageRow]:
        """As the port has it."""
        check_group(by)
        question = Question(by, since, until, tenant, without=without)
        return await self._database.run(self._database.reading, lambda connection: usage(connection, question))

    async def compact(self, before: float) -> int:
        """Only whole UTC days are folded, in many short transactions, each of which folds exactly the rows that it
        deletes: the totals are right at every moment, and new rows need not wait for a day's worth of old ones."""
        day = day_of(before)
        total = 0
        while count := await self._change(lambda connection: fold(connection, day)):
            total += count
        while total and await self._change(vacuum):
            pass
        return total

    def _store(self, connection: Connection, rows: Rows) -> None:
        locks.share(connection, locks.LEDGER)
        self._insert_attempts(connection, rows.attempts)
        self._insert_requests(connection, rows.requests)  # late, as it may wait for others who add to the same job
        if rows.undelivered:
            connection.execute(update(requests).where(requests.c.id.in_(rows.undelivered)).values(undelivered=1))

    async def _change(self, work: Callable[[Connection], Result]) -> Result:
        return await self._database.run(self._database.writing, work, writes=True)


def _cursor(sequence: int) -> str:
    return f"c{sequence:x}"


def _position(after: str | None) -> int:
    if after is None:
        return 0
    try:
        position = int(after[1:], 16) if after.startswith("c") else -1
    except ValueError:
        position = -1
    if not 0 <= position <= MAX_INTEGER:
        raise InvalidRequest("`after` is not a cursor that this ledger gave out.", param="after")
    return position


def _page(connection: Connection, limit: int, position: int) -> tuple[list[RequestRecord], str | None]:
    locks.hold(connection, locks.LEDGER)
    rows = connection.execute(
        select(requests).where(requests.c.sequence > position).order_by(requests.c.sequence).limit(limit + 1)
    ).all()
    page, more = rows[:limit], len(rows) > limit
    others: dict[str, list[AttemptRecord]] = {}
    for row in connection.execute(
        select(other_attempts)
        .where(other_attempts.c.request_id.in_([row.id for row in page]))
        .order_by(other_attempts.c.request_id, other_attempts.c.number)
    ):
        others.setdefault(row.request_id, []).append(attempt_record(row._asdict()))
    records = [request_record(row._asdict(), others.get(row.id, ())) for row in page]
    return records, _cursor(page[-1].sequence) if more else None
