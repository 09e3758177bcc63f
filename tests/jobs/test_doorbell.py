"""The doorbell between processes: what is rung in one is heard in the other, and a sign that is lost is only logged."""

from __future__ import annotations

import asyncio
import logging

import pytest

from headgate.jobs import doorbell as module
from headgate.jobs.doorbell import Doorbell
from headgate.jobs.worker import Bell
from headgate.queue_errors import QueueUnavailable
from headgate.sim.loop import run_virtual


class Wire:
    """A signal between all who hold it, which may be cut."""

    def __init__(self) -> None:
        self.given = 0
        self.is_cut = False
        self._sign = asyncio.Event()

    async def give(self) -> None:
        if self.is_cut:
            raise QueueUnavailable("The wire is cut.")
        self.given += 1
        self._sign.set()
        await asyncio.sleep(0.01)

    async def wait(self) -> None:
        await self._sign.wait()
        self._sign.clear()

    async def aclose(self) -> None:
        """Nothing to close."""


async def heard(bell: Bell, seconds: float) -> bool:
    started = asyncio.get_running_loop().time()
    await bell.wait(seconds)
    return asyncio.get_running_loop().time() - started < seconds * 0.9


def test_what_is_rung_here_is_heard_there_and_a_burst_is_few_signs() -> None:
    async def scenario() -> None:
        wire, here, there = Wire(), Bell(), Bell()
        ringing, listening = Doorbell(here, wire), Doorbell(there, wire)
        tasks = [asyncio.create_task(ringing.tell_forever()), asyncio.create_task(listening.listen_forever())]
        for _ in range(100):
            ringing.ring()
            await asyncio.sleep(0)
        assert await heard(here, 1.0) and await heard(there, 1.0)
        await asyncio.sleep(0.05)
        assert 1 <= wire.given <= 3
        for task in tasks:
            task.cancel()

    run_virtual(scenario())


def test_without_a_signal_the_worker_of_this_process_is_rung_for() -> None:
    async def scenario() -> None:
        bell = Bell()
        doorbell = Doorbell(bell, None)
        doorbell.ring()
        await asyncio.gather(doorbell.tell_forever(), doorbell.listen_forever())
        assert await heard(bell, 1.0)
        await doorbell.aclose()

    run_virtual(scenario())


def test_a_queue_that_is_away_is_said_once_and_used_again_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.001)

    async def scenario() -> None:
        wire, bell = Wire(), Bell()
        wire.is_cut = True
        doorbell = Doorbell(bell, wire)
        task = asyncio.create_task(doorbell.tell_forever())
        for _ in range(3):
            doorbell.ring()
            assert await heard(bell, 1.0)
            await asyncio.sleep(0.005)
        wire.is_cut = False
        doorbell.ring()
        await asyncio.sleep(0.01)
        assert wire.given == 1
        task.cancel()

    with caplog.at_level(logging.WARNING):
        run_virtual(scenario())
    assert [record.message for record in caplog.records] == [
        "workers are not rung for, and look every half second: The wire is cut."
    ]
