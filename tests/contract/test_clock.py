"""What every `ports.Clock` must do, whichever time it tells."""

from __future__ import annotations

import asyncio
import random
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from headgate.clock import SystemClock
from headgate.ports import Clock
from headgate.sim.clock import SimClock
from headgate.sim.loop import VirtualLoop, run_virtual

ID = re.compile(r"req_[0-9a-f]{12}[0-9a-f]{14}")
MAKERS: dict[str, Callable[[asyncio.AbstractEventLoop], Clock]] = {
    "system": lambda loop: SystemClock(),
    "simulated": lambda loop: SimClock(loop, seed=1),
}


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Callable[[asyncio.AbstractEventLoop], Clock]:
    return MAKERS[request.param]


@pytest.fixture
def clock(make: Callable[[asyncio.AbstractEventLoop], Clock]) -> Clock:
    loop = VirtualLoop()
    loop.close()  # a closed loop still tells the time, and this one leaves no socket behind
    return make(loop)


def test_wall_time_is_a_time_after_this_was_written(clock: Clock) -> None:
    assert clock.now() > 1_767_000_000


def test_monotonic_time_never_goes_back(clock: Clock) -> None:
    readings = [clock.monotonic() for _ in range(1000)]
    assert readings == sorted(readings)


def test_ids_are_the_prefix_the_milliseconds_and_randomness(clock: Clock) -> None:
    before = int(clock.now() * 1000)
    made = clock.new_id("req")
    after = int(clock.now() * 1000)
    assert ID.fullmatch(made)
    assert before <= int(made[4:16], 16) <= after


def test_ids_are_unique(clock: Clock) -> None:
    assert len({clock.new_id("req") for _ in range(20_000)}) == 20_000


def test_the_random_source_is_a_generator_of_its_own(clock: Clock) -> None:
    assert isinstance(clock.random, random.Random)
    state = random.getstate()
    clock.random.random()
    clock.new_id("req")
    assert random.getstate() == state


def test_time_passes_and_ids_sort_by_it(make: Callable[[asyncio.AbstractEventLoop], Clock]) -> None:
    """The simulated clock moves by what was waited, the real one by what that took."""

    async def scenario() -> None:
        clock = make(asyncio.get_running_loop())
        wall, monotonic, first = clock.now(), clock.monotonic(), clock.new_id("req")
        while clock.now() < wall + 0.002:  # noqa: ASYNC110  # the clock itself is what is waited for
            await asyncio.sleep(0.001)
        assert clock.monotonic() > monotonic
        assert clock.new_id("req") > first

    run_virtual(scenario())


def test_a_simulated_clock_repeats_itself_and_its_two_streams_do_not_touch() -> None:
    loop = VirtualLoop()
    loop.close()
    first, second, other = SimClock(loop, seed=3), SimClock(loop, seed=3), SimClock(loop, seed=4)
    first.random.random()
    assert first.new_id("req") == second.new_id("req")
    assert first.new_id("req") != other.new_id("req")
    assert second.random.random() == SimClock(loop, seed=3).random.random()


def test_two_processes_do_not_share_their_randomness() -> None:
    program = "from headgate.clock import SystemClock; print(SystemClock().new_id('req')[16:])"
    made = [subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout for _ in range(2)]
    assert made[0] != made[1]
