"""The providers that the gateways under test ask, and where they count."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.judge import judge_process
from tests.faults.upstream import upstream_process
from tests.servers import RedisServer


@pytest.fixture(scope="session")
def upstream_port() -> Iterator[int]:
    with upstream_process() as port:
        yield port


@pytest.fixture
def judge_port() -> Iterator[int]:
    with judge_process() as port:
        yield port


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.server)])
def store(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return "memory"
    server: RedisServer = request.getfixturevalue("redis_server")
    return server.url
