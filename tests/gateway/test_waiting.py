"""The waiting room on the virtual loop: turns, bounds, deadlines, and that nobody is forgotten."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Hashable

import pytest

from headgate.errors import Draining, WaitingRoomFull
from headgate.gateway.waiting import NOW, WaitingRoom
from headgate.sim.clock import SimClock
from headgate.sim.loop import run_virtual

LATER = 1e6  # longer than any test


class Counter:
    """Something to be had: each take uses up one. Tells the room when there is more."""

    def __init__(self, max_waiting: int = 1000) -> None:
        loop = asyncio.get_running_loop()
        self.clock = SimClock(loop, 1)
        self.waits: list[float] = []
        self.room = WaitingRoom(self.clock, lambda: max_waiting, self.waits.append)
        self.left = 0
        self.tries = 0
        self.taken: list[str] = []

    def give(self, count: int, topic: Hashable = "it") -> None:
        self.left += count
        self.room.wake(topic)

    def take(self, name: str) -> bool:
        self.tries += 1
        if not self.left:
            return False
        self.left -= 1
        self.taken.append(name)
        return True

    async def want(self, name: str, *, seconds: float = LATER, at: float = LATER) -> bool:
        """Whether it got one within `seconds`; `at` is when it tries unasked. The tenant is the name's first letter."""
        deadline, is_awaited = self.clock.monotonic() + seconds, self.room.is_awaited("it")
        if not is_awaited and self.take(name):
            return True
        with self.room.enter(name[0], "it", deadline) as place:
            until = NOW if is_awaited else at
            while await place.turn(until):
                if self.take(name):
                    return True
                until = at
        return False


def run(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    async def main() -> None:
        await scenario()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    run_virtual(main())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def start(counter: Counter, *names: str, seconds: float = LATER) -> list[asyncio.Task[bool]]:
    return [asyncio.create_task(counter.want(name, seconds=seconds)) for name in names]


# --- turns ---


def test_tenants_take_turns_and_within_a_tenant_the_first_comes_first() -> None:
    async def scenario() -> None:
        counter = Counter()
        tasks = start(counter, "a1", "a2", "a3", "b1", "b2", "c1")
        await settle()
        assert counter.room.waiting == 6 and not counter.taken
        for _ in range(6):
            counter.give(1)
            await settle()
        assert counter.taken == ["a1", "b1", "c1", "a2", "b2", "a3"]
        assert all(await asyncio.gather(*tasks)) and counter.room.waiting == 0

    run(scenario)


def test_all_that_comes_at_once_is_handed_out_in_the_same_order() -> None:
    async def scenario() -> None:
        counter = Counter()
        tasks = start(counter, "a1", "a2", "a3", "b1", "b2", "c1")
        await settle()
        counter.give(6)
        await asyncio.gather(*tasks)
        assert counter.taken == ["a1", "b1", "c1", "a2", "b2", "a3"]

    run(scenario)


def test_a_tenant_with_500_waiters_does_not_delay_another_tenants_only_one() -> None:
    async def scenario() -> None:
        counter = Counter()
        many = start(counter, *(f"a{number}" for number in range(500)))
        await settle()
        (one,) = start(counter, "b0")
        await settle()
        counter.give(2)
        assert await one
        assert counter.taken == ["a0", "b0"]
        counter.give(499)
        assert all(await asyncio.gather(*many))

    run(scenario)


def test_a_herd_does_not_try_at_once() -> None:
    async def scenario() -> None:
        counter = Counter()
        tasks = start(counter, *(f"a{number}" for number in range(300)), *(f"b{number}" for number in range(300)))
        await settle()
        before = counter.tries
        counter.give(1)
        await settle()
        assert counter.tries - before <= 3, "who gets it, and the first of each tenant in vain"
        counter.give(599)
        await asyncio.gather(*tasks)

    run(scenario)


def test_who_tries_in_vain_keeps_its_place() -> None:
    async def scenario() -> None:
        counter = Counter()
        tasks = start(counter, "a1", "a2", "b1")
        await settle()
        for _ in range(3):
            counter.room.wake("it")
            await settle()
        assert not counter.taken
        counter.give(3)
        await asyncio.gather(*tasks)
        assert counter.taken == ["a1", "b1", "a2"]

    run(scenario)


def test_a_newcomer_waits_behind_those_who_wait() -> None:
    async def scenario() -> None:
        counter = Counter()
        tasks = start(counter, "a1", "a2")
        await settle()
        counter.left = 1  # nobody was woken
        tasks += start(counter, "a3")
        await settle()
        assert not counter.taken
        counter.give(2)
        await asyncio.gather(*tasks)
        assert counter.taken == ["a1", "a2", "a3"]

    run(scenario)


def test_topics_have_nothing_to_do_with_each_other() -> None:
    async def scenario() -> None:
        counter = Counter()
        (task,) = start(counter, "a1")
        await settle()
        counter.give(1, topic="something else")
        await settle()
        assert not task.done()
        counter.room.wake("it")
        assert await task

    run(scenario)


# --- times ---


def test_nobody_need_wake_who_knows_when() -> None:
    async def scenario() -> None:
        counter = Counter()
        tasks = [asyncio.create_task(counter.want(name, at=5.0)) for name in ("a1", "a2", "b1")]
        await asyncio.sleep(4.0)
        counter.left = 3
        await asyncio.sleep(0.999)
        assert not counter.taken
        await asyncio.gather(*tasks)
        assert counter.clock.monotonic() == 5.0 and counter.taken == ["a1", "b1", "a2"]

    run(scenario)


def test_each_tenant_is_called_at_its_own_time() -> None:
    async def scenario() -> None:
        counter = Counter()
        late, early, middle = (
            asyncio.create_task(counter.want(name, at=at)) for name, at in (("a", 9.0), ("b", 3.0), ("c", 6.0))
        )
        await settle()
        counter.left = 3
        for task, at in ((early, 3.0), (middle, 6.0), (late, 9.0)):
            assert await task
            assert counter.clock.monotonic() == at

    run(scenario)


def test_a_time_that_has_passed_does_not_spin() -> None:
    async def scenario() -> None:
        counter = Counter()
        task = asyncio.create_task(counter.want("a1", seconds=1.0, at=NOW))
        assert not await task
        assert counter.tries <= 1001

    run(scenario)


def test_the_deadline_ends_a_wait_and_frees_the_place() -> None:
    async def scenario() -> None:
        counter = Counter(max_waiting=2)
        first = asyncio.create_task(counter.want("a1", seconds=2.0))
        second = asyncio.create_task(counter.want("a2", seconds=5.0))
        assert not await first
        assert counter.clock.monotonic() == 2.0 and counter.room.waiting == 1
        counter.give(1)
        assert await second
        assert counter.waits == [2.0, 2.0]

    run(scenario)


def test_what_changes_while_somebody_tries_is_not_lost() -> None:
    async def scenario() -> None:
        counter = Counter()
        left, tries = [False], []

        async def slow() -> None:
            with counter.room.enter("a", "it", LATER) as place:
                while await place.turn(NOW if not tries else LATER):
                    found = left[0]
                    await asyncio.sleep(1.0)  # a store far away
                    tries.append(counter.clock.monotonic())
                    if found:
                        return

        task = asyncio.create_task(slow())
        await asyncio.sleep(0.5)
        left[0] = True
        counter.room.wake("it")
        await task
        assert tries == [1.0, 2.0]

    run(scenario)


# --- bounds and ends ---


def test_a_full_room_refuses_by_name() -> None:
    async def scenario() -> None:
        counter = Counter(max_waiting=3)
        tasks = start(counter, "a1", "a2", "b1")
        await settle()
        with pytest.raises(WaitingRoomFull) as refused:
            await counter.want("c1")
        assert refused.value.status == 503 and refused.value.retry_after_seconds
        assert counter.room.waiting == 3
        counter.give(3)
        await asyncio.gather(*tasks)

    run(scenario)


def test_a_client_that_leaves_frees_its_place_and_the_next_is_called() -> None:
    async def scenario() -> None:
        counter = Counter()
        first, second, third = start(counter, "a1", "a2", "a3")
        await settle()
        second.cancel()
        await settle()
        assert counter.room.waiting == 2
        counter.give(1)
        first.cancel()  # called, and gone before it could try
        await asyncio.wait([first])
        assert await third and counter.taken == ["a3"]

    run(scenario)


def test_closing_ends_all_waits_each_with_an_error_of_its_own() -> None:
    async def scenario() -> None:
        counter = Counter()
        tasks = start(counter, "a1", "a2", "b1")
        await settle()
        counter.room.close(lambda: Draining("closing"))
        errors = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(error) for error in errors] == [Draining] * 3 and len({id(error) for error in errors}) == 3
        with pytest.raises(Draining):
            await counter.want("c1")
        assert counter.room.waiting == 0

    run(scenario)


