"""What only RabbitMQ has: queues that others delete, and users that may not do everything."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import aio_pika
import pytest

from headgate.clock import SystemClock
from headgate.queue_errors import QueueUnavailable
from headgate.queue_ports import Queue
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
        assert [message.body for message in await queue.receive(5, 60.0)] == [b"second"]
        await queue.aclose()

    asyncio.run(scenario())


def test_a_user_that_is_refused_is_told_what_to_correct(rabbitmq_server: RabbitServer) -> None:
    async def scenario() -> None:
        queue = open_queue(rabbitmq_server.url.replace("guest:guest", "guest:wrong"), SystemClock())
        with pytest.raises(QueueUnavailable, match="Correct the user and password"):
            await queue.send(b"first")
        await queue.aclose()

    asyncio.run(scenario())


SETTLE_SECONDS = (
    1.5  # a broker that dies sooner has lost the quorum queue that it has just made, and cannot use its name
)


@pytest.mark.full  # the broker takes its time to begin again
def test_what_was_not_confirmed_when_the_broker_died_is_told_and_can_be_sent_again(
    rabbitmq_server: RabbitServer,
) -> None:
    """Whether it had the message or not: it is there in the end, under one id."""

    async def sent(queue: Queue, body: bytes, wait_seconds: float) -> asyncio.Task[None]:
        """On its way, and not confirmed."""
        sending = asyncio.create_task(queue.send(body, body.decode()))
        await asyncio.sleep(wait_seconds)
        return sending

    async def scenario() -> None:
        queue = open_queue(f"{rabbitmq_server.url}?queue=unconfirmed", SystemClock())
        await queue.send(b"before", "before")
        await asyncio.sleep(SETTLE_SECONDS)
        asked = [await sent(queue, b"%d" % number, 0.0) for number in range(200)]
        await asyncio.sleep(0)
        rabbitmq_server.freeze()  # some are there by now, and some of those are confirmed
        late = await sent(queue, b"late", 0.3)
        assert not late.done()
        began = time.monotonic()
        await asyncio.to_thread(rabbitmq_server.stop)
        ends = await asyncio.gather(*asked, late, return_exceptions=True)
        assert time.monotonic() - began < 20.0, "nobody waits for what died"
        assert isinstance(ends[-1], QueueUnavailable)
        assert all(end is None or isinstance(end, QueueUnavailable) for end in ends)
        await asyncio.to_thread(rabbitmq_server.start)
        names = [*map(str, range(200)), "late"]
        for name in [name for name, end in zip(names, ends, strict=True) if end is not None]:
            await until_sent(queue, name)
        found = Counter[str]()
        while messages := await queue.receive(300, 2.0):
            found.update(message.dedupe_id for message in messages)
            await queue.ack(messages)
        confirmed = {name for name, end in zip(names, ends, strict=True) if end is None}
        assert set(found) == {"before", *names}, "nothing is lost"
        assert all(found[name] == 1 for name in confirmed) and max(found.values()) <= 2
        await queue.aclose()

    asyncio.run(scenario())


async def until_sent(queue: Queue, name: str) -> None:
    """As whoever sends does: again and again, with the same id."""
    async with asyncio.timeout(120.0):
        while True:
            try:
                return await queue.send(name.encode(), name)
            except QueueUnavailable:
                await asyncio.sleep(0.2)
