"""Authenticate: who is calling. Keys of the configuration and keys made at run time, in one directory in memory.

The directory is refreshed from the key store a few times a second, so that a key revoked anywhere stops working
everywhere within 2 seconds. A store that is away leaves the last directory in place.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from headgate.errors import Conflict, DatabaseUnavailable, Forbidden, KeyExpired, KeyRevoked, NotFound, Unauthenticated
from headgate.ports import Clock, KeyStore
from headgate.types import Caller, Frozen, KeyRecord, Tier

REFRESH_SECONDS = 0.5
_KEY_PREFIX = "hg-"
_RANDOM_BYTES = 24
_UNKNOWN_TIER = Tier(name="", models=frozenset())

log = logging.getLogger(__name__)


class NewKey(Frozen, frozen=True):
    """What an operator asks for. `expires_at` is Unix seconds."""

    tenant: str
    tier: str
    user: str | None = None
    name: str = ""
    expires_at: float | None = None
    follows_tenant: bool = False  # the tier is the tenant's, and changes with it


class Terms(Frozen, frozen=True):
    """What a tenant has of its own. `tiers` are those in which its own limits stand in place of the tier's, by name."""

    tier: str = ""  # of keys that have none of their own
    timezone: str = "UTC"
    tiers: Mapping[str, Tier] = {}


_USUAL_TERMS = Terms()
_NO_TERMS: Mapping[str, Terms] = MappingProxyType({})


def digest(secret: str | bytes) -> str:
    """How a key is stored and looked up."""
    return hashlib.sha256(secret.encode() if isinstance(secret, str) else secret).hexdigest()


def config_key(secret: str, *, tenant: str, tier: str, user: str | None, name: str) -> KeyRecord:
    """The record of a key that stands in the configuration; its id follows from the key: the same everywhere."""
    hashed = digest(secret)
    return KeyRecord(
        id=f"key_{hashed[:16]}",
        hash=hashed,
        hint=secret[-4:],
        tenant=tenant,
        tier=tier,
        user=user,
        name=name,
        source="config",
    )


