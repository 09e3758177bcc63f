"""Fixtures for all tests: the real servers. A test whose server is not installed skips and names the Debian package."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import pytest

from tests.brokers import AWS, KafkaBroker, RabbitServer, rabbitmq, sqs
from tests.scale import scaled
from tests.servers import PostgresqlServer, RedisServer, postgresql, redis

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

Item = TypeVar("Item")

LONG = ("tests/serving/test_openapi.py", "tests/sim/test_night.py")  # at the end they would run alone
WAITING = ("tests/faults/", "tests/serving/")  # whose tests wait for processes more than they compute


def pytest_configure(config: pytest.Config) -> None:
    """A slow machine fails no test of properties, and has half as many examples where a test names no number."""
    if config.pluginmanager.hasplugin("hypothesispytest"):
        from hypothesis import HealthCheck, settings  # not at the top: nor has it this

        settings.register_profile(
            "any machine", max_examples=scaled(100, 50), deadline=None, suppress_health_check=[HealthCheck.too_slow]
        )
        settings.load_profile("any machine")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    from tests.scheduling import Scheduling  # not at the top: the environment of other people's clients has no xdist

    return Scheduling(config, log)


def spread(some: Sequence[Item], others: Sequence[Item]) -> list[Item]:
    """All in one list, `some` at even distances. Both keep their order."""
    places = chain(
        (((number + 0.5) / len(some), item) for number, item in enumerate(some)),
        (((number + 0.5) / len(others), item) for number, item in enumerate(others)),
    )
    return [item for _, item in sorted(places, key=lambda place: place[0])]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of several test processes one waits while the others compute, and none begins with a long test at the end."""
    if not hasattr(config, "workerinput"):
        return
    waiting = [item for item in items if item.nodeid.startswith(WAITING)]
    items[:] = spread(waiting, [item for item in items if not item.nodeid.startswith(WAITING)])
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


def pytest_collection_finish() -> None:
    """What was imported and collected stays: to look through it for garbage took a twentieth of all."""
    gc.freeze()


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


@pytest.fixture(scope="session")
def running_rabbitmq() -> Iterator[RabbitServer | None]:
    with rabbitmq() as server:
        yield server


@pytest.fixture
def rabbitmq_server(running_rabbitmq: RabbitServer | None) -> RabbitServer:
    if running_rabbitmq is None:
        pytest.skip("needs the Debian package rabbitmq-server")
    return running_rabbitmq


@pytest.fixture(scope="session")
def kafka_broker() -> KafkaBroker:
    return KafkaBroker()


@pytest.fixture(scope="session")
def running_sqs() -> Iterator[str]:
    with sqs() as endpoint:
        yield endpoint


@pytest.fixture
def sqs_endpoint(running_sqs: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where queues may be made, with credentials for it in the environment."""
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    return running_sqs


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def database_url(request: pytest.FixtureRequest) -> str:
    """As in the configuration: SQLite in the data directory, and a new PostgreSQL database."""
    if request.param == "sqlite":
        return "sqlite"
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    return server.new_database()
