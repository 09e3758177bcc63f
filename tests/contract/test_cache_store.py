"""What every store of answers must do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from headgate.cache_types import CachedAnswer, CacheScope, CacheSize
from headgate.errors import StoreUnavailable
from headgate.ports import CacheStore
from headgate.stores.memory_cache import MemoryCache
from headgate.stores.redis.cache import RedisCache
from tests.servers import RedisServer

MAX_ENTRY_BYTES = 10_000


class Time:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0


Check = Callable[[CacheStore, Time], Awaitable[None]]


def kept(key: bytes = b"k1", /, **members: object) -> CachedAnswer:
    usual = CachedAnswer(
        key=key.ljust(24, b"."),
        request_id="req_" + key.decode(),
        tenant="acme",
        user="alice",
        model="small",
        prompt_version=None,
        route="chat/completions",
        stream=False,
        answered_by="small",
        origin="0a1b",
        deployment="up/model",
        provider="up",
        stored_at=1_700_000_000.0,
        expires_at=1_700_000_060.0,
        cost_picousd=82_000_000,
        body=b'{"choices": []}',
        tail=b"data: [DONE]\n\n",
    )
    return msgspec.structs.replace(usual, **members)


async def size_of(store: CacheStore) -> CacheSize:
    """What is known of it, once it has had time to find out."""
    store.size()
    await store.get(b"nothing".ljust(24))
    return store.size()


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.server)])
def run(request: pytest.FixtureRequest) -> Callable[[Check], None]:
    """Runs a check on an empty store."""

    def run_on(check: Check) -> None:
        async def main() -> None:
            time = Time()
            sizes = {"max_entries": 100, "max_bytes": 1_000_000, "max_entry_bytes": MAX_ENTRY_BYTES}
            store: MemoryCache | RedisCache = MemoryCache(lambda: time.now, **sizes)
            if request.param == "redis":
                server: RedisServer = request.getfixturevalue("redis_server")
                store = RedisCache(server.url, lambda: time.now, **sizes, limit_seconds=60.0)
                await store.start()
            try:
                await check(store, time)
            finally:
                await store.aclose()

        asyncio.run(main())

    return run_on


def test_what_was_put_is_there_as_it_was(run: Callable[[Check], None]) -> None:
    async def check(store: CacheStore, time: Time) -> None:
        answer = kept(b"k1", body=bytes(range(256)), prompt_version="v1", user=None, stream=True)
        assert await store.get(answer.key) is None
        store.put(answer)
        assert await store.get(answer.key) == answer
        assert await store.find(answer.request_id) == answer
        assert await store.find("req_unknown") is None
        assert await store.get_all([b"nothing".ljust(24), answer.key]) == [None, answer]
        assert (await size_of(store)).entries == 1

    run(check)


def test_an_answer_takes_the_place_of_an_older_one(run: Callable[[Check], None]) -> None:
    async def check(store: CacheStore, time: Time) -> None:
        store.put(kept(body=b"old"))
        before = await size_of(store)
        newer = kept(body=b"new", request_id="req_newer")
        store.put(newer)
        assert await store.get(newer.key) == newer
        assert await store.find("req_k1") is None
        assert await size_of(store) == before

    run(check)


def test_answers_expire(run: Callable[[Check], None]) -> None:
    async def check(store: CacheStore, time: Time) -> None:
        store.put(kept(b"k1"))
        store.put(kept(b"k2", expires_at=time.now + 120))
        store.put(kept(b"k3", expires_at=time.now))
        assert (await size_of(store)).entries == 2
        time.now += 60
        assert await store.get(kept(b"k1").key) is None
        assert await store.find("req_k1") is None
        assert await store.get(kept(b"k2").key) is not None
        assert (await size_of(store)).entries == 1

    run(check)


def test_what_is_too_large_is_not_kept(run: Callable[[Check], None]) -> None:
    async def check(store: CacheStore, time: Time) -> None:
        store.put(kept(b"k1", body=b"x" * MAX_ENTRY_BYTES, tail=b""))
        store.put(kept(b"k2", body=b"x" * MAX_ENTRY_BYTES, tail=b"y"))
        assert await store.get(kept(b"k1").key) is not None
        assert await store.get(kept(b"k2").key) is None

    run(check)


@pytest.mark.parametrize(
    "scope, left",
    [
        (CacheScope(), ""),
        (CacheScope(tenant="acme"), "56"),
        (CacheScope(model="small"), "46"),
        (CacheScope(model="auto"), "12356"),
        (CacheScope(prompt_version="v1"), "13456"),
        (CacheScope(tenant="acme", prompt_version="v2"), "12456"),
        (CacheScope(tenant="nobody"), "123456"),
        (CacheScope(tenant="acme", user="alice"), "256"),
        (CacheScope(tenant="other", user="alice"), "12346"),
        (CacheScope(tenant="acme", user="bob"), "13456"),
    ],
)
def test_flush(run: Callable[[Check], None], scope: CacheScope, left: str) -> None:
    async def check(store: CacheStore, time: Time) -> None:
        answers = {
            "1": kept(b"1"),
            "2": kept(b"2", prompt_version="v1", user="bob"),
            "3": kept(b"3", prompt_version="v2"),
            "4": kept(b"4", model="auto", answered_by="large"),
            "5": kept(b"5", tenant="other"),
            "6": kept(b"6", tenant="other", user=None, model="large", answered_by="large"),
        }
        for answer in answers.values():
            store.put(answer)
        dropped = await store.flush(scope)
        there = [name for name, answer in answers.items() if await store.get(answer.key) == answer]
        assert "".join(there) == left
        assert dropped == len(answers) - len(left)
        assert (await size_of(store)).entries == len(left)

    run(check)


def test_what_saves_least_goes_first(run: Callable[[Check], None]) -> None:
    async def check(store: CacheStore, time: Time) -> None:
        store.put(kept(b"dear", cost_picousd=10**12))
        store.put(kept(b"asked_for", cost_picousd=10**9))
        for _ in range(30):
            await store.get(kept(b"asked_for").key)
        for number in range(300):
            store.put(kept(f"cheap{number}".encode(), cost_picousd=10**9))
        assert await store.get(kept(b"dear").key) is not None
        assert await store.get(kept(b"asked_for").key) is not None
        assert await store.get(kept(b"cheap0").key) is None
        assert await store.get(kept(b"cheap299").key) is not None
        size = await size_of(store)
        assert (size.entries, size.evicted) == (100, 202)

    run(check)


def test_bytes_are_bounded_too(run: Callable[[Check], None]) -> None:
    async def check(store: CacheStore, time: Time) -> None:
        store.put(kept(b"large", body=b"x" * MAX_ENTRY_BYTES, tail=b"", expires_at=time.now + 30))
        for number in range(95):
            store.put(kept(f"k{number}".encode(), body=b"x" * MAX_ENTRY_BYTES, tail=b""))
        size = await size_of(store)
        assert 900_000 < size.bytes <= 1_000_000
        assert size.evicted == 96 - size.entries
        time.now += 60
        size = await size_of(store)
        assert (size.entries, size.bytes) == (0, 0)

    run(check)


def test_what_was_given_up_grows_old(run: Callable[[Check], None]) -> None:
    """An answer that was asked for often, long ago, makes room for those that are asked for now."""

    async def check(store: CacheStore, time: Time) -> None:
        store.put(kept(b"fashion", cost_picousd=10**9))
        for _ in range(5):
            await store.get(kept(b"fashion").key)
        for number in range(2_000):
            new = kept(f"new{number}".encode(), cost_picousd=10**9)
            store.put(new)
            await store.get(new.key)
        assert await store.get(kept(b"fashion").key) is None

    run(check)


def test_what_comes_after_a_flush_is_kept(run: Callable[[Check], None]) -> None:
    async def check(store: CacheStore, time: Time) -> None:
        store.put(kept())
        await store.flush(CacheScope(tenant="acme"))
        store.put(kept(body=b"again"))
        found = await store.get(kept().key)
        assert found is not None and found.body == b"again"

    run(check)


def test_a_server_that_is_away_has_nothing_and_raises_nothing() -> None:
    async def check() -> None:
        sizes = {"max_entries": 100, "max_bytes": 1_000_000, "max_entry_bytes": MAX_ENTRY_BYTES}
        store = RedisCache("redis://127.0.0.1:1/0", lambda: 1_700_000_000.0, **sizes)
        store.put(kept())
        assert await store.get(kept().key) is None
        with pytest.raises(StoreUnavailable):
            await store.flush(CacheScope())
        with pytest.raises(StoreUnavailable):
            await store.find("req_k1")
        assert store.size().entries == 0
        await store.aclose()

    asyncio.run(check())
