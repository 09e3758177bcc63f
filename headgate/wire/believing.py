"""Which of a provider's figures are believed: a mistake there must not become money, nor fill the ledger."""

from __future__ import annotations

import msgspec

from headgate.types import Usage

MAX_TOKENS = 1_000_000_000  # more than any model takes or says, and small enough to calculate with
MAX_RAW_BYTES = 4_096  # of a usage object that is kept as it came: the largest seen has 1,100


def believed(usage: Usage) -> Usage | None:
    """The usage without an endless raw object; None, as if nothing had been reported, if no model can have used it."""
    if usage.input > MAX_TOKENS or usage.output > MAX_TOKENS:
        return None
    return msgspec.structs.replace(usage, raw=b"") if len(usage.raw) > MAX_RAW_BYTES else usage
