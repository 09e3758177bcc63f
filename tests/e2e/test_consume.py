"""Requests from a queue of a user's own: none is lost or doubled, and what is none is put aside with the reason."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path

import pytest

from headgate.queue_ports import Queue
from headgate.queues.places import place_of
from tests.brokers import KafkaBroker, RabbitServer
from tests.e2e.consuming import WAIT_SECONDS, Consumer, request, with_queues
from tests.scale import scaled
from tests.servers import RedisServer, free_port

REQUESTS = scaled(5_000, 150)
POISON = (b"no json", request(1, id="other", tenant="nobody"), request(2, id="more", unknown=1))
LETTERS = "SELECT id FROM dead_letters"


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.server) for name in ("redis", "rabbitmq")])
def address(request: pytest.FixtureRequest) -> str:
    """Of an empty queue of a real broker."""
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        return f"{server.url}?queue=requests&lease_seconds=2"
    rabbit: RabbitServer = request.getfixturevalue("rabbitmq_server")
    return f"{rabbit.url}?queue=requests&lease_seconds=2"


@pytest.fixture(params=["kafka", "sqs"])
def stand_in(request: pytest.FixtureRequest) -> str:
    """Of an empty queue of what stands in for a broker."""
    if request.param == "sqs":
        return f"sqs://us-east-1/requests?lease_seconds=2&endpoint={request.getfixturevalue('sqs_endpoint')}"
    kafka: KafkaBroker = request.getfixturevalue("kafka_broker")
    for topic in ("requests-dead", "replies"):
        kafka.make_topic(topic)
    return kafka.make_topic("requests", partitions=2)


def beside(address: str) -> str:
    """The queue of what could not be used."""
    name = place_of(address).name
    return address.replace(name, f"{name}-dead", 1)


def check(consumer: Consumer, dead: set[tuple[bytes, str]], count: int) -> None:
    ids = [row[0] for row in consumer.rows("SELECT idempotency_key FROM jobs ORDER BY idempotency_key")]
    assert ids == sorted(f"id-{number}" for number in range(count))
    letters = consumer.rows("SELECT body, reason FROM dead_letters")
    assert sorted(body for body, _ in letters) == sorted(POISON)
    reasons = dict(letters)
    assert "no JSON" in reasons[POISON[0]] and "nobody" in reasons[POISON[1]] and "unknown" in reasons[POISON[2]]
    assert dead == {(body, reasons[body]) for body in POISON}


async def taken(queue: Queue, count: int) -> set[tuple[bytes, str]]:
    """So many bodies with their reasons; each may come more than once."""
    found: set[tuple[bytes, str]] = set()
    while len(found) < count:
        messages = await queue.receive(count, WAIT_SECONDS)
        assert messages
        await queue.ack(messages)
        found |= {(message.body, dict(message.headers)["reason"]) for message in messages}
    return found


def test_a_process_that_is_killed_before_it_acknowledges_loses_nothing_and_doubles_nothing(
    address: str, tmp_path: Path
) -> None:
    consumer = Consumer(tmp_path, address, "--most-waiting", "1000000")

    async def scenario(queue: Queue, dead: Queue) -> None:
        for number in range(REQUESTS):
            await queue.send(request(number))
            if number % 50 == 0:
                await queue.send(request(number))  # a sender who was not sure
        for body in POISON:
            await queue.send(body)
        consumer.start()
        await consumer.until(lambda: consumer.count() >= 10, 0.005)
        consumer.kill()
        assert consumer.count() < REQUESTS  # a hundred are acknowledged at once: some are jobs, and not acknowledged
        consumer.start()
        try:
            await consumer.until(lambda: consumer.count() == REQUESTS and len(consumer.rows(LETTERS)) == len(POISON))
            letters = await taken(dead, len(POISON))
            await asyncio.sleep(0.2)
        finally:
            consumer.stop()
        check(consumer, letters, REQUESTS)
        assert (await queue.backlog()).depth == 0 and await queue.receive(1, 0.2) == []

    with_queues([address, beside(address)], scenario)


def test_requests_are_answered_where_they_ask_for_it(stand_in: str, tmp_path: Path) -> None:
    consumer = Consumer(tmp_path, stand_in, "--work")
    count = 8

    async def scenario(queue: Queue, dead: Queue, replies: Queue) -> None:
        for number in range(count):
            await queue.send(request(number, reply_to=consumer.replies))
        await queue.send(request(0, reply_to=consumer.replies))
        for body in POISON:
            await queue.send(body)
        consumer.start()
        try:
            letters = await taken(dead, len(POISON))
            answers = {}
            while len(answers) < count:
                messages = await replies.receive(10, WAIT_SECONDS)
                assert messages, consumer.log
                answers |= {message.dedupe_id: json.loads(message.body) for message in messages}
                await replies.ack(messages)
        finally:
            consumer.stop()
        check(consumer, letters, count)
        assert all("choices" in json.dumps(answer) for answer in answers.values())

    with_queues([stand_in, beside(stand_in), consumer.replies], scenario)


@pytest.mark.server
def test_what_is_taken_is_counted(redis_server: RedisServer, tmp_path: Path) -> None:
    port, name = free_port(), "counted"
    address = f"{redis_server.url}?queue={name}"
    consumer = Consumer(tmp_path, address, "--port", str(port), "--most-waiting", "3")

    def told() -> dict[str, float]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=WAIT_SECONDS) as page:
                lines = page.read().decode().splitlines()
        except OSError:
            return {}
        pairs = (line.rpartition(" ") for line in lines if line.startswith("headgate_intake_"))
        return {name.partition('{fate="')[2].removesuffix('"}') or name: float(value) for name, _, value in pairs}

    def all_are_counted() -> bool:
        """What is taken, and what waits as enough is taken."""
        now = told()
        found = (
            now.get("refused"),
            now.get("duplicate"),
            now.get("taken", 0.0) + now.get("headgate_intake_depth", 0.0),
        )
        return found == (1, 1, 5)

    async def scenario(queue: Queue) -> None:
        for body in (request(1), request(1), b"no json", request(2), request(3), request(4), request(5)):
            await queue.send(body)
        consumer.start()
        await consumer.until(all_are_counted)
        consumer.stop()

    with_queues([address], scenario)
