"""Who is calling: keys of the configuration and of run time, and every way they end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from headgate.errors import (
    Conflict,
    DatabaseUnavailable,
    Forbidden,
    HeadgateError,
    KeyExpired,
    KeyRevoked,
    NotFound,
    Unauthenticated,
)
from headgate.gateway.accounts import REFRESH_SECONDS, Accounts, NewKey, config_key, digest
from headgate.sim.clock import SimClock
from headgate.sim.loop import run_virtual
from headgate.stores.memory import MemoryKeyStore
from headgate.types import Caller, KeyRecord, Tier

FILE_SECRET = "hg-acme-alice-0001"
TIERS = {"pro": Tier("pro", frozenset({"*"})), "free": Tier("free", frozenset({"small"}))}
FILE_KEY = config_key(FILE_SECRET, tenant="acme", tier="pro", user="alice", name="laptop")
NEW = NewKey(tenant="hobby", tier="free", user="carol", name="phone")


class FlakyKeyStore(MemoryKeyStore):
    """A key store that can be away. `reads` counts how often all keys were read."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.reads = 0

    async def version(self) -> int:
        if self.away:
            raise DatabaseUnavailable("The database does not answer.")
        return await super().version()

    async def all(self) -> list[KeyRecord]:
        self.reads += 1
        return await super().all()


class Office:
    """Accounts on a memory store, with the file's key."""

    def __init__(self, keys: Sequence[KeyRecord] = (FILE_KEY,), anonymous: Caller | None = None) -> None:
        self.clock = SimClock(asyncio.get_running_loop(), 1)
        self.store = FlakyKeyStore()
        self.accounts = self.another()
        self.accounts.configure(keys, TIERS, anonymous)

    def another(self) -> Accounts:
        """The same keys, seen by another process."""
        accounts = Accounts(self.store, self.clock)
        accounts.configure([FILE_KEY], TIERS, None)
        return accounts

    def refusal(self, secret: str | None) -> type[HeadgateError] | None:
        try:
            self.accounts.authenticate(secret.encode() if secret is not None else None)
        except HeadgateError as error:
            assert not secret or secret not in error.message, "no error tells a key"
            return type(error)
        return None


def test_a_key_of_the_file() -> None:
    async def scenario() -> None:
        office = Office()
        caller = office.accounts.authenticate(FILE_SECRET.encode())
        assert (caller.tenant, caller.user, caller.tier, caller.key_id) == ("acme", "alice", TIERS["pro"], FILE_KEY.id)
        assert office.refusal(None) is Unauthenticated
        assert office.refusal("hg-unknown") is DatabaseUnavailable, "it may be a key that was made at run time"
        await office.accounts.refresh()
        assert {office.refusal(secret) for secret in ("hg-unknown", "", "\xff")} == {Unauthenticated}

    run_virtual(scenario())


def test_keys_are_kept_hashed() -> None:
    async def scenario() -> None:
        office = Office()
        secret, record = await office.accounts.create(NEW)
        assert secret.startswith("hg-") and len(secret) > 30
        assert record.hash == digest(secret) and record.hint == secret[-4:]
        assert secret not in repr(await office.store.all()) and secret not in repr(office.accounts.keys())
        assert FILE_SECRET not in repr(office.accounts.keys())

    run_virtual(scenario())


def test_a_new_key_works_at_once_here_and_soon_elsewhere() -> None:
    async def scenario() -> None:
        office = Office()
        elsewhere = office.another()
        keeping = asyncio.create_task(elsewhere.keep_fresh())
        secret, record = await office.accounts.create(NEW)
        assert office.accounts.authenticate(secret.encode()).key_id == record.id
        await asyncio.sleep(REFRESH_SECONDS)
        await asyncio.sleep(0)
        caller = elsewhere.authenticate(secret.encode())
        assert (caller.tenant, caller.user, caller.tier) == ("hobby", "carol", TIERS["free"])
        await office.accounts.revoke(record.id)
        await asyncio.sleep(2 * REFRESH_SECONDS)
        with pytest.raises(KeyRevoked):
            elsewhere.authenticate(secret.encode())
        keeping.cancel()

    run_virtual(scenario())


def test_a_key_needs_a_tier_there_is() -> None:
    async def scenario() -> None:
        with pytest.raises(NotFound, match="pro, free"):
            await Office().accounts.create(NewKey(tenant="x", tier="gold"))

    run_virtual(scenario())


def test_a_revoked_key_stays_revoked() -> None:
    async def scenario() -> None:
        office = Office()
        secret, record = await office.accounts.create(NEW)
        first = await office.accounts.revoke(record.id)
        await asyncio.sleep(5.0)
        assert (await office.accounts.revoke(record.id)).revoked_at == first.revoked_at
        assert office.refusal(secret) is KeyRevoked
        with pytest.raises(NotFound):
            await office.accounts.revoke("key_unknown")

    run_virtual(scenario())


def test_a_key_expires_to_the_second_and_can_be_given_more_time() -> None:
    async def scenario() -> None:
        office = Office()
        secret, record = await office.accounts.create(NEW)
        await office.accounts.expire(record.id, office.clock.now() + 10)
        assert office.refusal(secret) is None
        await asyncio.sleep(10.0)
        assert office.refusal(secret) is KeyExpired
        await office.accounts.expire(record.id, None)
        assert office.refusal(secret) is None

    run_virtual(scenario())


