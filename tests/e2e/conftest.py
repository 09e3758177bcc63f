"""Gateways, which end with the tests of this folder as an idle one takes a hundredth of a core, and the upstream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.e2e import javascript
from tests.e2e.gateway import ALICE, Gateway
from tests.e2e.upstream import Upstream, refuse


@pytest.fixture(scope="session")
def running_upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    upstream.start()
    yield upstream
    upstream.stop()


@pytest.fixture
def upstream(running_upstream: Upstream) -> Iterator[Upstream]:
    """Plays the script that the test gives it; asserts that scripts did not fail."""
    running_upstream.plays(refuse)
    yield running_upstream
    assert not running_upstream.failures, running_upstream.failures


@pytest.fixture(scope="package")
def gateway(running_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """As people run it."""
    yield from _running(Gateway(tmp_path_factory.mktemp("gateway"), running_upstream.url))


@pytest.fixture(scope="package")
def strict_gateway(running_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """With limits that a test can reach."""
    limits = {
        "max_body_bytes": 100_000,
        "max_header_bytes": 8_192,
        "max_in_flight": 4,
        "max_connections": 40,
        "receive_seconds": 1,
        "send_seconds": 1,
        "cors_origins": ["https://chat.example.com"],
    }
    yield from _running(Gateway(tmp_path_factory.mktemp("strict"), running_upstream.url, **limits))


@pytest.fixture(scope="package")
def finishing_gateway(running_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Reads on when a client has left."""
    yield from _running(Gateway(tmp_path_factory.mktemp("finishing"), running_upstream.url, on_disconnect="finish"))


@pytest.fixture(scope="session")
def node_packages() -> Path:
    """The folder of the clients for Node.js."""
    return javascript.install()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    """Does not try again by itself."""
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=ALICE, max_retries=0) as client:
        yield client


def _running(gateway: Gateway) -> Iterator[Gateway]:
    gateway.start()
    yield gateway
    gateway.stop()
