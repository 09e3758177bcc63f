"""The stores that the contract suites run against."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract import counting, working
from tests.contract.stores import Open, memory, on_database
from tests.servers import PostgresqlServer, RedisServer


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
