"""What every `queue_ports.Queue` must do: redelivery, duplicates, order, and outliving its broker."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from headgate.queue_errors import QueueUnavailable
from headgate.queue_ports import Queue
from headgate.queue_types import Message
from tests.contract.queueing import Broker

BINARY = bytes(range(256))
PATIENCE_SECONDS = 60.0  # until what must come is there


async def take(queue: Queue, count: int, seconds: float) -> list[Message]:
    """So many messages, or what there is after so long."""
    until, found = time.monotonic() + seconds, list[Message]()
    while len(found) < count and (left := until - time.monotonic()) > 0:
        found += await queue.receive(count - len(found), min(left, 0.5))
    return found


async def nothing_comes(queue: Queue) -> bool:
    return await take(queue, 1, 0.1) == []


async def in_time(broker: Broker, scenario: Callable[[Queue], Awaitable[None]]) -> None:
    """Play it, and again if it failed while the machine stood still for a good part of a lease: that says nothing."""
    for turn in itertools.count():
        async with broker.open() as queue, standstills() as seconds:
            try:
                await scenario(queue)
                return
            except (AssertionError, ValueError):
                if turn == 9 or max(seconds, default=0.0) < broker.lease_seconds / 4:
                    raise
            while found := await take(queue, 10, broker.lease_seconds * 2):
                await queue.ack(found)


@asynccontextmanager
async def standstills() -> AsyncIterator[list[float]]:
    """How much later than it should this process went on, each time within the block."""
    found: list[float] = []

    async def watch() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.02)
            found.append(time.monotonic() - began - 0.02)

    watching = asyncio.create_task(watch())
    try:
        yield found
    finally:
        watching.cancel()


def test_what_was_sent_is_received_once_and_is_gone_when_it_is_acknowledged(broker: Broker) -> None:
    async def scenario(queue: Queue) -> None:
        before = time.time()
        await queue.send(BINARY, headers=(("reason", "näh"), ("two", "2")))
        await queue.send(b"")
        found = await take(queue, 2, PATIENCE_SECONDS)
        assert sorted(message.body for message in found) == [b"", BINARY]
        (binary,) = [message for message in found if message.body]
        assert dict(binary.headers) == {"reason": "näh", "two": "2"} and binary.deliveries == 1
        assert binary.id and binary.id != found[1 - found.index(binary)].id
        assert before - 1 < binary.sent_at < time.time() + 1
        await queue.ack(found)
        await asyncio.sleep(broker.lease_seconds * 1.3)
        assert await nothing_comes(queue)

    asyncio.run(in_time(broker, scenario))


def test_order_is_kept_where_the_broker_keeps_it_and_no_more_come_than_wanted(broker: Broker) -> None:
    async def scenario() -> None:
        async with broker.open() as queue:
            for number in range(7):
                await queue.send(b"%d" % number)
            found: list[Message] = []
            while len(found) < 7:
                some = await queue.receive(3, PATIENCE_SECONDS)
                assert 1 <= len(some) <= 3
                await queue.ack(some)
                found += some
            bodies = [message.body for message in found]
            assert sorted(bodies) == [b"%d" % number for number in range(7)]
            assert not broker.is_in_order or bodies == sorted(bodies)

    asyncio.run(scenario())


def test_who_waits_gets_it_at_once_and_who_wants_none_gets_none(broker: Broker) -> None:
    async def scenario() -> None:
        async with broker.open() as sender, broker.open() as receiver:
            await sender.send(b"to know each other")
            await receiver.ack(await take(receiver, 1, PATIENCE_SECONDS))
            assert await receiver.receive(0, 0.05) == []
            waiting = asyncio.create_task(receiver.receive(1, 30.0))
            await asyncio.sleep(0.1)
            await sender.send(b"now")
            sent_at = time.monotonic()
            (message,) = await waiting
            assert message.body == b"now" and time.monotonic() - sent_at < 10.0
            await receiver.ack([message])

    asyncio.run(scenario())


def test_what_is_not_acknowledged_comes_again_when_its_lease_runs_out(broker: Broker) -> None:
    async def scenario(queue: Queue) -> None:
        await queue.send(b"slow")
        (first,) = await take(queue, 1, PATIENCE_SECONDS)
        assert await nothing_comes(queue)
        (second,) = await take(queue, 1, PATIENCE_SECONDS)
        assert (second.id, second.body) == (first.id, first.body)
        assert second.deliveries > first.deliveries
        await queue.ack([second])
        await asyncio.sleep(broker.lease_seconds * 1.3)
        assert await nothing_comes(queue)

    asyncio.run(in_time(broker, scenario))


def test_more_time_can_be_had(broker: Broker) -> None:
    async def scenario(queue: Queue) -> None:
        await queue.send(b"long")
        (message,) = await take(queue, 1, PATIENCE_SECONDS)
        for _ in range(4):
            assert await nothing_comes(queue)
            await asyncio.sleep(broker.lease_seconds * 0.35 - 0.1)
            assert await queue.extend(message)
        (again,) = await take(queue, 1, PATIENCE_SECONDS)
        assert again.id == message.id
        await queue.ack([again])
        assert not await queue.extend(again)

    asyncio.run(in_time(broker, scenario))


def test_what_is_given_back_lets_others_pass_until_its_time(broker: Broker) -> None:
    async def scenario(queue: Queue) -> None:
        await queue.send(b"again", dedupe_id="a", headers=(("one", "1"),))
        (first,) = await take(queue, 1, PATIENCE_SECONDS)
        await queue.release(first, 1.0)
        released_at = time.monotonic()
        await queue.send(b"other")
        (other,) = await take(queue, 1, PATIENCE_SECONDS)
        assert other.body == b"other"
        await queue.ack([other])
        (again,) = await take(queue, 1, PATIENCE_SECONDS)
        assert time.monotonic() - released_at > 0.9
        assert (again.body, again.dedupe_id, again.headers) == (first.body, "a", (("one", "1"),))
        assert again.id == first.id and again.deliveries > 1
        await queue.release(again)
        (third,) = await take(queue, 1, PATIENCE_SECONDS)
        assert third.id == first.id
        await queue.ack([third])

    asyncio.run(in_time(broker, scenario))


def test_a_delay_holds_a_message_back_and_no_other(broker: Broker) -> None:
    async def scenario(queue: Queue) -> None:
        await queue.send(b"first")  # Kafka's first message takes as long as it takes to join a group
        await queue.ack(await take(queue, 1, PATIENCE_SECONDS))
        started_at = time.monotonic()
        await queue.send(b"later", delay_seconds=1.0)
        await queue.send(b"now")
        (now,) = await take(queue, 1, PATIENCE_SECONDS)
        assert now.body == b"now"
        await queue.ack([now])
        (later,) = await take(queue, 1, PATIENCE_SECONDS)
        assert later.body == b"later" and time.monotonic() - started_at > 0.9
        await queue.ack([later])

    asyncio.run(in_time(broker, scenario))


def test_a_message_that_is_sent_again_is_dropped_or_can_be_told(broker: Broker) -> None:
    async def scenario() -> None:
        async with broker.open() as queue:
            for dedupe_id in ("same", "same", "other"):
                await queue.send(b"{}", dedupe_id=dedupe_id)
            found = await take(queue, 2 if queue.drops_duplicates else 3, PATIENCE_SECONDS)
            assert {message.dedupe_id for message in found} == {"same", "other"}
            assert len(found) == (2 if queue.drops_duplicates else 3)
            await queue.ack(found)
            assert await nothing_comes(queue)

    asyncio.run(scenario())


def test_what_a_receiver_leaves_behind_goes_to_another(broker: Broker) -> None:
    async def scenario() -> None:
        async with broker.open() as second:
            async with broker.open() as first:
                for number in range(4):
                    await first.send(b"%d" % number)
                found = await take(first, 4, PATIENCE_SECONDS)
                assert len(found) == 4
                await first.ack(found[:1])
            rest = await take(second, 3, PATIENCE_SECONDS)
            assert {message.body for message in rest} == {message.body for message in found[1:]}
            await second.ack(rest)

    asyncio.run(scenario())


def test_the_depth_and_the_oldest_age_are_of_what_nobody_has(broker: Broker) -> None:
    async def scenario(queue: Queue) -> None:
        for _ in range(3):
            await queue.send(b"x")
        await asyncio.sleep(0.1)
        found = await take(queue, 1, PATIENCE_SECONDS)
        backlog = await queue.backlog()
        assert backlog.depth == 2
        assert backlog.oldest_age_seconds is None or 0.1 <= backlog.oldest_age_seconds < 60
        assert backlog.oldest_age_seconds is not None or not broker.knows_age
        await queue.ack(found)
        for _ in range(2):
            await queue.ack(await take(queue, 1, PATIENCE_SECONDS))
        assert (await queue.backlog()).depth == 0
        assert (await queue.backlog()).oldest_age_seconds == 0.0

    asyncio.run(in_time(broker, scenario))


def test_a_broker_may_be_started_again(lasting: Broker) -> None:
    assert lasting.stop and lasting.start

    async def scenario() -> None:
        async with lasting.open() as queue:
            await queue.send(b"taken")
            (taken,) = await take(queue, 1, PATIENCE_SECONDS)
            await queue.send(b"waits")
            await queue.send(b"later", delay_seconds=lasting.settle_seconds + 0.5)
            await asyncio.sleep(lasting.settle_seconds)
            lasting.stop()  # type: ignore[misc]  # looked for above
            with pytest.raises(QueueUnavailable, match=r"(?i)start|reach|database"):
                await queue.send(b"lost")
            lasting.start()  # type: ignore[misc]  # looked for above
            found: list[Message] = []
            for _ in range(3):
                some = await take(queue, 1, PATIENCE_SECONDS)
                await queue.ack(some)
                found += some
            assert sorted(message.body for message in found) == [b"later", b"taken", b"waits"]
            assert taken.id in {message.id for message in found}

    asyncio.run(scenario())
