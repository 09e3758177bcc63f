"""Virtual keys as operators see and change them. The admin API and the command line both come in here."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from headgate.admin.audit import Auditor, auditor
from headgate.admin.endpoint import Input, Name, Nothing, Text, Visit
from headgate.admin.moments import LATEST, UnixSeconds
from headgate.config.schema import Config
from headgate.errors import InvalidRequest, NotFound
from headgate.gateway.accounts import Accounts, NewKey
from headgate.ports import Clock
from headgate.types import Frozen, KeyRecord

DAY_SECONDS = 86_400.0

Seconds = Annotated[float, msgspec.Meta(gt=0, le=LATEST)]


class CreateKey(Input, frozen=True):
    """Make a virtual key. A tenant that is not in the configuration is made by naming a tier."""

    tenant: Name
    user: Name | None = None
    tier: Name | None = None  # default: the tenant's
    name: Text = ""
    expires_at: UnixSeconds | None = None
    expires_in_seconds: Seconds | None = None


class KeyId(Input, frozen=True):
    """Which key."""

    key_id: Text


class RevokeKey(KeyId, frozen=True):
    """End a key now. Doing it again changes nothing."""


class ExpireKey(KeyId, frozen=True):
    """Set when a key ends; null: never."""

    expires_at: UnixSeconds | None


class RotateKey(KeyId, frozen=True):
    """Make a new key like this one, which goes on working for the overlap."""

    overlap_seconds: Annotated[float, msgspec.Meta(ge=0, le=LATEST)] = DAY_SECONDS


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A virtual key without its secret. Times are Unix seconds."""

    id: str
    tenant: str
    user: str | None
    tier: str
    name: str
    hint: str  # the last four characters
    state: Literal["active", "expired", "revoked"]
    source: Literal["runtime", "config"]  # config: it stands in the configuration
    created_at: float | None
    expires_at: float | None
    revoked_at: float | None


class CreatedKey(Key, frozen=True, kw_only=True):
    """A key just made: `key` is the secret, shown this once and kept nowhere."""

    key: str


class KeyList(Frozen, frozen=True):
    """All keys, those of the configuration first."""

    data: list[Key]


class KeyDesk:
    """Carries out commands on keys and has them written to the audit trail. `config` is the one in force.

    Every command raises DatabaseUnavailable if the database does not answer.
    """

    def __init__(self, accounts: Accounts, config: Config, clock: Clock, auditor: Auditor) -> None:
        self._accounts = accounts
        self._config = config
        self._clock = clock
        self._auditor = auditor

    def all(self) -> KeyList:
        """Every key, revoked and expired ones too."""
        records = self._accounts.keys()
        return KeyList([self._view(record) for record in records])

    def get(self, key_id: str) -> Key:
        """Raises NotFound."""
        for key in self.all().data:
            if key.id == key_id:
                return key
        raise NotFound(f"There is no key '{key_id}'. GET /admin/keys lists them all.", param="key_id")

    async def create(self, command: CreateKey) -> CreatedKey:
        """Raises InvalidRequest, or NotFound for a tier that is not configured."""
        secret, record = await self._accounts.create(self._new_key(command))
        return await self._created(command, secret, record)

    async def revoke(self, command: RevokeKey) -> Key:
        """Raises NotFound."""
        before = self._before(command.key_id)
        record = await self._accounts.revoke(command.key_id)
        return await self._changed(command, record, before)

    async def expire(self, command: ExpireKey) -> Key:
        """Raises NotFound."""
        before = self._before(command.key_id)
        record = await self._accounts.expire(command.key_id, command.expires_at)
        return await self._changed(command, record, before)

    async def expire_in(self, key_id: str, seconds: float | None) -> Key:
        """As `expire`, counted from now."""
        at = None if seconds is None else self._clock.now() + seconds
        return await self.expire(ExpireKey(key_id=key_id, expires_at=at))

    async def rotate(self, command: RotateKey) -> CreatedKey:
        """Raises NotFound, or Conflict for a revoked key."""
        secret, record = await self._accounts.rotate(command.key_id, overlap_seconds=command.overlap_seconds)
        return await self._created(command, secret, record)

    def _new_key(self, command: CreateKey) -> NewKey:
        """What to make, with what the command leaves out filled in."""
        now, expires_at = self._clock.now(), command.expires_at
        if command.expires_in_seconds is not None:
            if expires_at is not None:
                raise InvalidRequest("Give either expires_at or expires_in_seconds, not both.", param="expires_at")
            expires_at = now + command.expires_in_seconds
        if expires_at is not None and expires_at <= now:
            raise InvalidRequest("expires_at lies in the past: the key would never work.", param="expires_at")
        tenant = self._config.tenants.get(command.tenant)
        tier = command.tier or (tenant.tier if tenant else None)
        if tier is None:
            raise InvalidRequest(
                f"The tenant '{command.tenant}' is not in the configuration, so say which tier the key gets: "
                f"{', '.join(self._config.tiers) or 'none is configured'}.",
                param="tier",
            )
        return NewKey(
            tenant=command.tenant,
            tier=tier,
            user=command.user,
            name=command.name,
            expires_at=expires_at,
            follows_tenant=command.tier is None,
        )

    async def _created(self, command: Input, secret: str, record: KeyRecord) -> CreatedKey:
        key = self.get(record.id)
        await self._auditor.note(command, record.id, after=_json(key))
        return CreatedKey(key=secret, **msgspec.structs.asdict(key))

    async def _changed(self, command: Input, record: KeyRecord, before: str) -> Key:
        key = self.get(record.id)
        await self._auditor.note(command, record.id, before, _json(key))
        return key

    def _before(self, key_id: str) -> str:
        return next((_json(key) for key in self.all().data if key.id == key_id), "")

    def _view(self, record: KeyRecord) -> Key:
        expired = record.expires_at is not None and record.expires_at <= self._clock.now()
        return Key(
            id=record.id,
            tenant=record.tenant,
            user=record.user,
            tier=record.tier,
            name=record.name,
            hint=record.hint,
            state="revoked" if record.revoked_at is not None else "expired" if expired else "active",
            source="config" if record.source == "config" else "runtime",
            created_at=record.created_at or None,
            expires_at=record.expires_at,
            revoked_at=record.revoked_at,
        )


def _json(key: Key) -> str:
    return msgspec.json.encode(key).decode()


def _desk(visit: Visit) -> KeyDesk:
    services = visit.services
    return KeyDesk(services.accounts, services.settings.in_force.config, services.clock, auditor(visit))


async def list_keys(visit: Visit, _: Nothing) -> KeyList:
    """All virtual keys, without their secrets."""
    return _desk(visit).all()


async def get_key(visit: Visit, wanted: KeyId) -> Key:
    """One virtual key, without its secret."""
    return _desk(visit).get(wanted.key_id)


async def create_key(visit: Visit, command: CreateKey) -> CreatedKey:
    """Make a virtual key. Its secret is in this answer and nowhere else."""
    return await _desk(visit).create(command)


async def revoke_key(visit: Visit, command: RevokeKey) -> Key:
    """End a key now. It stops working in every worker within 2 seconds."""
    return await _desk(visit).revoke(command)


async def expire_key(visit: Visit, command: ExpireKey) -> Key:
    """Set when a key ends, or with null that it does not."""
    return await _desk(visit).expire(command)


async def rotate_key(visit: Visit, command: RotateKey) -> CreatedKey:
    """Make a key like another one, which ends after the overlap."""
    return await _desk(visit).rotate(command)
