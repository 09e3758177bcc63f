"""Virtual keys in SQL. Owns the table `keys` and the counter that changes with it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Update, insert, or_, select, update

from headgate.errors import Conflict, NotFound
from headgate.stores.cleaning import cleaned
from headgate.stores.database import Database
from headgate.stores.schema import counters, keys
from headgate.types import KeyRecord

VERSION = "keys_version"


class SqlKeyStore:
    """The port `KeyStore` on a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def version(self) -> int:
        return await self._database.run(self._database.keys, _version)

    async def all(self) -> list[KeyRecord]:
        return await self._database.run(self._database.keys, _all)

    async def add(self, key: KeyRecord) -> None:
        fit = cleaned(key)
        await self._database.run(self._database.keys, lambda connection: _add(connection, fit), writes=True)

    async def revoke(self, key_id: str, at: float) -> KeyRecord:
        change = update(keys).where(keys.c.revoked_at.is_(None)).values(revoked_at=at)
        return await self._change(key_id, change)

    async def expire(self, key_id: str, at: float | None) -> KeyRecord:
        return await self._change(key_id, update(keys).values(expires_at=at))

    async def _change(self, key_id: str, change: Update) -> KeyRecord:
        def work(connection: Connection) -> KeyRecord:
            if connection.execute(change.where(keys.c.id == key_id)).rowcount:
                _count_change(connection)
            return _one(connection, key_id)

        return await self._database.run(self._database.keys, work, writes=True)


def _version(connection: Connection) -> int:
    return int(connection.execute(select(counters.c.value).where(counters.c.name == VERSION)).scalar_one())


def _all(connection: Connection) -> list[KeyRecord]:
    return [_record(row) for row in connection.execute(select(keys).order_by(keys.c.created_at, keys.c.id))]


def _add(connection: Connection, key: KeyRecord) -> None:
    # Counting first takes the counter's row lock: of two processes adding the same key, the second sees the first.
    _count_change(connection)
    taken: ColumnElement[bool] = or_(keys.c.id == key.id, keys.c.hash == key.hash)
    if connection.execute(select(keys.c.id).where(taken)).first() is not None:
        raise Conflict("A key with this id or this value exists already.")
    connection.execute(
        insert(keys).values(
            id=key.id,
            hash=key.hash,
            hint=key.hint,
            tenant=key.tenant,
            tier=key.tier,
            user_name=key.user,
            name=key.name,
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
            source=key.source,
            follows_tenant=int(key.follows_tenant),
        )
    )


def _count_change(connection: Connection) -> None:
    connection.execute(update(counters).where(counters.c.name == VERSION).values(value=counters.c.value + 1))


def _one(connection: Connection, key_id: str) -> KeyRecord:
    row = connection.execute(select(keys).where(keys.c.id == key_id)).first()
    if row is None:
        raise NotFound(f"There is no key with the id {key_id!r}.", param="key_id")
    return _record(row)


def _record(row: Row[Any]) -> KeyRecord:
    return KeyRecord(
        id=row.id,
        hash=row.hash,
        hint=row.hint,
        tenant=row.tenant,
        tier=row.tier,
        user=row.user_name,
        name=row.name,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        source=row.source,
        follows_tenant=bool(row.follows_tenant),
    )
