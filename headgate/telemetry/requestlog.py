"""One JSON line for every settled request: its row of the ledger with attempts; time, level and cost are in front.

What is empty is left out, and of a request's only attempt what the request says itself. There is no prompt, no answer
and no secret in a record, so there is none in a line. The fields are documented in `docs/logging.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Literal

import msgspec

from headgate.policy.pricing import format_usd
from headgate.types import AttemptRecord, Frozen, Outcome, RequestRecord

FAILURES = frozenset({Outcome.FAILED, Outcome.REFUSED, Outcome.REJECTED, Outcome.PROVISIONAL})


class OnlyAttempt(Frozen, frozen=True, gc=False, omit_defaults=True):
    """What the only attempt adds to its request, and enough to tell it from the attempts of other lines."""

    number: int
    deployment: str
    outcome: Outcome
    status: int
    endpoint: str
    key_fingerprint: str
    seconds: float
    upstream_id: str = ""


class RequestLog:
    """Implements `ports.Observer`. `write_later` takes what makes one line (see `lines.LineWriter`)."""

    def __init__(
        self,
        write_later: Callable[[Callable[[], bytes]], None],
        requests: Literal["all", "failures", "off"] = "all",
    ) -> None:
        self._write_later = write_later
        self._requests = requests
        self._encode = msgspec.json.Encoder().encode
        self._second = -1  # of the newest line, and how it is written
        self._second_written = ""

    def settled(self, record: RequestRecord, itl_counts: Sequence[int]) -> None:
        """Have the line written, if lines of this kind are wanted."""
        if self._requests == "all" or (self._requests == "failures" and record.outcome in FAILURES):
            self._write_later(partial(self._line, record))

    def _line(self, record: RequestRecord) -> bytes:
        level = "warning" if record.outcome in FAILURES else "info"
        front = (
            f'{{"time":"{self._time(record.started_at)}","level":"{level}","event":"request",'
            f'"cost_usd":"{format_usd(record.cost_picousd)}",'
        )
        if record.routed:
            front += f'"routed":{record.routed},'
            record = msgspec.structs.replace(record, routed="")
        if len(record.attempts) != 1 or not _is_told(record, record.attempts[0]):
            return b"%b%b\n" % (front.encode(), self._encode(record)[1:])
        row, attempt = self._encode(msgspec.structs.replace(record, attempts=())), record.attempts[0]
        return b'%b%b,"attempts":[%b]}\n' % (front.encode(), row[1:-1], self._encode(_only(attempt)))

    def _time(self, unix_seconds: float) -> str:
        second, milliseconds = divmod(int(unix_seconds * 1000), 1000)
        if second != self._second:
            self._second = second
            self._second_written = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._second_written}.{milliseconds:03d}+00:00"


def _is_told(record: RequestRecord, only: AttemptRecord) -> bool:
    """Whether the request ended as its only attempt did; then it has that attempt's provider, usage and cost too."""
    return only.outcome is record.outcome and only.error == record.error


def _only(attempt: AttemptRecord) -> OnlyAttempt:
    return OnlyAttempt(
        attempt.number,
        attempt.deployment,
        attempt.outcome,
        attempt.status,
        attempt.endpoint,
        attempt.key_fingerprint,
        attempt.seconds,
        attempt.upstream_id,
    )