# --- whatever happens ---


@pytest.mark.parametrize("seed", range(30))
def test_nothing_is_left_over_while_somebody_waits_for_it(seed: int) -> None:
    """Random arrivals, gifts, departures and deadlines: at rest, either nothing is to be had or nobody waits."""

    async def scenario() -> None:
        chance, counter = random.Random(seed), Counter(max_waiting=40)
        tasks: list[asyncio.Task[bool]] = []
        order: dict[str, list[str]] = {}
        for step in range(400):
            match chance.choice(("come", "come", "give", "give", "leave", "time", "wake")):
                case "come" if counter.room.waiting < 40:
                    tenant = chance.choice("abcd")
                    order.setdefault(tenant, []).append(f"{tenant}{step}")
                    at = counter.clock.monotonic() + chance.choice((0.5, 2.0, LATER))
                    wants = counter.want(f"{tenant}{step}", seconds=chance.choice((1.0, 3.0, LATER)), at=at)
                    tasks.append(asyncio.create_task(wants))
                case "give":
                    counter.give(chance.randrange(4))
                case "leave" if tasks:
                    chance.choice(tasks).cancel()
                case "time":
                    await asyncio.sleep(chance.random())
                case "wake":
                    counter.room.wake("it")
            if chance.random() < 0.7:
                await settle_all(counter)
                assert not (counter.left and counter.room.is_awaited("it"))
        for tenant, came in order.items():
            got = [name for name in counter.taken if name[0] == tenant]
            assert got == [name for name in came if name in got], "first come, first served"
        counter.give(1000)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert counter.room.waiting == 0 and not counter.room.is_awaited("it")

    run(scenario)


async def settle_all(counter: Counter) -> None:
    """Until everything that can happen at this moment has happened."""
    for _ in range(3 * counter.room.waiting + 10):
        await asyncio.sleep(0)
