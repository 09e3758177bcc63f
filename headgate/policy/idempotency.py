"""What an idempotency key stands for, and what a request that is sent with one may be told."""

from __future__ import annotations

import hashlib
from enum import Enum, auto

import msgspec

from headgate.idempotency_types import KeyedRequest, KeyedResult, OnUnknown
from headgate.types import Call, Caller

LONGEST_KEY = 255  # characters
_encoder = msgspec.json.Encoder(order="deterministic")


class Standing(Enum):
    """How a key that another request has taken stands."""

    OTHER_CONTENT = auto()  # that request asked for something else
    DONE = auto()
    NOT_KEPT = auto()  # done, and the result is gone
    UNDER_WAY = auto()
    LOST = auto()  # its process died; it may be asked again
    UNKNOWN = auto()  # its process died, and nobody may ask again


def key_of(call: Call, caller: Caller) -> bytes:
    """Of a tenant and route: nobody else's key is the same, whatever its name."""
    return _digest(caller.tenant.encode(), call.route.encode(), (call.idempotency_key or "").encode())


def content_of(call: Call) -> bytes:
    """What is asked, whatever the order of its members and the white space between them.

    An appeal asks for another answer than the request that it is against, though its body is the same.
    """
    raw = msgspec.json.encode(call.fields)
    appeal = () if call.appeal is None else (call.appeal.encode(),)
    try:
        return _digest(_encoder.encode(msgspec.json.decode(raw)), *appeal)
    except (ValueError, RecursionError):
        return _digest(raw, *appeal)


def standing(found: KeyedRequest, content: bytes, on_unknown: OnUnknown, now: float) -> Standing:
    """Of a key that was found taken, for a request that asks for `content`."""
    if found.content != content:
        return Standing.OTHER_CONTENT
    if found.result is not None:
        return Standing.NOT_KEPT if found.result.is_left_out else Standing.DONE
    if found.alive_until >= now:
        return Standing.UNDER_WAY
    return Standing.LOST if on_unknown is OnUnknown.RETRY else Standing.UNKNOWN


def fits(result: KeyedResult, most_bytes: int) -> bool:
    """Whether a result is short enough to be kept."""
    return len(result.body) + len(result.tail) <= most_bytes


def _digest(*parts: bytes) -> bytes:
    """Each part after its length, so that no two lists of parts are the same bytes."""
    return hashlib.sha256(b"".join([b"%d:%b" % (len(part), part) for part in parts])).digest()
