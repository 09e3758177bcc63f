"""Signatures of webhooks as Standard Webhooks 1.0 describes them, symmetric kind.

Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md, "Signature scheme".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

SECRET_PREFIX = "whsec_"


def secret_bytes(secret: str) -> bytes:
    """The key in a secret: base64, with or without padding, after `whsec_`; else the characters themselves."""
    text = secret.removeprefix(SECRET_PREFIX)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return text.encode()


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`. `timestamp` is Unix seconds."""
    signed = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def signed_headers(key: bytes, message_id: str, timestamp: int, body: bytes) -> tuple[tuple[str, str], ...]:
    """The headers that a receiver checks; without a key there is no signature among them."""
    headers = (("webhook-id", message_id), ("webhook-timestamp", str(timestamp)))
    return (*headers, ("webhook-signature", signature(key, message_id, timestamp, body))) if key else headers
