"""The database goes away, or its disk is full, under load: served on, rows wait on disk, and all of them arrive."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.faults.client import Load, ask, chat
from tests.faults.gateway import KEY, Gateway, assert_exactly_once, configuration, running, until
from tests.scale import scaled
from tests.servers import PostgresqlServer

RESPONSES = scaled(4000, 200)  # while the database is away
CLIENTS = 16
BODIES = (chat(stream=False), chat(stream=True, events=12), chat(stream=True, events=1, gap_seconds=0))
JOURNAL_BYTES = 400_000  # several times what comes between two drains
DISK_BYTES = 24 * 2**20
LEFT_BYTES = 768 * 2**10  # on a full disk, before the load begins


@contextlib.asynccontextmanager
async def away(server: PostgresqlServer) -> AsyncIterator[None]:
    """Stopped at once, and started again with the end of the block."""
    await asyncio.to_thread(server.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(server.start)


def on_postgresql(folder: Path, upstream_port: int, database: PostgresqlServer, **changes: object) -> Gateway:
    return Gateway(folder, configuration(upstream_port, folder / "data", database=database.new_database(), **changes))


async def is_well(gateway: Gateway) -> bool:
    status, checks = await gateway.readiness()
    return status == 200 and checks["database"] == "ok"


async def is_degraded(gateway: Gateway) -> bool:
    """Ready all the same."""
    status, checks = await gateway.readiness()
    assert status == 200
    return checks["database"].startswith("degraded, rows wait on disk")


@pytest.mark.server
def test_rows_wait_while_the_database_is_away(
    tmp_path: Path, upstream_port: int, postgresql_server: PostgresqlServer
) -> None:
    async def scenario() -> None:
        gateway = on_postgresql(tmp_path, upstream_port, postgresql_server)
        async with running(gateway), Load(gateway.port, KEY, BODIES, CLIENTS) as load:
            await load.receive(100)
            async with away(postgresql_server):
                await load.receive(RESPONSES)
                await until(lambda: is_degraded(gateway), "nobody noticed")
                waiting = await gateway.metric("headgate_journal_backlog_bytes")
                assert waiting > 0
            await until(lambda: is_well(gateway), "it did not recover")
            await load.receive(100)
            await load.stop()
            assert load.failures == [] and load.unanswered == 0
            assert_exactly_once(await gateway.ledger_with(one.id for one in load.complete), load.complete)
        print(
            f"\n{len(load.complete)} of {len(load.complete)} served, {waiting:,.0f} bytes waited on disk, "
            f"longest wait for an answer {load.longest_wait_seconds:.2f} s"
        )

    asyncio.run(scenario())


@pytest.mark.server
def test_rows_survive_when_gateway_and_database_both_die(
    tmp_path: Path, upstream_port: int, postgresql_server: PostgresqlServer
) -> None:
    async def scenario() -> None:
        gateway = on_postgresql(tmp_path, upstream_port, postgresql_server)
        async with running(gateway):
            async with away(postgresql_server):
                async with Load(gateway.port, KEY, BODIES, CLIENTS) as load:
                    await load.receive(RESPONSES)
                    load.open.clear()
                    gateway.kill_all()
                    await gateway.ended()
                gateway.spawn()
                await until(lambda: is_waiting_for_its_database(gateway), "it did not start without a database")
                early = await ask(gateway.port, "POST", "/v1/chat/completions", KEY, BODIES[0])
            await gateway.until_ready()
            complete = [*load.complete, early]
            assert_exactly_once(await gateway.ledger_with(one.id for one in complete), complete)

    asyncio.run(scenario())


async def is_waiting_for_its_database(gateway: Gateway) -> bool:
    status, checks = await gateway.readiness()
    return (status, checks["database"]) == (503, "has not answered yet")


@pytest.mark.server
def test_a_full_journal_refuses_and_recovers(
    tmp_path: Path, upstream_port: int, postgresql_server: PostgresqlServer
) -> None:
    async def scenario() -> None:
        server = {"ledger": {"journal_max_bytes": JOURNAL_BYTES}}
        gateway = on_postgresql(tmp_path, upstream_port, postgresql_server, server=server)
        async with running(gateway), Load(gateway.port, KEY, BODIES, CLIENTS) as load:
            async with away(postgresql_server):
                refusal = await load.receive_one("ledger_full")
                assert (refusal.status, refusal.headers["retry-after"]) == (503, "5")
                await load.receive(RESPONSES)
                assert await gateway.metric("headgate_journal_backlog_bytes") <= JOURNAL_BYTES
            await until(lambda: is_well(gateway), "it did not recover")
            await recovers(load)
            assert_exactly_once(await gateway.ledger_with(one.id for one in load.complete), load.complete)
            assert {one.code for one in load.failures} == {"ledger_full"} and load.unanswered == 0
            assert all(not one.is_stream for one in load.failures)  # whoever was let in got the end of the answer

    asyncio.run(scenario())


async def recovers(load: Load) -> None:
    """Every answer that begins from now on is complete."""
    await load.receive(CLIENTS)
    before = len(load.failures)
    await load.receive(100)
    await load.stop()
    assert len(load.failures) == before


@pytest.mark.server
def test_a_gateway_that_shall_not_go_on_without_its_database_refuses(
    tmp_path: Path, upstream_port: int, postgresql_server: PostgresqlServer
) -> None:
    async def scenario() -> None:
        gateway = on_postgresql(tmp_path, upstream_port, postgresql_server, on_database_failure="deny")
        async with running(gateway):
            async with away(postgresql_server):
                await until(lambda: is_degraded(gateway), "nobody noticed")  # without any request
                async with Load(gateway.port, KEY, BODIES, CLIENTS) as load:
                    await load.receive(RESPONSES)
                assert {(one.status, one.code) for one in load.responses} == {(503, "database_unavailable")}
            await until(lambda: is_well(gateway), "it did not recover")
            answer = await ask(gateway.port, "POST", "/v1/chat/completions", KEY, BODIES[0])
            rows = await gateway.ledger_with(one.id for one in [*load.responses, answer])
            assert_exactly_once(rows, [answer])
            assert [row["outcome"] for row in rows].count("refused") == len(load.responses)

    asyncio.run(scenario())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, in memory."""
    if os.getuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder))
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(("umount", "--lazy", str(folder)), check=True)


def test_sqlite_on_a_full_disk(tmp_path: Path, upstream_port: int, small_disk: Path) -> None:
    async def scenario() -> None:
        server = {"ledger": {"journal_max_bytes": 1_000_000}}
        gateway = Gateway(tmp_path, configuration(upstream_port, small_disk / "data", server=server))
        ballast = small_disk / "ballast"
        async with running(gateway), Load(gateway.port, KEY, BODIES, CLIENTS) as load:
            await load.receive(100)
            with ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, free_bytes(small_disk) - LEFT_BYTES)
            full = len(load.responses)
            await load.receive_one("ledger_full")
            assert (await gateway.readiness())[0] == 503
            served = len(load.responses) - full
            await load.receive(RESPONSES)
            ballast.unlink()
            await until(lambda: is_well(gateway), "it did not recover")
            await recovers(load)
            assert_exactly_once(await gateway.ledger_with(one.id for one in load.complete), load.complete)
            assert {one.code for one in load.failures} == {"ledger_full"} and load.unanswered == 0
            assert all(not one.is_stream for one in load.failures)  # whoever was let in got the end of the answer
            print(f"\n{served} responses on the last {LEFT_BYTES:,} bytes, then {len(load.failures)} refusals")

    asyncio.run(scenario())


def free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
