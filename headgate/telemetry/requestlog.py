"""One JSON line for every settled request: who, what, how it ended, what it cost, how long it took.

Owns the fields of that line, which are documented in `docs/logging.md`. There is no prompt, no answer and no secret in
a record, so there is none in a line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from headgate.policy.pricing import format_usd
from headgate.types import AttemptRecord, Outcome, RequestRecord, Usage

FAILURES = frozenset({Outcome.FAILED, Outcome.REFUSED, Outcome.REJECTED})


class AttemptLine(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One attempt within the line of its request. Durations in seconds."""

    deployment: str
    outcome: str
    status: int
    seconds: float
    error: str = ""


class RequestLine(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """The line; what is empty is left out. `time` is when the request came, durations are seconds, cost is exact."""

    time: datetime
    level: str
    event: str
    id: str
    route: str
    model: str
    outcome: str
    status: int
    error: str = ""
    tenant: str
    user: str | None = None
    key_id: str
    session: str | None = None
    stream: bool
    deployment: str = ""
    upstream_model: str = ""
    ttft_seconds: float | None = None
    itl_seconds: float | None = None
    e2e_seconds: float
    tokens: Usage
    cost_usd: str
    bytes_in: int = 0
    bytes_out: int = 0
    trace_id: str = ""
    undelivered: bool = False
    attempts: tuple[AttemptLine, ...] = ()


class RequestLog:
    """Implements `ports.Observer`. `write` takes the bytes of one line and must not block (see `lines.LineWriter`)."""

    def __init__(self, write: Callable[[bytes], None], requests: Literal["all", "failures", "off"] = "all") -> None:
        self._write = write
        self._requests = requests
        self._encoder = msgspec.json.Encoder()

    def settled(self, record: RequestRecord, itl_counts: Sequence[int]) -> None:
        """Write the line, if lines of this kind are wanted."""
        failure = record.outcome in FAILURES
        if self._requests == "all" or (failure and self._requests == "failures"):
            self._write(self._encoder.encode(request_line(record, "warning" if failure else "info")) + b"\n")


def request_line(record: RequestRecord, level: str) -> RequestLine:
    """What the log says of a record."""
    return RequestLine(
        time=datetime.fromtimestamp(record.started_at, UTC),
        level=level,
        event="request",
        id=record.id,
        route=record.route,
        model=record.model,
        outcome=record.outcome,
        status=record.status,
        error=record.error,
        tenant=record.tenant,
        user=record.user,
        key_id=record.key_id,
        session=record.session,
        stream=record.stream,
        deployment=record.deployment,
        upstream_model=record.upstream_model,
        ttft_seconds=_rounded(record.ttft_seconds),
        itl_seconds=_rounded(record.itl_seconds),
        e2e_seconds=round(record.e2e_seconds, 6),
        tokens=record.usage,
        cost_usd=format_usd(record.cost_picousd),
        bytes_in=record.bytes_in,
        bytes_out=record.bytes_out,
        trace_id=record.trace_id,
        undelivered=record.undelivered,
        attempts=tuple([_attempt_line(attempt) for attempt in record.attempts]),
    )


def _attempt_line(attempt: AttemptRecord) -> AttemptLine:
    return AttemptLine(attempt.deployment, attempt.outcome, attempt.status, round(attempt.seconds, 6), attempt.error)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
