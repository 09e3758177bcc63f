"""The stores that the contract suites run against."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate.queues.kafka.queue import KafkaQueue
from headgate.queues.rabbit import RabbitQueue
from headgate.queues.redis.queue import RedisQueue
from headgate.queues.sqs import SqsQueue
from tests.brokers import KafkaBroker, RabbitServer
from tests.contract import counting, queueing, working
from tests.contract.stores import Open, memory, on_database
from tests.servers import PostgresqlServer, RedisServer, redis
from tests.stores.tables import with_tables


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens stores on an empty place."""
    if request.param == "memory":
        return memory
    if request.param == "sqlite":
        return on_database("sqlite", with_tables(tmp_path))
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    return on_database(server.new_database(), tmp_path)


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.server)])
def counters(request: pytest.FixtureRequest) -> counting.Open:
    """Opens counters that know nobody yet."""
    if request.param == "memory":
        return counting.memory
    server: RedisServer = request.getfixturevalue("redis_server")
    return counting.on_redis(server.url)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> working.Open:
    """Opens stores of jobs on an empty place."""
    if request.param == "sqlite":
        return working.on_database("sqlite", with_tables(tmp_path))
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    return working.on_database(server.new_database(), tmp_path)


BROKERS = {
    "sqlite": (),
    "postgresql": (pytest.mark.server,),
    "redis": (pytest.mark.server,),
    "rabbitmq": (pytest.mark.server,),
    "kafka": (),
    "sqs": (),
}


@pytest.fixture(params=[pytest.param(name, marks=marks) for name, marks in BROKERS.items()])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> queueing.Broker:
    """An empty queue."""
    name = queueing.new_name()
    if request.param == "sqlite":
        return queueing.on_database("sqlite", with_tables(tmp_path))
    if request.param == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        return queueing.on_database(server.new_database(), tmp_path)
    if request.param == "redis":
        redis_server: RedisServer = request.getfixturevalue("redis_server")
        return queueing.at(f"{redis_server.url}?queue={name}", RedisQueue, 0.4)
    if request.param == "rabbitmq":
        rabbit: RabbitServer = request.getfixturevalue("rabbitmq_server")
        return queueing.at(f"{rabbit.url}?queue={name}", RabbitQueue, 0.4)
    if request.param == "kafka":
        kafka: KafkaBroker = request.getfixturevalue("kafka_broker")
        return queueing.at(kafka.make_topic(name), KafkaQueue, 0.4)
    endpoint = request.getfixturevalue("sqs_endpoint")
    return queueing.at(f"sqs://us-east-1/{name}?endpoint={endpoint}", SqsQueue, 1.0, is_in_order=False)


@pytest.fixture(params=["postgresql", "redis", pytest.param("rabbitmq", marks=pytest.mark.server), "kafka"])
def lasting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[queueing.Broker]:
    """An empty queue of a broker that can be stopped and started again."""
    name = queueing.new_name()
    if request.param == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        yield queueing.on_database(server.new_database(), tmp_path, stop=server.stop, start=server.start)
    elif request.param == "rabbitmq":
        rabbit: RabbitServer = request.getfixturevalue("rabbitmq_server")
        address = f"{rabbit.url}?queue={name}"
        more = {"stop": rabbit.stop, "start": rabbit.start, "settle_seconds": 1.2}
        yield queueing.at(address, RabbitQueue, 0.4, **more)
    elif request.param == "kafka":
        kafka: KafkaBroker = request.getfixturevalue("kafka_broker")
        more = {"stop": kafka.stop, "start": kafka.start}
        yield queueing.at(kafka.make_topic(name), KafkaQueue, 0.4, **more)
    else:
        with redis("--appendonly", "yes", "--appendfsync", "always") as lasting:
            if lasting is None:
                pytest.skip("needs the Debian package redis-server")
            more = {"stop": lasting.stop, "start": lasting.start}
            yield queueing.at(f"{lasting.url}?queue={name}", RedisQueue, 0.4, **more)
