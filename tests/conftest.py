"""Fixtures for all tests: the real servers. A test whose server is not installed skips and names the Debian package."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import PostgresqlServer, RedisServer, postgresql, redis


@pytest.fixture(scope="session")
def running_postgresql() -> Iterator[PostgresqlServer | None]:
    with postgresql() as server:
        yield server


@pytest.fixture
def postgresql_server(running_postgresql: PostgresqlServer | None) -> PostgresqlServer:
    if running_postgresql is None:
        pytest.skip("needs the Debian package postgresql")
    return running_postgresql


@pytest.fixture(scope="session")
def running_redis() -> Iterator[RedisServer | None]:
    with redis() as server:
        yield server


@pytest.fixture
def redis_server(running_redis: RedisServer | None) -> RedisServer:
    """An empty one."""
    if running_redis is None:
        pytest.skip("needs the Debian package redis-server")
    running_redis.ask("FLUSHALL")
    return running_redis


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def database_url(request: pytest.FixtureRequest) -> str:
    """As in the configuration: SQLite in the data directory, and an empty PostgreSQL database."""
    if request.param == "sqlite":
        return "sqlite"
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    return server.new_database()
