"""Runs a scenario on the event loop of production and on the one of the standard library."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest
import uvloop

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}
HANGS_AFTER_SECONDS = 120.0


@pytest.fixture(params=LOOPS)
def on_each_loop(request: pytest.FixtureRequest) -> Callable[[Coroutine[None, None, None]], None]:
    """Call it with a scenario; the test runs once for each loop."""

    async def bounded(scenario: Coroutine[None, None, None]) -> None:
        async with asyncio.timeout(HANGS_AFTER_SECONDS):
            await scenario

    def run(scenario: Coroutine[None, None, None]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(bounded(scenario))

    return run
