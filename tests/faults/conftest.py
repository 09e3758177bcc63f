"""The provider that the gateways under test have in common."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.upstream import upstream_process


@pytest.fixture(scope="session")
def upstream_port() -> Iterator[int]:
    with upstream_process() as port:
        yield port
