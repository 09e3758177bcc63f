"""Run-time changes and their trail in SQL. Owns the tables `changes` and `audit`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, insert, select, update

from headgate.change_types import AuditEntry, Change, Setting, Target
from headgate.errors import Conflict, InvalidRequest, NotFound
from headgate.stores.cleaning import cleaned
from headgate.stores.database import Database
from headgate.stores.schema import audit, changes, counters

VERSION = "changes_version"


class SqlChanges:
    """The port `Changes` on a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def version(self) -> int:
        return await self._database.run(self._database.keys, _version)

    async def all(self) -> list[Change]:
        return await self._database.run(self._database.keys, _all)

    async def put(self, change: Change, entry: AuditEntry, version: int) -> None:
        fit, noted = cleaned(change), cleaned(entry)

        def work(connection: Connection) -> None:
            _count_change(connection, version)
            connection.execute(delete(changes).where(_is(fit.setting)))
            connection.execute(
                insert(changes).values(
                    target=fit.setting.target.value,
                    name=fit.setting.name,
                    path=fit.setting.path,
                    value=fit.value,
                    at=fit.at,
                    by_whom=fit.by,
                )
            )
            _note(connection, noted)

        await self._database.run(self._database.keys, work, writes=True)

    async def remove(self, setting: Setting, entry: AuditEntry, version: int) -> None:
        noted = cleaned(entry)

        def work(connection: Connection) -> None:
            _count_change(connection, version)
            if not connection.execute(delete(changes).where(_is(setting))).rowcount:
                raise NotFound(f"Nobody changed '{setting.written}' at run time.", param="setting")
            _note(connection, noted)

        await self._database.run(self._database.keys, work, writes=True)

    async def note(self, entry: AuditEntry) -> None:
        noted = cleaned(entry)
        await self._database.run(self._database.keys, lambda connection: _note(connection, noted), writes=True)

    async def trail(self, limit: int, after: str | None = None) -> tuple[list[AuditEntry], str | None]:
        query = select(audit).order_by(audit.c.sequence.desc()).limit(limit + 1)
        if after is not None:
            if not after.isdecimal() or len(after) > 18:
                raise InvalidRequest(f"'{after}' is no cursor of the trail.", param="after")
            query = query.where(audit.c.sequence < int(after))
        rows = await self._database.run(self._database.reading, lambda connection: connection.execute(query).all())
        following = str(rows[limit - 1].sequence) if len(rows) > limit else None
        return [_entry(row) for row in rows[:limit]], following


def _version(connection: Connection) -> int:
    return int(connection.execute(select(counters.c.value).where(counters.c.name == VERSION)).scalar_one())


def _all(connection: Connection) -> list[Change]:
    query = select(changes).order_by(changes.c.at, changes.c.target, changes.c.name, changes.c.path)
    return [
        Change(Setting(Target(row.target), row.name, row.path), row.value, row.at, row.by_whom)
        for row in connection.execute(query)
    ]


def _is(setting: Setting) -> ColumnElement[bool]:
    return and_(
        changes.c.target == setting.target.value, changes.c.name == setting.name, changes.c.path == setting.path
    )


def _count_change(connection: Connection, version: int) -> None:
    """Take the counter's row lock and the next version: of two changes made at once, the second sees the first."""
    mine = update(counters).where(counters.c.name == VERSION, counters.c.value == version)
    if not connection.execute(mine.values(value=version + 1)).rowcount:
        raise Conflict("Somebody else changed a setting at the same moment. Look at it and try again.")


def _note(connection: Connection, entry: AuditEntry) -> None:
    connection.execute(
        insert(audit).values(
            id=entry.id,
            at=entry.at,
            by_whom=entry.by,
            command=entry.command,
            fields=entry.fields,
            subject=entry.subject,
            value_before=entry.before,
            value_after=entry.after,
            request_id=entry.request_id,
        )
    )


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        at=row.at,
        by=row.by_whom,
        command=row.command,
        fields=row.fields,
        subject=row.subject,
        before=row.value_before,
        after=row.value_after,
        request_id=row.request_id,
    )
