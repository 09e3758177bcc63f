"""Secrets that headgate makes itself: those of webhooks, one for each tenant, and the signature of links to results.

All follow from one random key in the database, so that all processes agree and nothing else is kept.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from headgate.deliveries.settings import Settings
from headgate.delivery_ports import SigningKeys
from headgate.outgoing.signing import SECRET_PREFIX

_KEY_NAME = "deliveries"
_KEY_BYTES = 32
LATEST_DIGITS = 12  # of the time in a link


class Signer:
    """Signs in headgate's name. Raises DatabaseUnavailable until the key was read once."""

    def __init__(self, keys: SigningKeys, settings: Settings) -> None:
        self._keys = keys
        self._settings = settings
        self._key = b""

    async def webhook_secret(self, tenant: str) -> str:
        """What a tenant's webhooks are signed with: `whsec_` and base64, as Standard Webhooks wants it."""
        if chosen := self._settings().secrets.get(tenant):
            return chosen
        return SECRET_PREFIX + base64.b64encode(await self._derived(f"webhooks of {tenant}")).decode()

    async def link_signature(self, job_id: str, expires: int) -> str:
        """Of a link that is good until `expires`, in Unix seconds. To a job's result, if the name is its id alone."""
        return (await self._derived(f"result of {job_id} until {expires}")).hex()

    async def is_good_link(self, job_id: str, expires: str, signature: str, now: float) -> bool:
        """Whether a link is one of ours whose time is not over."""
        if not (expires.isascii() and expires.isdigit() and len(expires) <= LATEST_DIGITS) or int(expires) < now:
            return False
        expected = await self.link_signature(job_id, int(expires))
        return hmac.compare_digest(expected.encode(), signature.encode())

    async def _derived(self, purpose: str) -> bytes:
        self._key = self._key or await self._keys.key(_KEY_NAME, secrets.token_bytes(_KEY_BYTES))
        return hmac.new(self._key, purpose.encode(), hashlib.sha256).digest()
