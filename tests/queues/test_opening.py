"""Addresses of queues, and what is said when one cannot be opened or reached."""

from __future__ import annotations

import asyncio
import builtins
from typing import Any

import pytest

from headgate.clock import SystemClock
from headgate.errors import InvalidRequest, MissingExtra
from headgate.queue_errors import QueueUnavailable
from headgate.queues.opening import open_queue
from headgate.queues.places import place_of
from tests.servers import free_port


@pytest.mark.parametrize(
    ("address", "name", "shown", "broker"),
    [
        ("redis://:pw@host:1/2?queue=in", "in", "redis://host:1/2/in", "redis://:pw@host:1/2"),
        ("amqp://u:pw@host/?queue=in&heartbeat=5", "in", "amqp://host/in", "amqp://u:pw@host/?heartbeat=5"),
        ("kafka://a:1,b:2/in", "in", "kafka://a:1,b:2/in", "kafka://a:1,b:2/in"),
        ("sqs://eu-west-1/123/in.fifo", "123/in.fifo", "sqs://eu-west-1/123/in.fifo", "sqs://eu-west-1/123/in.fifo"),
        ("redis://host", "headgate-jobs", "redis://host/headgate-jobs", "redis://host"),
    ],
)
def test_an_address_names_broker_and_queue(address: str, name: str, shown: str, broker: str) -> None:
    place = place_of(address)
    assert (place.name, place.shown, place.address) == (name, shown, broker)
    assert place.dead().shown == shown.replace("in", "in-dead") if "in" in name else place.dead().is_dead
    assert "pw" not in place.dead().shown


@pytest.mark.parametrize("address", ["", "sql", "http://host/x", "kafka:///x", "redis://host?queue=a&lease_seconds=no"])
def test_what_is_no_address_is_said(address: str) -> None:
    with pytest.raises(InvalidRequest):
        open_queue(address, SystemClock())


@pytest.mark.parametrize(
    ("address", "remedy"),
    [
        ("redis://127.0.0.1:PORT/0?queue=x", "Start Redis"),
        ("amqp://127.0.0.1:PORT/?queue=x", "Start RabbitMQ"),
        ("kafka://127.0.0.1:PORT/x", "Start Kafka"),
        ("sqs://us-east-1/x?endpoint=http://127.0.0.1:PORT", "credentials or endpoint"),
    ],
)
def test_a_broker_that_is_not_there_is_named_with_what_to_do(
    address: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")

    async def scenario() -> None:
        queue = open_queue(address.replace("PORT", str(free_port())), SystemClock())
        try:
            with pytest.raises(QueueUnavailable, match=remedy) as told:
                await queue.receive(1, 0.1)
            assert "x cannot be used" in told.value.message
        finally:
            await queue.aclose()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("address", "package", "extra"),
    [
        ("redis://host?queue=x", "redis", "headgate[redis]"),
        ("amqp://host/?queue=x", "aio_pika", "headgate[rabbitmq]"),
        ("kafka://host/x", "confluent_kafka", "headgate[kafka]"),
        ("sqs://us-east-1/x", "botocore", "headgate[sqs]"),
    ],
)
def test_a_package_that_is_missing_is_named_with_its_extra(
    address: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any, **named: Any) -> Any:
        if name.split(".")[0] == package:
            raise ImportError(name)
        return real(name, *more, **named)

    place_of(address)
    open_queue(address, SystemClock())
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra) as told:
        open_queue(address, SystemClock())
    assert extra in told.value.message
