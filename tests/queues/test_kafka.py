"""What only Kafka has: places in a log that are committed, begun from anew, and shared among the members of a group."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest
from confluent_kafka import OFFSET_INVALID, TopicPartition

from headgate.clock import SystemClock
from headgate.queue_errors import QueueUnavailable
from headgate.queue_ports import Queue
from headgate.queue_types import Message
from headgate.queues.kafka import queue as kafka_queue
from headgate.queues.kafka import receiver
from headgate.queues.opening import open_queue
from tests.brokers import KafkaBroker

_NUMBERS = itertools.count(1)
LEASE_SECONDS = 30.0


async def fill(address: str, count: int) -> None:
    queue = open_queue(address, SystemClock())
    for number in range(count):
        await queue.send(b"%d" % number)
    await queue.aclose()


async def taken(queue: Queue, count: int, seconds: float = 60.0) -> list[Message]:
    until, found = time.monotonic() + seconds, list[Message]()
    while len(found) < count and time.monotonic() < until:
        found += await queue.receive(count - len(found), 0.5)
    return found


def topic(broker: KafkaBroker, partitions: int = 1) -> str:
    return broker.make_topic(f"kafka-{next(_NUMBERS)}", partitions)


def bodies(found: list[Message]) -> list[int]:
    return sorted(int(message.body) for message in found)


def test_what_is_behind_an_open_message_is_read_again_by_the_next_process(kafka_broker: KafkaBroker) -> None:
    async def scenario() -> None:
        address = topic(kafka_broker)
        await fill(address, 6)
        first = open_queue(address, SystemClock(), LEASE_SECONDS)
        found = await taken(first, 6)
        await first.ack([message for message in found if message.body != b"2"])
        await first.aclose()
        second = open_queue(address, SystemClock(), LEASE_SECONDS)
        again = await taken(second, 4)
        assert bodies(again) == [2, 3, 4, 5]
        assert {message.id for message in again} == {message.id for message in found if int(message.body) >= 2}
        await second.ack(again)
        await second.aclose()

    asyncio.run(scenario())


def test_a_log_can_be_read_again_from_an_offset(kafka_broker: KafkaBroker) -> None:
    async def scenario() -> None:
        address = topic(kafka_broker)
        await fill(address, 5)
        for beginning, expected in (("", [0, 1, 2, 3, 4]), ("&from_offset=1", [1, 2, 3, 4]), ("", [])):
            queue = open_queue(address + beginning, SystemClock(), LEASE_SECONDS)
            found = await taken(queue, max(1, len(expected)), 60.0 if expected else 1.0)
            assert bodies(found) == expected, beginning
            await queue.ack(found)
            await queue.aclose()

    asyncio.run(scenario())


class Consumer:
    """Tells offsets for times, which the mock cannot, and remembers what it was assigned."""

    assigned: tuple[TopicPartition, ...] = ()

    def offsets_for_times(self, places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [
            TopicPartition(place.topic, place.partition, place.offset // 1000 + place.partition) for place in places
        ]

    def incremental_assign(self, places: list[TopicPartition]) -> None:
        self.assigned = tuple(places)


def test_a_log_can_be_read_again_from_a_time_and_only_once(kafka_broker: KafkaBroker) -> None:
    settings = {"bootstrap.servers": kafka_broker.servers, "group.id": "times"}
    begun = receiver.Receiver("times", settings, SystemClock(), LEASE_SECONDS, receiver.Beginning(at=50.0))
    consumer = Consumer()
    begun._assigned(consumer, [TopicPartition("times", 0), TopicPartition("times", 3)])
    assert [place.offset for place in consumer.assigned] == [50, 53]
    begun._assigned(consumer, [TopicPartition("times", 3), TopicPartition("times", 4)])
    assert [place.offset for place in consumer.assigned] == [OFFSET_INVALID, 54]  # from where it was committed
    begun.close()


def test_no_more_is_read_than_may_be_open_and_the_place_in_the_group_is_kept(
    kafka_broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "MOST_OPEN", 5)

    async def scenario() -> None:
        address = topic(kafka_broker)
        await fill(address, 12)
        queue = open_queue(address, SystemClock(), LEASE_SECONDS)
        found = await taken(queue, 5)
        assert len(found) == 5
        assert await queue.receive(7, 0.5) == await queue.receive(0, 0.3) == []
        await queue.ack(found[:4])
        more = await taken(queue, 4)
        assert len(more) == 4 and await queue.receive(4, 0.5) == []
        await queue.ack([found[4], *more])
        rest = await taken(queue, 3)
        assert bodies([*found, *more, *rest]) == list(range(12))
        await queue.ack(rest)
        await queue.aclose()

    asyncio.run(scenario())


def test_members_that_come_and_go_share_the_partitions_and_nothing_is_lost(kafka_broker: KafkaBroker) -> None:
    async def scenario() -> None:
        address = topic(kafka_broker, partitions=4)
        await fill(address, 40)
        seen: set[int] = set()

        async def work(queue: Queue, until: float) -> None:
            while time.monotonic() < until and len(seen) < 60:
                for message in await queue.receive(3, 0.1):
                    await asyncio.sleep(0.005)
                    seen.add(int(message.body))
                    await queue.ack([message])

        first, second = (open_queue(address, SystemClock(), LEASE_SECONDS) for _ in range(2))
        working = asyncio.create_task(work(first, time.monotonic() + 120))
        await asyncio.sleep(0.3)
        joining = asyncio.create_task(work(second, time.monotonic() + 120))
        await asyncio.sleep(0.5)
        for number in range(40, 60):
            await first.send(b"%d" % number)
        await asyncio.gather(working, joining)
        assert seen == set(range(60))
        await first.aclose()
        await second.aclose()

    asyncio.run(scenario())


def test_a_topic_that_may_not_be_used_is_told_with_what_to_correct(kafka_broker: KafkaBroker) -> None:
    async def scenario() -> None:
        name = f"kafka-{next(_NUMBERS)}"
        address = kafka_broker.make_topic(name)
        kafka_broker.refuse(name)
        queue = open_queue(address, SystemClock())
        with pytest.raises(QueueUnavailable, match=r"Topic authorization failed.*Correct the credentials"):
            await queue.receive(1, 60.0)
        await queue.aclose()

    asyncio.run(scenario())


ROOM_FOR_ONE = "queue.buffering.max.messages=1"


def test_who_sends_faster_than_the_broker_takes_is_slowed_down(kafka_broker: KafkaBroker) -> None:
    async def scenario() -> None:
        address = topic(kafka_broker)
        queue = open_queue(f"{address}{'&' if '?' in address else '?'}{ROOM_FOR_ONE}", SystemClock())
        await asyncio.gather(*(queue.send(b"%d" % number) for number in range(20)))
        assert bodies(await taken(queue, 20)) == list(range(20))
        await queue.aclose()

    asyncio.run(scenario())


def test_a_producer_whose_queue_stays_full_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_queue, "SEND_SECONDS", 0.2)

    async def scenario() -> None:
        queue = open_queue(f"kafka://127.0.0.1:9/full?{ROOM_FOR_ONE}&message.timeout.ms=1000", SystemClock())
        first, second = await asyncio.gather(queue.send(b"1"), queue.send(b"2"), return_exceptions=True)
        assert isinstance(first, QueueUnavailable) and isinstance(second, QueueUnavailable)
        assert "queue.buffering.max.messages" in second.message
        await queue.aclose()

    asyncio.run(scenario())
