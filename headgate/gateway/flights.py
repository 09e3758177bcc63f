"""Requests that ask the same at the same time: one of them leads, the others wait for its answer.

A flight begins when a provider is about to be asked for an answer that may be kept, and ends with the answer. Its log
has what the client is sent, from which the followers read and from which the answer is kept. When the leader comes to
nothing, the followers are sent back, and the first of them to look again leads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto

from headgate.errors import HeadgateError
from headgate.gateway.answers import AnswerHead
from headgate.gateway.events import EventLog
from headgate.types import Usage

LOG_BYTES = 4_000_000  # how far a follower may fall behind, and how long a stream may be that is kept


class Landing(Enum):
    """What followers are told."""

    IN_FLIGHT = auto()
    ANSWERED = auto()  # the head is there; of a JSON answer the body too
    FAILED = auto()  # with an error that is theirs too
    SENT_BACK = auto()  # it came to nothing that they could be given


class Flight:
    """One request to a provider, and who waits for it. `failures` counts leaders before it that a provider failed."""

    __slots__ = (
        "_abandoned", "_epoch", "_landed", "_log_bytes", "body", "error", "failures", "followers", "head", "landing",
        "leader_id", "log", "usage",
    )  # fmt: skip

    def __init__(self, leader_id: str, failures: int = 0, log_bytes: int = LOG_BYTES) -> None:
        self.leader_id = leader_id
        self.failures = failures
        self.followers = 0
        self.landing = Landing.IN_FLIGHT
        self.head: AnswerHead | None = None
        self.body = b""
        self.usage = Usage()  # of the answer, once it is whole
        self.error: HeadgateError | None = None
        self.log = EventLog(log_bytes)
        self._log_bytes = log_bytes
        self._epoch = self.log.claim()
        self._landed = asyncio.Event()
        self._abandoned: Callable[[], object] | None = None

    # --- the leader ---

    def write(self, piece: bytes) -> None:
        """A piece of the stream."""
        self.log.append(self._epoch, piece)

    def end(self, error: HeadgateError | None = None) -> None:
        """The stream has ended."""
        if not self.log.closed:
            self.log.close(self._epoch, error)

    def answered(self, head: AnswerHead, body: bytes = b"") -> None:
        """The commit point was reached; `body` is the whole of a JSON answer."""
        self.head, self.body = head, body
        self._land(Landing.ANSWERED)

    def failed(self, error: HeadgateError) -> None:
        """What went wrong would go wrong for everybody."""
        self.error = error
        self._land(Landing.FAILED)

    def sends_back(self) -> None:
        """What becomes of the leader does not concern the followers."""
        self._land(Landing.SENT_BACK)

    def goes_on(self, ahead_bytes: int) -> bool:
        """Whether the stream goes on though the leader's client, so far behind, takes no more: others wait for it."""
        return self.followers > 0 and ahead_bytes < self._log_bytes

    def outlives(self, cancel: Callable[[], object]) -> bool:
        """The leader's client left: whether others still wait. `cancel` is called when the last of them has left."""
        if self.followers:
            self._abandoned = cancel
        return self.followers > 0

    # --- the followers ---

    @property
    def can_be_joined(self) -> bool:
        """Whether all that was sent so far is still there."""
        return self.landing in (Landing.IN_FLIGHT, Landing.ANSWERED) and not self.log.has_dropped

    def join(self) -> None:
        self.followers += 1

    async def landed(self) -> Landing:
        """Wait until the leader's fate is known."""
        await self._landed.wait()
        return self.landing

    def leave(self) -> None:
        """Whoever joined does not wait any more."""
        self.followers -= 1
        is_over = self.log.closed or bool(self.body)
        if self.followers == 0 and self._abandoned is not None and not is_over:
            self._abandoned()

    def _land(self, landing: Landing) -> None:
        if self.landing is Landing.IN_FLIGHT:
            self.landing = landing
            self._landed.set()
