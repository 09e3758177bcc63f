"""What stores of files and batches must do: `file_ports.Files`, `FileUpkeep` and `Batches`."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from sqlalchemy import func, select, text

from headgate.errors import Conflict, NotFound
from headgate.file_errors import FileQuotaExceeded
from headgate.file_types import (
    PIECE_BYTES,
    Batch,
    BatchPage,
    BatchStatus,
    Dialect,
    FileFilter,
    LineProblem,
    NewBatch,
    StoredFile,
)
from headgate.stores.file_tables import file_pieces
from headgate.stores.job_counts import database_now
from headgate.stores.sql_batches import SqlBatches
from headgate.stores.sql_files import ORPHAN_SECONDS, SqlFiles
from tests.contract.test_jobs import RULES, SECONDS, claim, end, job
from tests.contract.working import Desk, Open

PIECE = bytes(range(256)) * (PIECE_BYTES // 256)


def file(number: int = 1, tenant: str = "acme", **more: object) -> StoredFile:
    made = StoredFile(f"file-{number:03}", tenant, "alice", "batch", "a\0b.jsonl", 10, 1_790_000_000.0 + number)
    return msgspec.structs.replace(made, **more)


def batch(number: int = 1, tenant: str = "acme", dialect: Dialect = Dialect.OPENAI) -> Batch:
    asked = NewBatch(dialect, "/v1/chat/completions", "chat", "file-001", 1.5, 2.5, metadata={"a": "b\0"})
    return Batch(f"batch_{number:03}", tenant, None, asked)


def test_a_file_in_pieces(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as here, desk() as another:
            files, elsewhere = SqlFiles(here.database, here.clock), SqlFiles(another.database, another.clock)
            await files.write("file-001", 1, b"end")
            await files.write("file-001", 0, b"wrong")
            await files.write("file-001", 0, PIECE)
            with pytest.raises(NotFound):
                await files.get("file-001")
            made = file(bytes=len(PIECE) + 3)
            await files.finish(made)
            await files.finish(msgspec.structs.replace(made, purpose="another"))  # it is there already
            kept = await elsewhere.get("file-001", "acme")
            assert kept == msgspec.structs.replace(made, filename="a\N{REPLACEMENT CHARACTER}b.jsonl")
            assert [await elsewhere.piece("file-001", number) for number in range(3)] == [PIECE, b"end", b""]
            with pytest.raises(NotFound, match="no file 'file-001'"):
                await files.get("file-001", "hobby")
            with pytest.raises(NotFound):
                await files.delete("file-001", "hobby")
            await files.drop("file-001")  # a file that is there keeps its pieces
            assert await files.piece("file-001", 1) == b"end"
            await files.delete("file-001", "acme")
            assert await elsewhere.piece("file-001", 0) == b"" and await files.used("acme") == 0
            with pytest.raises(NotFound):
                await elsewhere.get("file-001")

    asyncio.run(scenario())


def test_pages_of_files(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as here:
            files = SqlFiles(here.database, here.clock)
            for number in (3, 1, 2, 4):
                await files.finish(file(number))
            await files.finish(file(5, purpose="user_data"))
            await files.finish(file(6, tenant="hobby"))
            mine = FileFilter("acme", ("batch",))
            first, more = await files.page(mine, 3)
            assert [each.id for each in first] == ["file-004", "file-003", "file-002"] and more
            rest, more = await files.page(mine, 3, "file-002")
            assert [each.id for each in rest] == ["file-001"] and not more
            upwards, _ = await files.page(msgspec.structs.replace(mine, oldest_first=True), 9, "file-002")
            assert [each.id for each in upwards] == ["file-003", "file-004"]
            both, _ = await files.page(FileFilter("acme", ("batch", "user_data")), 9)
            assert len(both) == 5

    asyncio.run(scenario())


def test_a_tenant_has_so_many_bytes_and_no_more(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as here, desk() as another:
            stores = [SqlFiles(one.database, one.clock) for one in (here, another)]
            await stores[0].finish(file(50, tenant="hobby", bytes=1000), 1000)

            async def finish(number: int) -> bool:
                try:
                    await stores[number % 2].finish(file(number, bytes=30), 100)
                except FileQuotaExceeded as error:
                    assert "100 bytes" in error.message
                    return False
                return True

            assert sum(await asyncio.gather(*map(finish, range(8)))) == 3
            assert await stores[1].used("acme") == 90

    asyncio.run(scenario())


def test_files_and_pieces_go_when_their_time_is_over(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as here:
            files, now = SqlFiles(here.database, here.clock), await database_seconds(here)
            await files.write("file-001", 0, PIECE)
            await files.finish(file(1, expires_at=now - 1))
            await files.finish(file(2, expires_at=now + 3600))
            await files.write("file-003", 0, b"its file never came")
            await files.write("file-002", 0, b"stays")
            assert [each.id for each in (await files.page(FileFilter("acme", ("batch",)), 9))[0]] == ["file-002"]
            with pytest.raises(NotFound):
                await files.get("file-001")
            assert await files.sweep() == 1  # the row; its piece is too young to be nobody's
            assert await pieces(here) == 3
            older = text("UPDATE file_pieces SET at = at - :seconds")
            values = {"seconds": ORPHAN_SECONDS + 1}
            database = here.database
            await database.run(database.jobs, lambda connection: connection.execute(older, values), writes=True)
            assert await files.sweep() == 2 and await files.sweep() == 0
            assert await files.piece("file-002", 0) == b"stays"

    asyncio.run(scenario())


async def database_seconds(desk: Desk) -> float:
    return await desk.database.run(desk.database.jobs, lambda connection: database_now(connection, desk.clock))


async def pieces(desk: Desk) -> int:
    count = select(func.count()).select_from(file_pieces)
    return int(await desk.database.run(desk.database.jobs, lambda connection: connection.execute(count).scalar_one()))


def test_a_batch_changes_one_step_at_a_time(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as here, desk() as another:
            stores = [SqlBatches(one.database) for one in (here, another)]
            await stores[0].add(batch())
            await stores[1].add(msgspec.structs.replace(batch(), lines=99))  # it is there already
            assert (await stores[1].get("batch_001", "acme")).lines == 0
            for wrong in (("batch_001", "hobby"), ("batch_002", None)):
                with pytest.raises(NotFound):
                    await stores[0].get(*wrong)

            def one_more(found: Batch) -> Batch:
                return msgspec.structs.replace(found, lines=found.lines + 1)

            await asyncio.gather(*(stores[turn % 2].change("batch_001", one_more) for turn in range(10)))

            def refuse(found: Batch) -> Batch:
                raise Conflict("Not now.")

            with pytest.raises(Conflict):
                await stores[0].change("batch_001", refuse)
            problem = LineProblem("empty_file", "Nothing is in it.")
            failed = msgspec.structs.replace(batch(), status=BatchStatus.FAILED, lines=10, problems=(problem,))
            await stores[0].change("batch_001", lambda found: failed)
            assert await stores[1].get("batch_001") == failed
            await stores[0].delete("batch_001")
            with pytest.raises(NotFound):
                await stores[1].delete("batch_001")
            with pytest.raises(NotFound):
                await stores[1].change("batch_001", one_more)

    asyncio.run(scenario())


def test_a_batch_is_changed_by_the_worker_that_has_it(desk: Open) -> None:
    """One that was away too long would make one that runs of one that has ended."""

    async def scenario() -> None:
        async with desk() as here:
            batches = SqlBatches(here.database)
            await here.jobs.submit(msgspec.structs.replace(job(), id="batch_001"))
            await batches.add(batch())
            (stale,) = await claim(here)
            ended = msgspec.structs.replace(batch(), status=BatchStatus.COMPLETED)
            assert await batches.change("batch_001", lambda found: found, stale.token) == batch()
            await here.pass_time(SECONDS + 1)
            await here.work.sweep(RULES)
            (lease,) = await claim(here, "w2")
            await batches.change("batch_001", lambda found: ended, lease.token)
            await here.work.finish("w2", [end(lease)])
            for late in (stale, lease):
                with pytest.raises(Conflict, match="another worker"):
                    await batches.change("batch_001", lambda found: batch(), late.token)
            assert await batches.get("batch_001") == ended

    asyncio.run(scenario())


def test_pages_of_batches(desk: Open) -> None:
    async def scenario() -> None:
        async with desk() as here:
            batches = SqlBatches(here.database)
            for number in range(1, 6):
                await batches.add(batch(number))
            await batches.add(batch(6, tenant="hobby"))
            await batches.add(batch(7, dialect=Dialect.ANTHROPIC))

            async def ids(limit: int, after: str | None = None, before: str | None = None) -> tuple[list[int], bool]:
                found, more = await batches.page(BatchPage("acme", Dialect.OPENAI, limit, after, before))
                return [int(each.id[-3:]) for each in found], more

            assert await ids(2) == ([5, 4], True)
            assert await ids(3, after="batch_004") == ([3, 2, 1], False)
            assert await ids(2, before="batch_001") == ([3, 2], True)
            assert await ids(2, before="batch_003") == ([5, 4], False)

    asyncio.run(scenario())