def test_a_rotated_key_and_the_new_one_overlap() -> None:
    async def scenario() -> None:
        office = Office()
        old, record = await office.accounts.create(NEW)
        new, copy = await office.accounts.rotate(record.id, overlap_seconds=60)
        assert (copy.tenant, copy.tier, copy.user, copy.name) == (record.tenant, record.tier, record.user, record.name)
        assert office.refusal(old) is office.refusal(new) is None
        await asyncio.sleep(60.0)
        assert office.refusal(old) is KeyExpired and office.refusal(new) is None

    run_virtual(scenario())


def test_rotating_never_lets_the_old_key_live_longer() -> None:
    async def scenario() -> None:
        office = Office()
        ends = office.clock.now() + 30
        old, record = await office.accounts.create(NewKey(tenant="hobby", tier="free", expires_at=ends))
        _, copy = await office.accounts.rotate(record.id, overlap_seconds=3600)
        assert copy.expires_at == ends
        await asyncio.sleep(30.0)
        assert office.refusal(old) is KeyExpired
        with pytest.raises(Conflict, match="expired"):
            await office.accounts.rotate(record.id, overlap_seconds=3600)

    run_virtual(scenario())


def test_a_revoked_or_unknown_key_is_not_rotated() -> None:
    async def scenario() -> None:
        office = Office()
        _, record = await office.accounts.create(NEW)
        await office.accounts.revoke(record.id)
        with pytest.raises(Conflict, match="revoked"):
            await office.accounts.rotate(record.id, overlap_seconds=60)
        with pytest.raises(NotFound):
            await office.accounts.rotate("key_unknown", overlap_seconds=60)

    run_virtual(scenario())


# --- keys of the file that are changed at run time ---


def test_a_key_of_the_file_is_revoked_for_good_and_everywhere() -> None:
    async def scenario() -> None:
        office = Office()
        revoked = await office.accounts.revoke(FILE_KEY.id)
        assert revoked.id == FILE_KEY.id and revoked.source == "config"
        assert office.refusal(FILE_SECRET) is KeyRevoked
        office.accounts.configure([FILE_KEY], TIERS, None)
        assert office.refusal(FILE_SECRET) is KeyRevoked, "a reload does not bring it back"
        restarted = office.another()
        await restarted.refresh()
        with pytest.raises(KeyRevoked):
            restarted.authenticate(FILE_SECRET.encode())
        listed = office.accounts.keys()
        assert [key.id for key in listed] == [FILE_KEY.id], "one key, listed once"

    run_virtual(scenario())


def test_what_the_file_says_of_an_adopted_key_still_holds() -> None:
    async def scenario() -> None:
        office = Office()
        await office.accounts.expire(FILE_KEY.id, office.clock.now() + 100)
        moved = config_key(FILE_SECRET, tenant="other", tier="free", user=None, name="")
        office.accounts.configure([moved], TIERS, None)
        caller = office.accounts.authenticate(FILE_SECRET.encode())
        assert (caller.tenant, caller.user, caller.tier) == ("other", None, TIERS["free"])
        await asyncio.sleep(100.0)
        assert office.refusal(FILE_SECRET) is KeyExpired

    run_virtual(scenario())


def test_a_key_that_left_the_file_has_left() -> None:
    async def scenario() -> None:
        office = Office()
        await office.accounts.expire(FILE_KEY.id, None)
        office.accounts.configure([], TIERS, None)
        assert office.refusal(FILE_SECRET) is Unauthenticated and office.accounts.keys() == []

    run_virtual(scenario())


def test_rotating_a_key_of_the_file() -> None:
    async def scenario() -> None:
        office = Office()
        new, record = await office.accounts.rotate(FILE_KEY.id, overlap_seconds=60)
        assert record.source == "runtime" and office.refusal(new) is None
        await asyncio.sleep(60.0)
        assert office.refusal(FILE_SECRET) is KeyExpired

    run_virtual(scenario())


def test_a_tier_that_is_gone_forbids_and_one_that_returns_allows() -> None:
    async def scenario() -> None:
        office = Office()
        secret, _ = await office.accounts.create(NEW)
        office.accounts.configure([FILE_KEY], {"pro": TIERS["pro"]}, None)
        assert office.refusal(secret) is Forbidden
        office.accounts.configure([FILE_KEY], TIERS, None)
        assert office.refusal(secret) is None

    run_virtual(scenario())


# --- without authentication, and without a database ---


def test_anonymous_callers_when_authentication_is_off() -> None:
    async def scenario() -> None:
        anonymous = Caller("", "anonymous", None, TIERS["free"])
        office = Office(anonymous=anonymous)
        assert office.accounts.authenticate(None) == office.accounts.authenticate(b"sk-anything") == anonymous
        assert office.accounts.authenticate(FILE_SECRET.encode()).tenant == "acme"

    run_virtual(scenario())


def test_a_store_that_is_away_leaves_the_last_directory_in_place() -> None:
    async def scenario() -> None:
        office = Office()
        assert not office.accounts.loaded
        secret, _ = await office.accounts.create(NEW)
        assert office.accounts.loaded
        office.store.away = True
        keeping = asyncio.create_task(office.accounts.keep_fresh())
        await asyncio.sleep(60.0)
        assert office.refusal(secret) is office.refusal(FILE_SECRET) is None
        with pytest.raises(DatabaseUnavailable):
            await office.accounts.create(NEW)
        office.store.away = False
        later = await office.another().create(NEW)
        await asyncio.sleep(2 * REFRESH_SECONDS)
        assert office.refusal(later[0]) is None, "it is asked again"
        keeping.cancel()

    run_virtual(scenario())


def test_keys_are_read_only_when_they_changed() -> None:
    async def scenario() -> None:
        office = Office()
        keeping = asyncio.create_task(office.accounts.keep_fresh())
        await asyncio.sleep(60.0)
        assert office.store.reads == 1
        keeping.cancel()

    run_virtual(scenario())
