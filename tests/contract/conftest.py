"""The stores that the contract suites run against."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate.queues.redis.queue import RedisQueue
from tests.contract import counting, queueing, working
from tests.contract.stores import Open, memory, on_database
from tests.servers import PostgresqlServer, RedisServer, redis


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens stores on an empty place."""
    if request.param == "memory":
        return memory
    if request.param == "sqlite":
        return on_database("sqlite", tmp_path)
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
        return working.on_database("sqlite", tmp_path)
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    return working.on_database(server.new_database(), tmp_path)


@pytest.fixture(params=["sqlite", *(pytest.param(name, marks=pytest.mark.server) for name in ("postgresql", "redis"))])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> queueing.Broker:
    """An empty queue."""
    if request.param == "sqlite":
        return queueing.on_database("sqlite", tmp_path)
    if request.param == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        return queueing.on_database(server.new_database(), tmp_path)
    redis_server: RedisServer = request.getfixturevalue("redis_server")
    return queueing.at(f"{redis_server.url}?queue={queueing.new_name()}", RedisQueue, 0.4)


@pytest.fixture(params=["postgresql", "redis"])
def lasting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[queueing.Broker]:
    """An empty queue of a broker that can be stopped and started again."""
    if request.param == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        yield queueing.on_database(server.new_database(), tmp_path, stop=server.stop, start=server.start)
        return
    with redis("--appendonly", "yes", "--appendfsync", "always") as lasting:
        if lasting is None:
            pytest.skip("needs the Debian package redis-server")
        address = f"{lasting.url}?queue={queueing.new_name()}"
        yield queueing.at(address, RedisQueue, 0.4, stop=lasting.stop, start=lasting.start)
