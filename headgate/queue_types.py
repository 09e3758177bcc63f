"""The vocabulary of queues: messages between processes. Times are Unix seconds."""

from __future__ import annotations

from headgate.types import Frozen

Headers = tuple[tuple[str, str], ...]


class Message(Frozen, frozen=True):
    """A message in a receiver's hands."""

    id: str  # its place in the queue, the same whenever it is delivered; empty if its sender gave an AMQP message none
    body: bytes
    receipt: str  # of this delivery, for the queue it came from
    sent_at: float
    deliveries: int = 1  # with this one, as far as the broker counts them
    dedupe_id: str = ""  # two messages with the same one are the same
    headers: Headers = ()


class QueueBacklog(Frozen, frozen=True, gc=False):
    """What waits in a queue, without what receivers have in their hands."""

    depth: int = 0
    oldest_age_seconds: float | None = 0.0  # 0: nothing waits; None: the broker does not say


class NewDeadLetter(Frozen, frozen=True):
    """A message that could not be used, and why. `source` and `position`: where it came from."""

    source: str
    position: str
    body: bytes
    reason: str


class DeadLetter(Frozen, frozen=True):
    """The same, as it is kept."""

    id: int
    source: str
    position: str
    body: bytes
    reason: str
    at: float
