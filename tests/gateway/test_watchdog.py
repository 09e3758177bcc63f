"""The watchdog: a missed deadline becomes a typed error in the task that waits, and in no other place."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import pytest

from headgate.errors import Draining, FirstTokenTimeout, StreamStalled, TotalTimeout
from headgate.gateway.watchdog import Deadlines, Watchdog
from headgate.sim.loop import VirtualLoop, run_virtual


def late() -> StreamStalled:
    return StreamStalled("late")


def watchdog(total_seconds: float = 100.0) -> Watchdog:
    loop = asyncio.get_running_loop()
    return Watchdog(Deadlines(loop, loop.time), total_seconds, lambda: TotalTimeout("total"))


async def wait(dog: Watchdog, upstream: Awaitable[object]) -> None:
    """As an attempt does it."""
    try:
        await upstream
    except asyncio.CancelledError:
        dog.translate()
        raise


def now() -> float:
    return asyncio.get_running_loop().time()


def timers() -> int:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.timers()


def scenario(main: Callable[[], Awaitable[None]]) -> None:
    """Run it; afterwards its task must not be half cancelled, and no timer may be left."""

    async def bounded() -> None:
        await main()
        task = asyncio.current_task()
        assert task is not None and task.cancelling() == 0
        assert timers() == 0

    run_virtual(bounded())


def test_a_missed_deadline_is_its_complaint() -> None:
    async def main() -> None:
        dog = watchdog()
        dog.watch(5.0, late)
        with pytest.raises(StreamStalled):
            await wait(dog, asyncio.sleep(50.0))
        assert now() == pytest.approx(5.0)
        dog.stop()

    scenario(main)


def test_the_deadline_can_be_moved_on() -> None:
    async def main() -> None:
        dog = watchdog()
        dog.watch(5.0, late)
        for _ in range(10):
            await wait(dog, asyncio.sleep(4.9))
            dog.deadline = now() + 5.0
        with pytest.raises(StreamStalled):
            await wait(dog, asyncio.sleep(50.0))
        assert now() == pytest.approx(54.0)
        dog.stop()

    scenario(main)


def test_the_total_deadline_comes_however_often_the_other_is_moved() -> None:
    async def main() -> None:
        dog = watchdog(12.0)
        dog.watch(5.0, late)
        with pytest.raises(TotalTimeout):
            for _ in range(10):
                await wait(dog, asyncio.sleep(4.0))
                dog.deadline = now() + 5.0
        assert now() == pytest.approx(12.0) and dog.seconds_left() == pytest.approx(0.0)
        dog.stop()

    scenario(main)


def test_a_deadline_beyond_the_total_is_the_total() -> None:
    async def main() -> None:
        dog = watchdog(3.0)
        dog.watch(math.inf, late)
        with pytest.raises(TotalTimeout):
            await wait(dog, asyncio.sleep(50.0))
        dog.stop()

    scenario(main)


def test_a_later_watch_may_be_sooner() -> None:
    async def main() -> None:
        dog = watchdog()
        dog.watch(60.0, lambda: FirstTokenTimeout("first"))
        await wait(dog, asyncio.sleep(1.0))
        dog.watch(2.0, late)
        with pytest.raises(StreamStalled):
            await wait(dog, asyncio.sleep(50.0))
        assert now() == pytest.approx(3.0)
        dog.stop()

    scenario(main)


def test_a_task_that_rests_is_not_interrupted() -> None:
    async def main() -> None:
        dog = watchdog()
        dog.watch(5.0, late)
        dog.rest()
        await asyncio.sleep(50.0)
        dog.check()
        dog.watch(5.0, late)
        with pytest.raises(StreamStalled):
            await wait(dog, asyncio.sleep(50.0))
        assert 55.0 <= now() < 57.0, "it looks again once a second"
        dog.stop()

    scenario(main)


def test_the_total_deadline_that_passes_while_it_rests_is_told_at_the_next_check() -> None:
    async def main() -> None:
        dog = watchdog(10.0)
        dog.watch(5.0, late)
        dog.rest()
        await asyncio.sleep(50.0)
        with pytest.raises(TotalTimeout):
            dog.check()
        dog.check()
        dog.stop()

    scenario(main)


def test_an_interruption_comes_at_once_or_at_the_next_check() -> None:
    async def main() -> None:
        dog = watchdog()
        asyncio.get_running_loop().call_later(1.0, dog.interrupt, Draining("x"))
        dog.watch(5.0, late)
        with pytest.raises(Draining):
            await wait(dog, asyncio.sleep(50.0))
        assert now() == 1.0
        dog.rest()
        dog.interrupt(Draining("y"))
        await asyncio.sleep(1.0)
        with pytest.raises(Draining, match="y"):
            dog.check()
        dog.stop()

    scenario(main)


def test_the_first_verdict_counts() -> None:
    async def main() -> None:
        dog = watchdog()
        dog.watch(5.0, late)
        loop = asyncio.get_running_loop()
        loop.call_later(1.0, dog.interrupt, Draining("first"))
        loop.call_later(1.0, dog.interrupt, Draining("second"))
        with pytest.raises(Draining, match="first"):
            await wait(dog, asyncio.sleep(50.0))
        await asyncio.sleep(1.0)
        dog.stop()

    scenario(main)


def test_a_cancellation_from_elsewhere_stays_one() -> None:
    async def main() -> None:
        dogs: list[Watchdog] = []

        async def client() -> None:
            dogs.append(watchdog())
            dogs[0].watch(5.0, late)
            await wait(dogs[0], asyncio.sleep(50.0))

        task = asyncio.create_task(client())
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        dogs[0].stop()

    scenario(main)


def test_a_sleep_is_ended_by_an_interruption_and_by_nothing_else() -> None:
    async def main() -> None:
        dog = watchdog()
        dog.watch(5.0, late)
        await dog.sleep(20.0)
        assert now() == 20.0, "nobody is late while it waits on purpose"
        asyncio.get_running_loop().call_later(1.0, dog.interrupt, Draining("x"))
        with pytest.raises(Draining):
            await dog.sleep(20.0)
        assert now() == 21.0
        dog.interrupt(Draining("while it rests"))
        with pytest.raises(Draining):
            await dog.sleep(20.0)
        assert now() == 21.0
        dog.stop()

    scenario(main)


def test_after_the_end_nothing_interrupts() -> None:
    async def main() -> None:
        dog = watchdog(3.0)
        dog.watch(2.0, late)
        dog.stop()
        dog.interrupt(Draining("x"))
        await asyncio.sleep(10.0)

    scenario(main)


def test_moving_the_deadline_costs_no_timer() -> None:
    async def main() -> None:
        dog = watchdog()
        dog.watch(5.0, late)
        before = timers()
        for _ in range(1000):
            dog.deadline = now() + 5.0
            dog.rest()
        assert timers() == before == 1
        dog.stop()

    scenario(main)


def test_one_timer_serves_all_requests_and_each_is_told_at_its_own_time() -> None:
    told: list[tuple[float, str]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        deadlines = Deadlines(loop, loop.time)

        async def request(seconds: float) -> None:
            dog = Watchdog(deadlines, 100.0, lambda: TotalTimeout("total"))
            dog.watch(seconds, lambda: StreamStalled(f"late after {seconds:g}"))
            try:
                await wait(dog, asyncio.sleep(50.0 if seconds != 30.0 else 20.0))
            except StreamStalled as error:
                told.append((now(), error.message))
            finally:
                dog.stop()

        requests = [loop.create_task(request(seconds)) for seconds in (30.0, 9.0, 3.0, 6.0)]
        await asyncio.sleep(1.0)
        assert timers() == 1 + 4  # and what they wait for
        await asyncio.wait(requests)

    scenario(main)
    assert told == [(3.0, "late after 3"), (6.0, "late after 6"), (9.0, "late after 9")]
