"""Files in SQL: a row each, and rows of about a megabyte for what is in them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, exists, func, or_, select, text

from headgate.file_errors import FileQuotaExceeded
from headgate.file_types import FileFilter, StoredFile
from headgate.ports import Clock
from headgate.stores import locks
from headgate.stores.cleaning import clean
from headgate.stores.database import Database
from headgate.stores.file_tables import file_pieces, files
from headgate.stores.job_counts import database_now
from headgate.stores.owned import owned_row

ORPHAN_SECONDS = 7200.0  # a file is written in less
DROPPED_AT_ONCE = 16  # pieces: a transaction that others wait for
_SWEPT_AT_ONCE = 100
_WRITE = (
    "INSERT INTO file_pieces (file_id, number, at, data) VALUES (:file_id, :number, :at, :data) "
    "ON CONFLICT (file_id, number) DO UPDATE SET data = :data, at = :at"
)
_FINISH = (
    "INSERT INTO files (id, tenant, user_name, purpose, filename, bytes, created_at, expires_at) VALUES "
    "(:id, :tenant, :user_name, :purpose, :filename, :bytes, :created_at, :expires_at) ON CONFLICT (id) DO NOTHING"
)


class SqlFiles:
    """The ports `Files` and `FileUpkeep` on a `Database`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def write(self, file_id: str, number: int, piece: bytes) -> None:
        def work(connection: Connection) -> None:
            now = database_now(connection, self._clock)
            connection.execute(text(_WRITE), {"file_id": file_id, "number": number, "at": now, "data": piece})

        await self._database.run(self._database.jobs, work, writes=True)

    async def finish(self, file: StoredFile, tenant_bytes: int | None = None) -> None:
        def work(connection: Connection) -> None:
            if tenant_bytes is not None:
                locks.hold(connection, locks.FILES)
                if _used(connection, file.tenant) + file.bytes > tenant_bytes:
                    raise FileQuotaExceeded(
                        f"With this file of {file.bytes} bytes the tenant's files would be larger than the "
                        f"{tenant_bytes} bytes it may have: delete some first."
                    )
            values = {
                "id": file.id, "tenant": clean(file.tenant), "user_name": clean(file.user), "purpose": file.purpose,
                "filename": clean(file.filename), "bytes": file.bytes, "created_at": file.created_at,
                "expires_at": file.expires_at,
            }  # fmt: skip
            connection.execute(text(_FINISH), values)

        await self._database.run(self._database.jobs, work, writes=True)

    async def drop(self, file_id: str) -> None:
        await drop_pieces(self._database, file_id)

    async def get(self, file_id: str, tenant: str | None = None) -> StoredFile:
        def work(connection: Connection) -> StoredFile:
            return _file(owned_row(connection, files, file_id, tenant, self._is_there(connection)))

        return await self._database.run(self._database.reading, work)

    async def page(self, wanted: FileFilter, limit: int, after: str | None = None) -> tuple[list[StoredFile], bool]:
        query = select(files).where(files.c.tenant == wanted.tenant, files.c.purpose.in_(wanted.purposes))
        if after is not None:
            query = query.where(files.c.id > after if wanted.oldest_first else files.c.id < after)
        query = query.order_by(files.c.id if wanted.oldest_first else files.c.id.desc()).limit(limit + 1)

        def work(connection: Connection) -> tuple[list[StoredFile], bool]:
            found = connection.execute(query.where(self._is_there(connection))).all()
            return [_file(row) for row in found[:limit]], len(found) > limit

        return await self._database.run(self._database.reading, work)

    async def piece(self, file_id: str, number: int) -> bytes:
        query = select(file_pieces.c.data).where(file_pieces.c.file_id == file_id, file_pieces.c.number == number)

        def work(connection: Connection) -> bytes:
            return bytes(connection.execute(query).scalar_one_or_none() or b"")

        return await self._database.run(self._database.reading, work)

    async def delete(self, file_id: str, tenant: str | None = None) -> None:
        def work(connection: Connection) -> None:
            owned_row(connection, files, file_id, tenant, self._is_there(connection))
            connection.execute(delete(files).where(files.c.id == file_id))

        await self._database.run(self._database.jobs, work, writes=True)
        await self.drop(file_id)

    # --- upkeep ---

    async def used(self, tenant: str) -> int:
        return await self._database.run(self._database.reading, lambda connection: _used(connection, tenant))

    async def sweep(self) -> int:
        def work(connection: Connection) -> int:
            now = database_now(connection, self._clock)
            late = select(files.c.id).where(files.c.expires_at <= now).limit(_SWEPT_AT_ONCE)
            gone = connection.execute(delete(files).where(files.c.id.in_(late))).rowcount
            lost = select(file_pieces.c.file_id, file_pieces.c.number).where(
                file_pieces.c.at < now - ORPHAN_SECONDS, ~exists().where(files.c.id == file_pieces.c.file_id)
            )
            found = connection.execute(lost.limit(DROPPED_AT_ONCE)).all()
            for row in found:
                its = (file_pieces.c.file_id == row.file_id, file_pieces.c.number == row.number)
                connection.execute(delete(file_pieces).where(*its))
            return gone + len(found)

        return await self._database.run(self._database.jobs, work, writes=True)

    def _is_there(self, connection: Connection) -> Any:
        return or_(files.c.expires_at.is_(None), files.c.expires_at > database_now(connection, self._clock))


async def drop_pieces(database: Database, file_id: str) -> None:
    """Forget the pieces of a file that is not there."""
    its = select(file_pieces.c.number).where(file_pieces.c.file_id == file_id).limit(DROPPED_AT_ONCE)

    def work(connection: Connection) -> int:
        if connection.execute(select(files.c.id).where(files.c.id == file_id)).first() is not None:
            return 0
        some = delete(file_pieces).where(file_pieces.c.file_id == file_id, file_pieces.c.number.in_(its))
        return connection.execute(some).rowcount

    while await database.run(database.jobs, work, writes=True):
        pass


def _used(connection: Connection, tenant: str) -> int:
    query = select(func.coalesce(func.sum(files.c.bytes), 0)).where(files.c.tenant == clean(tenant))
    return int(connection.execute(query).scalar_one())


def _file(row: Row[Any]) -> StoredFile:
    return StoredFile(
        row.id, row.tenant, row.user_name, row.purpose, row.filename, int(row.bytes), row.created_at, row.expires_at
    )
