"""One JSON line for every settled request: its row of the ledger with attempts; time, level and cost are in front.

What is empty is left out. There is no prompt, no answer and no secret in a record, so there is none in a line. The
fields are documented in `docs/logging.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from headgate.policy.pricing import format_usd
from headgate.types import Outcome, RequestRecord

FAILURES = frozenset({Outcome.FAILED, Outcome.REFUSED, Outcome.REJECTED})


class RequestLog:
    """Implements `ports.Observer`. `write` takes the bytes of one line and must not block (see `lines.LineWriter`)."""

    def __init__(self, write: Callable[[bytes], None], requests: Literal["all", "failures", "off"] = "all") -> None:
        self._write = write
        self._requests = requests
        self._encode = msgspec.json.Encoder().encode

    def settled(self, record: RequestRecord, itl_counts: Sequence[int]) -> None:
        """Write the line, if lines of this kind are wanted."""
        failure = record.outcome in FAILURES
        if self._requests == "all" or (failure and self._requests == "failures"):
            self._write(self._line(record, "warning" if failure else "info"))

    def _line(self, record: RequestRecord, level: str) -> bytes:
        # The row is encoded as it is, once: building another object from it first took four times as long.
        time = datetime.fromtimestamp(record.started_at, UTC).isoformat(timespec="milliseconds")
        cost = format_usd(record.cost_picousd)
        front = f'{{"time":"{time}","level":"{level}","event":"request","cost_usd":"{cost}",'.encode()
        return b"".join((front, memoryview(self._encode(record))[1:], b"\n"))