class Accounts:
    """The directory of callers, and the commands that change it."""

    def __init__(self, store: KeyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._configured: dict[str, KeyRecord] = {}
        self._tiers: Mapping[str, Tier] = {}
        self._terms: Mapping[str, Terms] = _NO_TERMS
        self._anonymous: Caller | None = None
        self._runtime: list[KeyRecord] = []
        self._version: int | None = None
        self.last_error = ""  # why the key store did not answer the last time it was asked; empty when it did
        self._callers: dict[str, tuple[KeyRecord, Caller]] = {}
        self._keys: dict[str, KeyRecord] = {}
        self._by_id: dict[str, KeyRecord] = {}

    @property
    def loaded(self) -> bool:
        """Whether the key store has answered once."""
        return self._version is not None

    def configure(
        self,
        keys: Iterable[KeyRecord],
        tiers: Mapping[str, Tier],
        anonymous: Caller | None,
        terms: Mapping[str, Terms] = _NO_TERMS,
    ) -> None:
        """Take the keys and tiers of a configuration, and what its tenants have of their own, by their names."""
        self._configured = {key.hash: key for key in keys}
        self._tiers, self._anonymous, self._terms = tiers, anonymous, terms
        self._rebuild()

    def authenticate(self, secret: bytes | None) -> Caller:
        """Raises Unauthenticated, KeyRevoked, KeyExpired, Forbidden if the key's tier is not configured any more, or
        DatabaseUnavailable for a key that is not in the file before the key store has answered."""
        if secret is None:
            if self._anonymous is not None:
                return self._anonymous
            raise Unauthenticated(
                "No API key was sent. Send it as 'authorization: Bearer hg-...' or 'x-api-key: hg-...'."
            )
        found = self._callers.get(digest(secret))
        if found is None:
            if self._anonymous is not None:
                return self._anonymous
            if not self.loaded:
                raise DatabaseUnavailable(
                    "Keys cannot be looked up yet, because the database has not answered. Try again.",
                    retry_after_seconds=1,
                )
            raise Unauthenticated("The API key is not known here. Ask the operator of this gateway for one.")
        return self._working(*found)

    def holder(self, key_id: str) -> Caller:
        """Whose key it is, for work that is done later: raises what `authenticate` raises."""
        if not key_id and self._anonymous is not None:
            return self._anonymous
        key = self._by_id.get(key_id)
        if key is None:
            raise Unauthenticated(f"The API key {key_id} is not known here any more.")
        return self._working(*self._callers[key.hash])

    def _working(self, key: KeyRecord, caller: Caller) -> Caller:
        if key.revoked_at is not None:
            raise KeyRevoked(f"The API key {key.id} was revoked. Ask the operator of this gateway for a new one.")
        if key.expires_at is not None and key.expires_at <= self._clock.now():
            raise KeyExpired(f"The API key {key.id} has expired. Ask the operator of this gateway for a new one.")
        if caller.tier.name not in self._tiers:
            raise Forbidden(f"The tier '{key.tier}' of key {key.id} is not configured here any more.")
        return caller

    def keys(self) -> list[KeyRecord]:
        """All keys, those of the configuration first."""
        return list(self._keys.values())

    def caller(self, key_id: str) -> Caller:
        """Whoever uses a key, whether it still works or not. Raises NotFound."""
        key = self._find(key_id)
        return self._callers[key.hash][1]

    def representative(self, tenant: str, user: str | None) -> Caller:
        """A tenant or one of its users, with no particular key: in the tenant's tier, or that of its first key.

        Raises NotFound for a tenant that has neither.
        """
        terms = self._terms.get(tenant, _USUAL_TERMS)
        names = [terms.tier, *(key.tier for key in self._keys.values() if key.tenant == tenant)]
        for name in names:
            if name in self._tiers:
                return Caller("", tenant, user, terms.tiers.get(name) or self._tiers[name], terms.timezone)
        raise NotFound(f"There is no tenant '{tenant}' with a tier.", param="tenant")

    async def refresh(self) -> None:
        """Look whether keys changed. Raises DatabaseUnavailable."""
        version = await self._store.version()
        if version != self._version:
            self._runtime = await self._store.all()
            self._version = version
            self._rebuild()

    async def keep_fresh(self) -> None:
        """Refresh for ever; a store that is away is said once and asked again."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await self.refresh()
                self.last_error = ""
            except DatabaseUnavailable as error:
                if not self.last_error:
                    log.warning("keys are not refreshed: %s", error.message)
                self.last_error = error.message

    async def create(self, new: NewKey) -> tuple[str, KeyRecord]:
        """Make a key and return it, once, with its record. Raises NotFound for an unknown tier, DatabaseUnavailable."""
        if new.tier not in self._tiers:
            raise NotFound(
                f"There is no tier '{new.tier}'. Configured: {', '.join(self._tiers) or 'none'}.", param="tier"
            )
        secret = _KEY_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
        record = KeyRecord(
            id=self._clock.new_id("key"),
            hash=digest(secret),
            hint=secret[-4:],
            tenant=new.tenant,
            tier=new.tier,
            user=new.user,
            name=new.name,
            created_at=self._clock.now(),
            expires_at=new.expires_at,
            follows_tenant=new.follows_tenant,
        )
        await self._store.add(record)
        await self.refresh()
        return secret, record

    async def revoke(self, key_id: str) -> KeyRecord:
        """End a key now, one of the configuration too. Raises NotFound, DatabaseUnavailable."""
        await self._adopt(key_id)
        record = await self._store.revoke(key_id, self._clock.now())
        await self.refresh()
        return record

    async def expire(self, key_id: str, at: float | None) -> KeyRecord:
        """Set or clear when a key ends (Unix seconds). Raises NotFound, DatabaseUnavailable."""
        await self._adopt(key_id)
        record = await self._store.expire(key_id, at)
        await self.refresh()
        return record

    async def rotate(self, key_id: str, *, overlap_seconds: float) -> tuple[str, KeyRecord]:
        """Make a key like another one, which ends after the overlap. Raises NotFound, Conflict, DatabaseUnavailable."""
        await self.refresh()
        old = self._find(key_id)
        now = self._clock.now()
        if old.revoked_at is not None:
            raise Conflict(f"The key {key_id} is revoked; create a new one instead.")
        if old.expires_at is not None and old.expires_at <= now:
            raise Conflict(f"The key {key_id} has expired; create a new one instead.")
        made = await self.create(
            NewKey(
                tenant=old.tenant,
                tier=old.tier,
                user=old.user,
                name=old.name,
                expires_at=old.expires_at,
                follows_tenant=old.follows_tenant,
            )
        )
        ends = now + overlap_seconds  # sooner, never later than it would have
        await self.expire(key_id, ends if old.expires_at is None else min(ends, old.expires_at))
        return made

    async def _adopt(self, key_id: str) -> None:
        """A key of the file gets a row of its own before it can be changed: run-time changes win over the file."""
        await self.refresh()
        key = self._find(key_id)
        if key.source == "config" and all(known.id != key_id for known in self._runtime):
            await self._store.add(msgspec.structs.replace(key, created_at=self._clock.now()))

    def _find(self, key_id: str) -> KeyRecord:
        if key_id in self._by_id:
            return self._by_id[key_id]
        raise NotFound(f"There is no key '{key_id}'. `headgate keys list` shows them.", param="key_id")

    def _rebuild(self) -> None:
        keys = dict(self._configured)
        for key in self._runtime:
            configured = self._configured.get(key.hash)
            if configured is not None:  # tenant, user and tier stay the file's
                key = msgspec.structs.replace(configured, revoked_at=key.revoked_at, expires_at=key.expires_at)
            elif key.source == "config":
                continue  # it has left the file, so it has left
            elif key.follows_tenant and key.tenant in self._terms:
                key = msgspec.structs.replace(key, tier=self._terms[key.tenant].tier)
            keys[key.hash] = key
        self._keys = keys
        self._by_id = {key.id: key for key in keys.values()}
        self._callers = {key.hash: (key, self._caller(key)) for key in keys.values()}

    def _caller(self, key: KeyRecord) -> Caller:
        terms = self._terms.get(key.tenant, _USUAL_TERMS)
        tier = terms.tiers.get(key.tier) or self._tiers.get(key.tier, _UNKNOWN_TIER)
        return Caller(key.id, key.tenant, key.user, tier, terms.timezone)
