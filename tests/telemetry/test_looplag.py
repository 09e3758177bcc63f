"""The lag of the event loop, on a loop whose clock the test moves."""

from __future__ import annotations

import asyncio

import pytest

from headgate.sim.loop import VirtualLoop
from headgate.telemetry.looplag import SAMPLE_SECONDS, LoopLag


def test_lateness_is_measured_and_punctuality_too() -> None:
    loop = VirtualLoop()
    lags: list[float] = []

    async def scenario() -> None:
        lag = LoopLag(lags.append)
        lag.start()
        await asyncio.sleep(2 * SAMPLE_SECONDS + 0.01)
        # What a handler that blocks for 0.7 s does to the clock.
        loop._virtual.now += 0.7
        await asyncio.sleep(0.1)
        lag.stop()
        lag.stop()
        await asyncio.sleep(10)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(scenario())
    assert lags[:2] == pytest.approx([0.0, 0.0])
    assert lags[2] == pytest.approx(0.21)
    assert len(lags) == 3
