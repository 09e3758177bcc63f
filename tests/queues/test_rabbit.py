"""What only RabbitMQ has: queues that others delete, and users that may not do everything."""

from __future__ import annotations

import asyncio

import aio_pika
import pytest

from headgate.clock import SystemClock
from headgate.queue_errors import QueueUnavailable
from headgate.queues.opening import open_queue
from tests.brokers import RabbitServer

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("rabbitmq")]


def test_what_is_sent_to_a_queue_that_was_deleted_is_not_lost(rabbitmq_server: RabbitServer) -> None:
    async def scenario() -> None:
        queue = open_queue(f"{rabbitmq_server.url}?queue=deleted", SystemClock())
        await queue.send(b"first")
        async with await aio_pika.connect(rabbitmq_server.url) as connection:
            channel = await connection.channel()
            await channel.queue_delete("deleted")
        with pytest.raises(QueueUnavailable):
            await queue.send(b"second")
        await queue.send(b"second")
        assert [message.body for message in await queue.receive(5, 5.0)] == [b"second"]
        await queue.aclose()

    asyncio.run(scenario())


def test_a_user_that_is_refused_is_told_what_to_correct(rabbitmq_server: RabbitServer) -> None:
    async def scenario() -> None:
        queue = open_queue(rabbitmq_server.url.replace("guest:guest", "guest:wrong"), SystemClock())
        with pytest.raises(QueueUnavailable, match="Correct the user and password"):
            await queue.send(b"first")
        await queue.aclose()

    asyncio.run(scenario())
