"""A gateway before an upstream that speaks as every kind of provider does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.replay import served
from tests.e2e.gateway import Gateway
from tests.e2e.upstream import Upstream, refuse


@pytest.fixture(scope="session")
def running_upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    upstream.start()
    yield upstream
    upstream.stop()


@pytest.fixture
def upstream(running_upstream: Upstream) -> Iterator[Upstream]:
    """Plays the script that the test gives it."""
    running_upstream.plays(refuse)
    yield running_upstream
    assert not running_upstream.failures, running_upstream.failures


@pytest.fixture(scope="package")
def gateway(running_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """With a model behind every kind of provider, named as `replay.served` does."""
    folder = tmp_path_factory.mktemp("hostile")
    gateway = Gateway(folder, running_upstream.url, served(running_upstream.url))
    gateway.start()
    yield gateway
    gateway.stop()
