"""What every `queue_ports.Signal` must do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from headgate.clock import SystemClock
from headgate.queue_errors import QueueUnavailable
from headgate.queue_ports import Signal
from headgate.queues.opening import open_queue
from headgate.queues.signals import LOOK_EVERY, MOST_UNHEARD, PostgresSignal, QueueSignal
from tests.brokers import RabbitServer
from tests.contract.queueing import new_name
from tests.servers import PostgresqlServer, RedisServer, free_port

Make = Callable[[], Signal]


@pytest.fixture(params=["postgresql", "redis"])
def make(request: pytest.FixtureRequest) -> Make:
    """Signals of several processes that hear each other."""
    if request.param == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        url = server.new_database()
        return lambda: PostgresSignal(url)
    redis: RedisServer = request.getfixturevalue("redis_server")
    address = f"{redis.url}?queue={new_name()}"
    return lambda: QueueSignal(open_queue(address, SystemClock()))


def test_a_sign_is_heard_by_another_process_at_once(make: Make) -> None:
    async def scenario() -> None:
        giver, waiter = make(), make()
        try:
            await giver.give()
            async with asyncio.timeout(60):
                await waiter.wait()  # the sign, or what may have been missed before it listened
            waiting = asyncio.create_task(waiter.wait())
            await asyncio.sleep(0.05)
            assert not waiting.done()
            await giver.give()
            async with asyncio.timeout(60):
                await waiting
        finally:
            await giver.aclose()
            await waiter.aclose()

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["redis", pytest.param("rabbitmq", marks=pytest.mark.server)])
def test_signs_that_nobody_hears_do_not_pile_up(request: pytest.FixtureRequest, kind: str) -> None:
    server: RedisServer | RabbitServer = request.getfixturevalue(f"{kind}_server")

    async def scenario() -> None:
        queue = open_queue(f"{server.url}?queue={new_name()}", SystemClock())
        for _ in range(3):  # processes, one after the other
            signal = QueueSignal(queue)
            for _ in range(MOST_UNHEARD):
                await signal.give()
        assert MOST_UNHEARD <= (await queue.backlog()).depth <= MOST_UNHEARD + 3 * LOOK_EVERY
        while (await queue.backlog()).depth:
            await signal.wait()  # a worker has come
        await signal.give()
        async with asyncio.timeout(60):
            await signal.wait()
        await queue.aclose()

    asyncio.run(scenario())


@pytest.mark.parametrize("url", ["postgresql://127.0.0.1:{port}/x", "redis://127.0.0.1:{port}/0?queue=x"])
def test_what_is_away_is_said(url: str) -> None:
    async def scenario() -> None:
        address = url.format(port=free_port())
        is_database = address.startswith("postgresql")
        signal = PostgresSignal(address) if is_database else QueueSignal(open_queue(address, SystemClock()))
        for asked in (signal.give, signal.wait):
            with pytest.raises(QueueUnavailable, match="Start"):
                await asked()
        await signal.aclose()

    asyncio.run(scenario())
