"""What run-time commands changed against the configuration file: it wins over the file and survives restarts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from headgate.admin.settings import Settings
from headgate.config.effective import value_in
from headgate.types import Frozen, KeyRecord


class Change(Frozen, frozen=True):
    """One thing that is not as the file says. `at` is Unix seconds: when it happened, or will (`expires`)."""

    change: Literal["created", "revoked", "expires"]
    key_id: str
    tenant: str
    tier: str
    name: str
    at: float


class SettingChange(Frozen, frozen=True):
    """A limit, budget or other setting of a tier or tenant that is not as the file says. `at` is Unix seconds."""

    change: Literal["set"]
    target: str
    name: str
    setting: str
    in_file: msgspec.Raw | None  # null as well if the file has no such tier or tenant
    value: msgspec.Raw
    at: float
    by: str
    ignored: str  # why it has no effect, if it has none: the file has moved on


def setting_difference(settings: Settings) -> list[SettingChange]:
    """The settings that were changed at run time, the last one last."""
    changes = []
    for change in settings.changes:
        in_file = value_in(settings.file, change.setting)
        changes.append(
            SettingChange(
                change="set",
                target=change.setting.target,
                name=change.setting.name,
                setting=change.setting.path,
                in_file=None if in_file is None else msgspec.Raw(in_file.encode()),
                value=msgspec.Raw(change.value.encode()),
                at=change.at,
                by=change.by,
                ignored=settings.in_force.reason(change.setting),
            )
        )
    return changes


def difference(keys: Sequence[KeyRecord]) -> list[Change]:
    """The changes that stand in the way between the file and what is in force. Keys made and revoked since are none."""
    changes = []
    for key in keys:
        if key.source != "config" and key.revoked_at is None:
            changes.append(_change("created", key, key.created_at))
        if key.source == "config" and key.revoked_at is not None:
            changes.append(_change("revoked", key, key.revoked_at))
        elif key.source == "config" and key.expires_at is not None:
            changes.append(_change("expires", key, key.expires_at))
    return changes


def _change(change: Literal["created", "revoked", "expires"], key: KeyRecord, at: float) -> Change:
    return Change(change=change, key_id=key.id, tenant=key.tenant, tier=key.tier, name=key.name, at=at)
