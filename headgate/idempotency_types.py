"""The vocabulary of idempotency keys: what is remembered of a request that was sent with one."""

from __future__ import annotations

from enum import StrEnum

from headgate.types import Frozen, Usage

SECONDS_PER_HOUR = 3600.0


class OnUnknown(StrEnum):
    """What becomes of a key whose request was under way when its process died."""

    RETRY = "retry"  # the next one with the key is answered by a provider again, and the lost one is not charged
    REFUSE = "refuse"  # the next one is told that nobody knows, and the lost one is charged


class IdempotencyRules(Frozen, frozen=True, gc=False):
    """How keys are treated."""

    keep_hours: float = 24.0
    max_result_bytes: int = 1_000_000
    on_unknown: OnUnknown = OnUnknown.RETRY


class KeyedResult(Frozen, frozen=True, gc=False, array_like=True):
    """What the client of a finished request was sent. Written by position: later releases add fields at the end.

    `body` is a JSON answer, or a stream but for its end, which is `tail`. `is_left_out`: the result is not kept.
    """

    stream: bool
    model: str  # the public name that answered
    provider: str
    deployment: str
    finished_at: float  # Unix seconds
    body: bytes = b""
    tail: bytes = b""
    is_left_out: bool = False
    usage: Usage = Usage()  # of the attempt that answered, if its provider reported it


class KeyedRequest(Frozen, frozen=True, gc=False):
    """A key that is taken. Digests of 32 bytes, times in Unix seconds."""

    key: bytes  # of tenant, route and the key as it was sent
    content: bytes  # of what was asked: another request with the same key is refused
    request_id: str  # whose key it is now
    owner: str  # the process that runs it
    alive_until: float  # when it has to be thought dead
    expires_at: float  # when the key is forgotten
    result: KeyedResult | None = None  # None: under way
