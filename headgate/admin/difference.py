"""What run-time commands changed against the configuration file: it wins over the file and survives restarts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from headgate.types import Frozen, KeyRecord


class Change(Frozen, frozen=True):
    """One thing that is not as the file says. `at` is Unix seconds: when it happened, or will (`expires`)."""

    change: Literal["created", "revoked", "expires"]
    key_id: str
    tenant: str
    tier: str
    name: str
    at: float


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
