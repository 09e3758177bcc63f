"""Requests that may be appealed against without being sent again: kept in memory for a while, and never elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec

from headgate.errors import NotFound
from headgate.gateway.answers import Answer
from headgate.gateway.journey import Journey
from headgate.ports import Clock
from headgate.types import Call, Caller

MOST_BYTES = 32_000_000  # of bodies
KEPT_SECONDS = 900.0
_STREAM_MEMBERS = ("stream", "stream_options")

Handle = Callable[[Caller, Call], AbstractAsyncContextManager[Answer]]


class Appeals:
    """The newest requests of routers with appeals, in this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls: dict[str, tuple[Call, str, float]] = {}  # by request id, oldest first: the call, its tenant, until
        self._bytes = 0

    def remember(self, journey: Journey) -> None:
        """A router's request was answered."""
        router, call = journey.router, journey.call
        if router is None or not router.appeal or call.body_bytes > MOST_BYTES // 8:
            return
        now = self._clock.monotonic()
        self._calls[call.id] = (call, journey.caller.tenant, now + KEPT_SECONDS)
        self._bytes += call.body_bytes
        while self._calls:
            oldest = next(iter(self._calls))
            kept, _, until = self._calls[oldest]
            if self._bytes <= MOST_BYTES and until > now:
                break
            del self._calls[oldest]
            self._bytes -= kept.body_bytes

    def call(self, caller: Caller, request_id: str, new_id: str) -> Call:
        """The request again, as an appeal and not as a stream. Raises NotFound.

        Without its idempotency key, which stands for the answer that is appealed against.
        """
        call, tenant, until = self._calls.get(request_id, (None, "", 0.0))
        if call is None or tenant != caller.tenant or until <= self._clock.monotonic():
            raise NotFound(
                f"The request '{request_id}' is not kept here. Send it again with the header"
                f" x-headgate-appeal: {request_id}.",
                param="request_id",
            )
        fields = {name: raw for name, raw in call.fields.items() if name not in _STREAM_MEMBERS}
        return msgspec.structs.replace(
            call, id=new_id, stream=False, fields=fields, appeal=request_id, idempotency_key=None
        )
