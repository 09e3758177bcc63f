"""What every `ports.IdempotencyStore` must do."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

import msgspec

from headgate.idempotency_types import KeyedRequest, KeyedResult
from headgate.ports import IdempotencyStore
from tests.contract.stores import Open

NOW = 1_790_000_000.0
KEY, CONTENT = hashlib.sha256(b"key").digest(), hashlib.sha256(b"content").digest()
RESULT = KeyedResult(True, "small", "openai", "openai/gpt-4o-mini", NOW + 1, b"data: \x00\xff\n\n", b"data: [DONE]\n\n")


def request(number: int = 1, *, key: bytes = KEY, owner: str = "process-1") -> KeyedRequest:
    return KeyedRequest(key, CONTENT, f"req_{number}", owner, NOW + 10, NOW + 3600)


def on(stores: Open, scenario: Callable[[IdempotencyStore], Awaitable[None]]) -> None:
    async def run() -> None:
        async with stores() as opened:
            await scenario(opened.idempotency)

    asyncio.run(run())


def test_one_of_many_gets_a_key_and_the_others_learn_whose_it_is(stores: Open) -> None:
    async def scenario(store: IdempotencyStore) -> None:
        found = await asyncio.gather(*(store.claim(request(number), NOW) for number in range(12)))
        assert len(set(found)) == 1
        assert await store.read(KEY) == found[0]
        other = request(99, key=hashlib.sha256(b"other").digest())
        assert await store.claim(other, NOW) == other

    on(stores, scenario)


def test_a_result_is_kept_as_it_is_until_its_time_is_over(stores: Open) -> None:
    async def scenario(store: IdempotencyStore) -> None:
        await store.claim(request(), NOW)
        assert await store.finish(KEY, "req_1", RESULT)
        found = await store.claim(request(2), NOW + 3599)
        assert (found.request_id, found.content, found.result, found.owner) == ("req_1", CONTENT, RESULT, "")
        assert (await store.claim(request(2), NOW + 3600)).request_id == "req_2"

    on(stores, scenario)


def test_only_its_request_changes_a_key_and_only_once(stores: Open) -> None:
    async def scenario(store: IdempotencyStore) -> None:
        await store.claim(request(), NOW)
        assert not await store.finish(KEY, "req_2", RESULT)
        await store.release(KEY, "req_2")
        assert await store.read(KEY) == request()
        assert await store.finish(KEY, "req_1", RESULT)
        assert not await store.finish(KEY, "req_1", msgspec.structs.replace(RESULT, body=b""))
        await store.release(KEY, "req_1")
        found = await store.read(KEY)
        assert found is not None and found.result == RESULT

    on(stores, scenario)


def test_what_came_to_nothing_is_forgotten(stores: Open) -> None:
    async def scenario(store: IdempotencyStore) -> None:
        await store.claim(request(), NOW)
        await store.release(KEY, "req_1")
        assert await store.read(KEY) is None
        assert await store.claim(request(2), NOW) == request(2)

    on(stores, scenario)


def test_one_of_many_takes_over_from_a_dead_process(stores: Open) -> None:
    async def scenario(store: IdempotencyStore) -> None:
        dead = await store.claim(request(), NOW)
        new = [msgspec.structs.replace(request(number), alive_until=NOW + 99) for number in range(2, 8)]
        taken = await asyncio.gather(*(store.take_over(dead, each) for each in new))
        assert sorted(taken) == [False] * 5 + [True]
        assert await store.read(KEY) == new[taken.index(True)]
        assert not await store.finish(KEY, "req_1", RESULT)

    on(stores, scenario)


def test_nobody_takes_over_from_a_process_that_lives_after_all(stores: Open) -> None:
    async def scenario(store: IdempotencyStore) -> None:
        found = await store.claim(request(), NOW)
        await store.keep_alive("process-1", NOW + 20)
        assert not await store.take_over(found, request(2))
        found = await store.claim(request(2), NOW)
        assert found.alive_until == NOW + 20
        await store.finish(KEY, "req_1", RESULT)
        assert not await store.take_over(found, request(2))

    on(stores, scenario)


def test_a_process_keeps_its_own_requests_alive_and_no_others(stores: Open) -> None:
    async def scenario(store: IdempotencyStore) -> None:
        keys = [hashlib.sha256(b"%d" % number).digest() for number in range(3)]
        for number, owner in enumerate(("process-1", "process-1", "process-2")):
            await store.claim(request(number, key=keys[number], owner=owner), NOW)
        await store.finish(keys[1], "req_1", RESULT)
        await store.keep_alive("process-1", NOW + 50)
        found = [await store.read(key) for key in keys]
        assert [one and one.alive_until for one in found] == [NOW + 50, NOW + 10, NOW + 10]

    on(stores, scenario)


def test_keys_whose_time_is_over_are_dropped(stores: Open) -> None:
    async def scenario(store: IdempotencyStore) -> None:
        for number in range(5):
            key = hashlib.sha256(b"%d" % number).digest()
            await store.claim(msgspec.structs.replace(request(number, key=key), expires_at=NOW + number), NOW - 1)
        assert await store.prune(NOW + 2) == 3
        assert await store.prune(NOW + 2) == 0

    on(stores, scenario)
