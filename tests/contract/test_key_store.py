"""What every `ports.KeyStore` must do."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from headgate.errors import Conflict, NotFound
from headgate.types import KeyRecord
from tests.contract.stores import Open
from tests.stores.records import key


def test_keys_come_back_oldest_first(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            assert await opened.keys.all() == []
            full = key(1, user="alice", name="laptop", expires_at=5.5, revoked_at=7.5, follows_tenant=True)
            for each in (key(3), full, key(2)):
                await opened.keys.add(each)
            assert await opened.keys.all() == [full, key(2), key(3)]

    asyncio.run(scenario())


@pytest.mark.parametrize("second", [key(1, hash="0" * 64), key(2, hash=key(1).hash)], ids=["same id", "same value"])
def test_a_key_is_added_once(stores: Open, second: KeyRecord) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            await opened.keys.add(key(1))
            version = await opened.keys.version()
            with pytest.raises(Conflict):
                await opened.keys.add(second)
            assert await opened.keys.all() == [key(1)]
            assert await opened.keys.version() == version

    asyncio.run(scenario())


def test_revoking_keeps_the_first_time(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            await opened.keys.add(key(1))
            revoked = msgspec.structs.replace(key(1), revoked_at=100.5)
            assert await opened.keys.revoke("key_1", 100.5) == revoked
            assert await opened.keys.revoke("key_1", 200.0) == revoked
            assert await opened.keys.all() == [revoked]

    asyncio.run(scenario())


def test_an_expiry_is_set_moved_and_cleared(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            await opened.keys.add(key(1))
            for at in (100.5, 50.0, None):
                expected = msgspec.structs.replace(key(1), expires_at=at)
                assert await opened.keys.expire("key_1", at) == expected
                assert await opened.keys.all() == [expected]

    asyncio.run(scenario())


def test_a_key_that_does_not_exist_is_named(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            with pytest.raises(NotFound, match="key_9"):
                await opened.keys.revoke("key_9", 1.0)
            with pytest.raises(NotFound, match="key_9"):
                await opened.keys.expire("key_9", 1.0)

    asyncio.run(scenario())


def test_every_change_shows_in_the_version(stores: Open) -> None:
    async def scenario() -> None:
        async with stores() as opened:
            seen = [await opened.keys.version()]
            await opened.keys.add(key(1))
            seen.append(await opened.keys.version())
            await opened.keys.expire("key_1", 9.0)
            seen.append(await opened.keys.version())
            await opened.keys.revoke("key_1", 9.0)
            seen.append(await opened.keys.version())
            assert len(set(seen)) == len(seen)
            assert await opened.keys.version() == seen[-1]

    asyncio.run(scenario())
