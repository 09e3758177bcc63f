"""What a request with an idempotency key may be told; rows of the error table, as those in `errors.py`."""

from __future__ import annotations

from headgate.errors import Conflict


class IdempotencyKeyReused(Conflict):
    """The idempotency key belongs to a request that asked for something else."""

    code = "idempotency_key_reused"


class IdempotencyOutcomeUnknown(Conflict):
    """The process that had the request died, nobody knows what became of it, and `on_unknown` is refuse."""

    code = "idempotency_outcome_unknown"


class IdempotentResultNotKept(Conflict):
    """The request was answered and charged, and its result could not be kept: too long, or with what is never kept."""

    code = "idempotent_result_not_kept"
