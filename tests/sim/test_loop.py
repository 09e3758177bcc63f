"""The virtual loop: time jumps, everything else about asyncio stays as it is."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from headgate.sim.clock import SimClock
from headgate.sim.loop import Deadlock, NotSimulated, run_virtual

DAY_SECONDS = 86_400.0


def test_time_starts_where_it_is_told_and_jumps_to_each_timer() -> None:
    async def scenario() -> list[float]:
        loop = asyncio.get_running_loop()
        seen = [loop.time()]
        for seconds in (0.0, 0.25, DAY_SECONDS, 1e-9, 30 * DAY_SECONDS):
            await asyncio.sleep(seconds)
            seen.append(loop.time() - seen[0])
        return seen

    assert run_virtual(scenario(), start=5.0) == pytest.approx(
        [5.0, 0.0, 0.25, 0.25 + DAY_SECONDS, 0.25 + DAY_SECONDS, 0.25 + 31 * DAY_SECONDS]
    )


@pytest.mark.parametrize("start", [1e6, 3.4e7, 1e9, 1e12, 1e15])
def test_timers_fire_at_large_times_too(start: float) -> None:
    async def scenario() -> float:
        loop = asyncio.get_running_loop()
        for seconds in (0.1, 0.3, 1e-7, 1.0):
            before = loop.time()
            await asyncio.sleep(seconds)
            assert loop.time() >= before + seconds
        return loop.time()

    assert run_virtual(scenario(), start=start) == pytest.approx(start + 1.4, abs=4)


def test_work_takes_no_time() -> None:
    async def scenario() -> float:
        for _ in range(1000):
            await asyncio.sleep(0)
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == 0.0


def test_timers_fire_in_the_order_of_their_times_and_cancelled_ones_do_not() -> None:
    async def scenario() -> list[str]:
        loop, order = asyncio.get_running_loop(), list[str]()
        for name, at in (("late", 2.0), ("middle", 1.0), ("early", 0.5)):
            loop.call_at(at, order.append, name)
        loop.call_at(3.0, order.append, "never").cancel()
        await asyncio.sleep(10)
        return order

    assert run_virtual(scenario()) == ["early", "middle", "late"]


def test_a_timeout_ends_a_wait_at_its_time() -> None:
    async def scenario() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(7.5):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == 7.5


def test_a_timeout_that_is_not_needed_does_not_move_time() -> None:
    async def scenario() -> float:
        async with asyncio.timeout(1000):
            await asyncio.sleep(2)
        return asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == 2.0


def test_cancelling_a_task_runs_its_cleanup_in_virtual_time() -> None:
    async def scenario() -> tuple[list[str], float]:
        loop, log = asyncio.get_running_loop(), list[str]()

        async def worker() -> None:
            try:
                await asyncio.sleep(DAY_SECONDS)
            finally:
                await asyncio.sleep(1)
                log.append("cleaned up")

        task = asyncio.create_task(worker())
        await asyncio.sleep(3)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return log, loop.time()

    assert run_virtual(scenario()) == (["cleaned up"], 4.0)


def test_gathered_tasks_take_as_long_as_the_longest() -> None:
    async def scenario() -> tuple[list[int], float]:
        async def after(seconds: int) -> int:
            await asyncio.sleep(seconds)
            return seconds

        answers = await asyncio.gather(*(after(seconds) for seconds in (3, 1, 2)))
        return answers, asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == ([3, 1, 2], 3.0)


def test_a_task_group_cancels_its_other_children_when_one_fails() -> None:
    async def scenario() -> tuple[bool, float]:
        stopped = False

        async def forever() -> None:
            nonlocal stopped
            try:
                await asyncio.sleep(DAY_SECONDS)
            except asyncio.CancelledError:
                stopped = True
                raise

        async def failing() -> None:
            await asyncio.sleep(1)
            raise ValueError("on purpose")

        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(forever())
                group.create_task(failing())
        return stopped, asyncio.get_running_loop().time()

    assert run_virtual(scenario()) == (True, 1.0)


def test_an_async_generator_that_is_left_early_is_closed() -> None:
    async def scenario() -> list[str]:
        log: list[str] = []

        async def ticks() -> AsyncIterator[int]:
            try:
                for number in range(100):
                    await asyncio.sleep(1)
                    yield number
            finally:
                await asyncio.sleep(1)
                log.append(f"closed at {asyncio.get_running_loop().time():g}")

        async with contextlib.aclosing(ticks()) as numbers:  # type: ignore[type-var]  # typeshed wants AsyncGenerator
            async for number in numbers:
                if number == 2:
                    break
        return log

    assert run_virtual(scenario()) == ["closed at 4"]


def test_a_wait_that_nothing_can_end_is_a_deadlock_that_says_who_waits_where() -> None:
    async def wait_for_nobody() -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        task = asyncio.create_task(wait_for_nobody(), name="the waiter")
        await asyncio.sleep(1)
        await task

    with pytest.raises(Deadlock) as caught:
        run_virtual(scenario())
    message = str(caught.value)
    assert message.startswith("at 1.000000 s nothing is scheduled and 2 tasks wait:")
    assert "the waiter" in message
    assert "wait_for_nobody" in message
    assert "Event.wait" in message


def test_tasks_left_over_are_cancelled_at_the_end() -> None:
    log: list[str] = []

    async def left_over() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            log.append("cancelled")

    async def scenario() -> None:
        log.append(asyncio.create_task(left_over()).get_name() and "started")
        await asyncio.sleep(0)

    run_virtual(scenario())
    assert log == ["started", "cancelled"]


def in_a_thread() -> Coroutine[Any, Any, object]:
    return asyncio.to_thread(print)


def a_name_lookup() -> Coroutine[Any, Any, object]:
    return asyncio.get_running_loop().getaddrinfo("localhost", 80)


def a_connection() -> Coroutine[Any, Any, object]:
    return asyncio.open_connection("127.0.0.1", 9)


def a_listener() -> Coroutine[Any, Any, object]:
    return asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)


def a_child_process() -> Coroutine[Any, Any, object]:
    return asyncio.create_subprocess_exec("true")


async def a_socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        await asyncio.get_running_loop().sock_recv(ours, 1)


async def a_call_from_a_thread() -> None:
    loop, refusals = asyncio.get_running_loop(), list[BaseException]()

    def call_in() -> None:
        try:
            loop.call_soon_threadsafe(print)
        except NotSimulated as refusal:
            refusals.append(refusal)

    thread = threading.Thread(target=call_in)
    thread.start()
    thread.join()
    raise refusals[0]


@pytest.mark.parametrize(
    "ask", [in_a_thread, a_name_lookup, a_connection, a_listener, a_child_process, a_socket, a_call_from_a_thread]
)
def test_the_real_world_is_refused(ask: Callable[[], Coroutine[Any, Any, object]]) -> None:
    async def scenario() -> None:
        await ask()

    with pytest.raises(NotSimulated):
        run_virtual(scenario())


def play(seed: int) -> list[str]:
    """Forty customers, three counters, random arrivals, service times and patience: returns the log."""

    async def scenario() -> list[str]:
        loop = asyncio.get_running_loop()
        clock, log, counters = SimClock(loop, seed), list[str](), asyncio.Semaphore(3)

        async def customer(number: int) -> None:
            await asyncio.sleep(clock.random.uniform(0, 20))
            name = clock.new_id(f"customer{number}")
            try:
                async with asyncio.timeout(clock.random.uniform(1, 8)), counters:
                    log.append(f"{clock.now():.9f} {name} served")
                    await asyncio.sleep(clock.random.expovariate(0.5))
                    log.append(f"{clock.now():.9f} {name} done")
            except TimeoutError:
                log.append(f"{clock.now():.9f} {name} left")

        await asyncio.gather(*(customer(number) for number in range(40)))
        return log

    return run_virtual(scenario())


def test_the_same_seed_gives_the_same_log_and_another_seed_another() -> None:
    first = play(7)
    assert {line.split()[-1] for line in first} == {"served", "done", "left"}
    assert play(7) == first
    assert play(8) != first
