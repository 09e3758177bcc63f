"""What a caller gets: its head, and its body or a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from headgate.gateway.events import EventLog
from headgate.metering import Standing
from headgate.ports import Take
from headgate.types import Frozen


class AnswerHead(Frozen, frozen=True, gc=False):
    """What is fixed at the commit point."""

    request_id: str
    stream: bool
    model: str  # the public name that answered: the caller's, or a fallback
    provider: str
    deployment: str
    attempts: str  # each attempt, e.g. "openai/gpt-4o 503, openai/gpt-4o-mini 200"
    cache: str = "off"
    cost_picousd: int | None = None  # known at once for JSON, at the end for streams
    max_output_tokens: int | None = None  # when it was lowered
    dropped: tuple[str, ...] = ()  # members of the request that the deployment's API has no word for
    degraded_from: str = ""  # the model that was asked for, if money led to a cheaper one
    requests: Standing | None = None  # how the limits stand
    tokens: Standing | None = None
    age_seconds: int | None = None  # of an answer that was kept
    kept_from: str = ""  # the request whose answer it is, and why it was given to another question
    is_replayed: bool = False  # it is what another request with the same idempotency key was given
    route: str = ""  # how a router chose the model


class AnswerStream(Protocol):
    """A stream on its way to the client, settled before its end is shown."""

    log: EventLog | None

    async def relay(self, take: Take) -> bool:
        """As `Answer.relay`."""


class Answer:
    """What a caller gets. `head` is fixed at the commit point; then comes `body`, all of it, or a stream.

    A stream is taken with `relay`, which hands its pieces over as they come, or read from `events`. Its last piece is
    its end marker or a typed error event. When a client may come back for it, it is in `log` too.
    """

    __slots__ = ("_stream", "body", "head")

    def __init__(self, head: AnswerHead, body: bytes = b"", stream: AnswerStream | None = None) -> None:
        self.head = head
        self.body = body
        self._stream = stream

    @property
    def log(self) -> EventLog | None:
        return self._stream.log if self._stream is not None else None

    async def relay(self, take: Take) -> bool:
        """Hand the pieces of a stream to `take`: False when it wants a pause, True when the last one was handed over.

        Between two calls nobody is late, neither the provider nor the client.
        """
        return self._stream is None or await self._stream.relay(take)

    @property
    async def events(self) -> AsyncIterator[bytes]:
        """The bytes to pass on, piece by piece; a JSON answer is one piece."""
        if self._stream is None:
            yield self.body
            return
        pieces: list[bytes] = []

        def take_one(piece: bytes) -> bool:
            pieces.append(piece)
            return False

        ended = False
        while not ended:
            ended = await self._stream.relay(take_one)
            for piece in pieces:
                yield piece
            pieces.clear()
