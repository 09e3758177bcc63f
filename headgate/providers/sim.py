"""The simulated model, a provider without a network: OpenAI's wire format, seeded timing, faults on demand.

Owns the waiting and the counting; what is sent, when, and how it breaks is planned in `sim_reply`. The same seed, body
and occurrence of that body give the same answer, delays and fault, whatever else is under way. Waiting uses the event
loop's timers only, so that on a virtual loop it takes no time.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from headgate.config.schema import SimConfig
from headgate.errors import StreamIncomplete, UpstreamUnreachable
from headgate.ports import Clock, Take
from headgate.providers.relaying import relay_by_reading
from headgate.providers.sim_draws import Distributions, Draws
from headgate.providers.sim_reply import NEVER, Ending, Reply, plan, refusal
from headgate.providers.sim_request import BadRequest, read_request
from headgate.types import Operation

MAX_REMEMBERED_BODIES = 16_384  # a body that has not come for so many others counts as new


@dataclass
class Tally:
    """What became of the requests sent to the simulated model: numbers of requests, and of tokens handed out."""

    opened: int = 0
    completed: int = 0  # read to the clean end
    cut: int = 0  # read to where the model itself cut the connection
    aborted: int = 0  # closed or cancelled by the reader before the end
    tokens_generated: int = 0

    @property
    def open(self) -> int:
        """Requests under way."""
        return self.opened - self.completed - self.cut - self.aborted


class SimResponse:
    """Implements `ports.UpstreamResponse` by carrying out a plan.

    The model runs at most one piece ahead of its reader: a slow reader slows it down, a punctual one does not.
    """

    def __init__(self, reply: Reply, tally: Tally, piece_bytes: int | None) -> None:
        self.status = reply.status
        self.headers = reply.headers
        self._reply = reply
        self._tally = tally
        self._piece_bytes = piece_bytes
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + reply.before_seconds
        self._piece = next(reply.pieces, None)
        self._timed = False  # whether `_due` is already the time of `_piece`
        self._rest = b""  # of a piece larger than `piece_bytes`
        self._waiter: asyncio.Future[None] | None = None
        self._over = False
        tally.opened += 1

    async def begin(self) -> None:
        """Wait until status and headers are there."""
        await self._wait_until_due()

    async def read(self) -> bytes:
        """The next piece at its time, b"" at the clean end. Raises StreamIncomplete where the connection is cut."""
        if self._rest:
            return self._take(self._rest)
        if self._piece is None:
            return await self._read_ending()
        if not self._timed:
            self._due = max(self._due + self._piece.wait_seconds, self._loop.time())
            self._timed = True
        await self._wait_until_due()
        piece = self._piece
        if piece is None:  # closed between the timer and this step
            return await self._read_ending()
        self._piece, self._timed = next(self._reply.pieces, None), False
        self._tally.tokens_generated += piece.tokens
        return self._take(piece.data) if self._piece_bytes else piece.data

    async def relay(self, take: Take) -> bool:
        """As the port says."""
        return await relay_by_reading(self, take)

    def close(self) -> None:
        """Stop generating. A read under way, and any later one, raises StreamIncomplete unless the end was reached."""
        if self._over:
            return
        self._over = True
        self._tally.aborted += 1
        self._piece, self._rest = None, b""
        self._reply.ending = Ending.CUT
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(StreamIncomplete("The answer was closed while it was being read."))

    async def _wait_until_due(self) -> None:
        if self._due <= self._loop.time():
            return
        self._waiter = waiter = self._loop.create_future()
        timer = None if self._due == NEVER else self._loop.call_at(self._due, _wake, waiter)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    async def _read_ending(self) -> bytes:
        if self._reply.ending is Ending.SILENCE:
            self._due = NEVER
            await self._wait_until_due()
        was_cut = self._reply.ending is Ending.CUT
        if not self._over:
            self._over = True
            self._tally.cut += was_cut
            self._tally.completed += not was_cut
        if was_cut:
            raise StreamIncomplete("The simulated model's answer was cut before its end.")
        return b""

    def _take(self, data: bytes) -> bytes:
        self._rest = data[self._piece_bytes :]
        return data[: self._piece_bytes]


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class SimProvider:
    """Implements `ports.Provider`. `tally` shows how many requests are under way and what became of the others."""

    kind = "sim"

    def __init__(self, name: str, config: SimConfig, clock: Clock) -> None:
        self.name = name
        self.tally = Tally()
        self._distributions = Distributions(config)
        self._clock = clock
        self._occurrences: dict[bytes, int] = {}
        self._closed = False

    async def send(
        self, operation: Operation, body: bytes, *, endpoint: str, api_key: str, headers: Sequence[tuple[str, str]] = ()
    ) -> SimResponse:
        """Answer a request; endpoint, key and headers mean nothing here. Raises UpstreamUnreachable once closed.

        A stream's status and headers come at once, a whole answer's when all of it has been generated.
        """
        if self._closed:
            raise UpstreamUnreachable(f"The simulated model '{self.name}' has been closed.")
        try:
            request = read_request(operation.api, body)
            body_hash = hashlib.sha256(body).digest()
            draws = Draws(self._distributions, request.sim, body_hash, self._count(body_hash))
            response = SimResponse(
                plan(operation.api, request, draws, int(self._clock.now())), self.tally, request.sim.piece_bytes
            )
        except BadRequest as error:
            refused = refusal(400, "invalid_request_error", f"The simulated model cannot answer: {error}.")
            response = SimResponse(refused, self.tally, None)
        try:
            await response.begin()
        except BaseException:
            response.close()
            raise
        return response

    async def aclose(self) -> None:
        """Refuse new requests; those under way may finish."""
        self._closed = True

    def _count(self, body_hash: bytes) -> int:
        """How often this body came before, as far as is remembered."""
        occurrence = self._occurrences.pop(body_hash, 0)
        self._occurrences[body_hash] = occurrence + 1
        if len(self._occurrences) > MAX_REMEMBERED_BODIES:
            del self._occurrences[next(iter(self._occurrences))]
        return occurrence
