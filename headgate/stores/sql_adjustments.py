"""Adjustments and the reports of who booked them, in SQL. Owns the tables `adjustments` and `reconciliations`.

Rows are only added. Who books holds a lock and finds nothing booked since it looked, or is told of the conflict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, and_, delete, func, insert, select

from headgate.bills import Adjustment, Booked, Cause, Reconciliation, Slot
from headgate.errors import Conflict, InvalidRequest
from headgate.stores import locks
from headgate.stores.cleaning import MAX_INTEGER, cleaned
from headgate.stores.database import Database
from headgate.stores.schema import adjustments, reconciliations
from headgate.stores.totals import joined, sums

KEPT_REPORTS = 1000  # for each provider: three years of nights
PAGE_ROWS = 1000


class SqlAdjustments:
    """The port `Adjustments` on a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def booked(self, provider: str, first_day: int, last_day: int) -> Booked:
        def work(connection: Connection) -> Booked:
            locks.see_one_moment(connection)
            version = _version(connection, provider)
            table = adjustments.c
            group = (table.day, table.upstream_model, table.key_fingerprint, table.cause, table.account)
            wanted = and_(table.provider == provider, table.day.between(first_day, last_day))
            found = select(*group, *sums([table.amount_picousd])).where(wanted).group_by(*group)
            amounts: dict[tuple[Slot, str], int] = {}
            for day, model, key, cause, account, *parts in connection.execute(found):
                amounts[Slot(day, model, key, Cause(cause)), account] = joined(parts)[0]
            return Booked(amounts, version)

        return await self._database.run(self._database.reading, work)

    async def book(self, rows: Sequence[Adjustment], report: Reconciliation, version: int) -> None:
        values = [_values(cleaned(row)) for row in rows]

        def work(connection: Connection) -> None:
            locks.hold(connection, locks.ADJUSTMENTS)
            if _version(connection, report.provider) != version:
                raise Conflict(f"Somebody else has booked for {report.provider} meanwhile. Run it again.")
            if values:
                connection.execute(insert(adjustments), values)
            _add_report(connection, report)

        await self._database.run(self._database.writing, work, writes=True)

    async def note(self, report: Reconciliation) -> None:
        await self._database.run(
            self._database.writing, lambda connection: _add_report(connection, report), writes=True
        )

    async def page(self, limit: int, after: str | None = None) -> tuple[list[Adjustment], str | None]:
        position = position_of(after)
        count = max(1, min(limit, PAGE_ROWS))

        def work(connection: Connection) -> tuple[list[Adjustment], str | None]:
            locks.hold(connection, locks.ADJUSTMENTS)  # numbers may be committed in another order than given out
            found = select(adjustments).where(adjustments.c.sequence > position).order_by(adjustments.c.sequence)
            rows = connection.execute(found.limit(count + 1)).all()
            return [_adjustment(row) for row in rows[:count]], (
                f"a{rows[count - 1].sequence:x}" if len(rows) > count else None
            )

        return await self._database.run(self._database.reading, work)

    async def reports(self, limit: int, provider: str | None = None) -> list[Reconciliation]:
        found = select(reconciliations.c.report).order_by(reconciliations.c.sequence.desc()).limit(limit)
        if provider is not None:
            found = found.where(reconciliations.c.provider == provider)
        texts = await self._database.run(
            self._database.reading, lambda connection: connection.execute(found).scalars().all()
        )
        return [msgspec.json.decode(text, type=Reconciliation) for text in texts]


def position_of(cursor: str | None) -> int:
    """The number of the last row that was read. Raises InvalidRequest."""
    try:
        position = 0 if cursor is None else int(cursor[1:], 16) if cursor.startswith("a") else -1
    except ValueError:
        position = -1
    if not 0 <= position <= MAX_INTEGER:
        raise InvalidRequest("`after` is not a cursor that was given out here.", param="after")
    return position


def _version(connection: Connection, provider: str) -> int:
    newest = select(func.coalesce(func.max(adjustments.c.sequence), 0)).where(adjustments.c.provider == provider)
    return int(connection.execute(newest).scalar_one())


def _add_report(connection: Connection, report: Reconciliation) -> None:
    table = reconciliations.c
    text = msgspec.json.encode(cleaned(report)).decode()
    values = {"id": report.id, "run_at": report.run_at, "provider": report.provider, "report": text}
    connection.execute(insert(reconciliations).values(values))
    own = table.provider == report.provider
    oldest_kept = (
        select(table.sequence).where(own).order_by(table.sequence.desc()).offset(KEPT_REPORTS - 1).limit(1)
    ).scalar_subquery()
    connection.execute(delete(reconciliations).where(own, table.sequence < oldest_kept))


def _values(row: Adjustment) -> dict[str, str | int | float]:
    return {
        "id": row.id,
        "booking": row.booking,
        "run": row.run,
        "booked_at": row.booked_at,
        "provider": row.provider,
        "day": row.slot.day,
        "upstream_model": row.slot.model,
        "key_fingerprint": row.slot.key,
        "cause": str(row.slot.cause),
        "account": row.account,
        "amount_picousd": row.amount_picousd,
        "words": row.words,
    }


def _adjustment(row: Row[Any]) -> Adjustment:
    slot = Slot(row.day, row.upstream_model, row.key_fingerprint, Cause(row.cause))
    about = (row.id, row.booking, row.run, row.booked_at, row.provider)
    return Adjustment(*about, slot, row.account, row.amount_picousd, row.words)
