"""Folding old rows of the ledger into daily totals, and giving the room back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Connection, and_, case, delete, func, select
from sqlalchemy.dialects import sqlite

from headgate.stores import locks
from headgate.stores.cleaning import MAX_INTEGER
from headgate.stores.schema import daily_totals, other_attempts, requests
from headgate.stores.totals import NUMBERS, joined, numbers_of_rows, sums

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

FOLD_SEQUENCES = 2000  # how many numbers one transaction looks at: short enough that no writer waits for long
FREE_SHARE = 0.25  # a SQLite file may keep this much empty, for the rows of the next days
VACUUM_PAGES = 2000


def fold(connection: Connection, before_day: int) -> int:
    """Move the oldest rows of days before `before_day` into the totals; returns how many, 0 when there are none
    left."""
    locks.hold(connection, locks.LEDGER)  # no row may come between adding up and deleting
    oldest_day = connection.execute(select(func.min(requests.c.day))).scalar()
    if oldest_day is None or oldest_day >= before_day:
        return 0
    first = connection.execute(
        select(requests.c.sequence).where(requests.c.day < before_day).order_by(requests.c.sequence).limit(1)
    ).scalar_one()
    chosen = and_(requests.c.day < before_day, requests.c.sequence.between(first, first + FOLD_SEQUENCES - 1))
    _add_to_totals(connection, chosen)
    connection.execute(
        delete(other_attempts).where(other_attempts.c.request_id.in_(select(requests.c.id).where(chosen)))
    )
    return connection.execute(delete(requests).where(chosen)).rowcount


def _add_to_totals(connection: Connection, chosen: ColumnElement[bool]) -> None:
    group = (
        requests.c.day,
        requests.c.tenant,
        func.coalesce(requests.c.user_name, "").label("user_name"),
        requests.c.key_id,
        requests.c.model,
        requests.c.outcome,
    )
    names = [column.name for column in group]
    found = connection.execute(select(*group, func.count(), *sums(numbers_of_rows())).where(chosen).group_by(*group))
    values = [
        dict(zip(names, row, strict=False))
        | {"requests": row[len(names)]}
        | {name: min(total, MAX_INTEGER) for name, total in zip(NUMBERS, joined(row[len(names) + 1 :]), strict=True)}
        for row in found
    ]
    addition = _insert(connection)
    added = {
        name: _sum_within_64_bits(daily_totals.c[name], addition.excluded[name]) for name in ("requests", *NUMBERS)
    }
    connection.execute(addition.on_conflict_do_update(index_elements=names, set_=added), values)


def _insert(connection: Connection) -> sqlite.Insert | postgresql.Insert:
    if connection.dialect.name == "sqlite":
        return sqlite.insert(daily_totals)
    from sqlalchemy.dialects import postgresql  # its many types take as long to import as all of headgate's stores

    return postgresql.insert(daily_totals)


def _sum_within_64_bits(one: ColumnElement[int], other: ColumnElement[int]) -> ColumnElement[int]:
    """Numbers that a provider made up must not stop retention: a day's total of one group ends at 9.2 million USD."""
    return case((one > MAX_INTEGER - other, MAX_INTEGER), else_=one + other)


def vacuum(connection: Connection) -> bool:
    """Give some of SQLite's empty pages back; whether there is more to give. PostgreSQL does it by itself."""
    if connection.dialect.name != "sqlite":
        return False
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
    if free <= pages * FREE_SHARE:
        return False
    # On the driver's cursor: each step of it frees a page, and SQLAlchemy does not step through what has no columns.
    cursor = connection.connection.cursor()
    cursor.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})")
    cursor.fetchall()
    cursor.close()
    return bool(connection.exec_driver_sql("PRAGMA freelist_count").scalar_one() < free)
