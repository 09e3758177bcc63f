"""The client of Redis, where it is not what its port promises."""

from __future__ import annotations

import asyncio

import pytest

from headgate.clock import SystemClock
from headgate.queues.places import Place
from headgate.queues.redis.queue import RedisQueue


def test_who_is_cancelled_while_he_waits_is_cancelled_though_the_client_makes_an_error_of_it() -> None:
    async def scenario() -> None:
        queue = RedisQueue(Place("redis", "q", "redis://127.0.0.1:9/0", "", "redis"), SystemClock(), 60.0)

        async def stubborn(**arguments: object) -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise ConnectionError("closed while it was read") from None

        queue._scripts["take"] = stubborn  # type: ignore[assignment]  # as redis-py now and then
        task = asyncio.create_task(queue.receive(1, 60.0))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await queue.aclose()

    asyncio.run(scenario())
