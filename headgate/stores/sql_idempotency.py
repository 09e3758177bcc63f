"""Idempotency keys in SQL. Owns the table `idempotency_keys`.

Times are those of the process that asks, so the clocks of machines that share a database must not differ by more than
a process is thought alive without a word.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, select, text, update

from headgate.idempotency_types import KeyedRequest, KeyedResult
from headgate.stores.database import Database
from headgate.stores.schema import idempotency_keys as keys

_ENTER = (
    "INSERT INTO idempotency_keys (key, content, request_id, owner, alive_until, expires_at) "
    "VALUES (:key, :content, :request_id, :owner, :alive_until, :expires_at) ON CONFLICT (key) DO NOTHING"
)


class SqlIdempotencyStore:
    """The port `IdempotencyStore` on a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, request: KeyedRequest, now: float) -> KeyedRequest:
        def work(connection: Connection) -> KeyedRequest:
            connection.execute(delete(keys).where(keys.c.key == request.key.hex(), keys.c.expires_at <= now))
            found = None
            while found is None:  # one that was there and is released in this moment leaves nothing to read
                if connection.execute(text(_ENTER), _values(request)).rowcount == 1:
                    return request
                found = _read(connection, request.key)
            return found

        return await self._database.run(self._database.keys, work, writes=True)

    async def take_over(self, found: KeyedRequest, request: KeyedRequest) -> bool:
        same = keys.c.key == found.key.hex(), keys.c.request_id == found.request_id
        unchanged = (*same, keys.c.alive_until == found.alive_until, keys.c.result.is_(None))
        return await self._changed(update(keys).where(*unchanged).values(**_values(request)))

    async def read(self, key: bytes) -> KeyedRequest | None:
        return await self._database.run(self._database.keys, lambda connection: _read(connection, key))

    async def finish(self, key: bytes, request_id: str, result: KeyedResult) -> bool:
        mine = keys.c.key == key.hex(), keys.c.request_id == request_id, keys.c.result.is_(None)
        return await self._changed(update(keys).where(*mine).values(owner="", result=msgspec.msgpack.encode(result)))

    async def release(self, key: bytes, request_id: str) -> None:
        mine = keys.c.key == key.hex(), keys.c.request_id == request_id, keys.c.result.is_(None)
        await self._changed(delete(keys).where(*mine))

    async def keep_alive(self, owner: str, until: float) -> None:
        await self._changed(update(keys).where(keys.c.owner == owner).values(alive_until=until))

    async def prune(self, now: float) -> int:
        over = delete(keys).where(keys.c.expires_at <= now)
        return await self._database.run(self._database.keys, lambda one: int(one.execute(over).rowcount), writes=True)

    async def _changed(self, change: Any) -> bool:
        """Whether a statement changed something."""
        lane = self._database.keys
        return await self._database.run(lane, lambda one: int(one.execute(change).rowcount) > 0, writes=True)


def _values(request: KeyedRequest) -> dict[str, object]:
    return {
        "key": request.key.hex(),
        "content": request.content.hex(),
        "request_id": request.request_id,
        "owner": request.owner,
        "alive_until": request.alive_until,
        "expires_at": request.expires_at,
    }


def _read(connection: Connection, key: bytes) -> KeyedRequest | None:
    row = connection.execute(select(keys).where(keys.c.key == key.hex())).one_or_none()
    return None if row is None else _request(row)


def _request(row: Row[Any]) -> KeyedRequest:
    return KeyedRequest(
        key=bytes.fromhex(row.key),
        content=bytes.fromhex(row.content),
        request_id=row.request_id,
        owner=row.owner,
        alive_until=row.alive_until,
        expires_at=row.expires_at,
        result=None if row.result is None else msgspec.msgpack.decode(row.result, type=KeyedResult),
    )
