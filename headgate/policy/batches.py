"""The life of a batch: which status follows which, and what a file must be to be one."""

from __future__ import annotations

import msgspec

from headgate.errors import Conflict
from headgate.file_types import Batch, BatchCounts, BatchStatus, LineProblem
from headgate.job_types import Counts
from headgate.types import Frozen

MAX_LINES = 50_000
MAX_BYTES = 200 * 2**20
MOST_PROBLEMS = 100  # that are told of a file that is no batch

_OPEN = (BatchStatus.VALIDATING, BatchStatus.IN_PROGRESS)


class Survey(Frozen, frozen=True):
    """What the whole of a file says before anything of it is begun. Only a file without a single request has problems
    of lines: what is wrong with one line among others is told in the file of errors."""

    lines: int
    problems: tuple[LineProblem, ...] = ()


def survey(lines: int, usable: bool, problems: tuple[LineProblem, ...]) -> Survey:
    """`usable`: at least one line is a request. `problems` of the lines before it."""
    if lines > MAX_LINES:
        message = f"The file has {lines} requests, a batch has at most {MAX_LINES}. Split it."
        return Survey(lines, (LineProblem("too_many_requests", message),))
    if not lines:
        return Survey(0, (LineProblem("empty_file", "The file has no requests: each line is one, as JSON."),))
    if not usable:
        return Survey(lines, problems[:MOST_PROBLEMS])
    return Survey(lines)


def failed(batch: Batch, lines: int, problems: tuple[LineProblem, ...], now: float) -> Batch:
    """Its file is none: nothing was begun."""
    counts = BatchCounts()
    return msgspec.structs.replace(
        batch, status=BatchStatus.FAILED, lines=lines, problems=problems, counts=counts, ended_at=now
    )


def started(batch: Batch, lines: int, now: float) -> Batch:
    """Its requests begin. One that is being cancelled stays so, and one that had ended goes on anew."""
    status = BatchStatus.CANCELLING if batch.status is BatchStatus.CANCELLING else BatchStatus.IN_PROGRESS
    again = batch.has_ended
    return msgspec.structs.replace(
        batch,
        status=status,
        lines=lines,
        counts=None,
        in_progress_at=batch.in_progress_at or now,
        ended_at=None,
        finalizing_at=None,
        cancelling_at=None if again else batch.cancelling_at,
        output_file_id=None,
        error_file_id=None,
    )


def cancelling(batch: Batch, now: float) -> Batch:
    """What is under way is stopped. Twice is once. Raises Conflict if it is too late."""
    if batch.status is BatchStatus.CANCELLING:
        return batch
    if batch.status not in _OPEN:
        raise Conflict(f"The batch is {batch.status.value} and cannot be cancelled any more.", param="batch_id")
    return msgspec.structs.replace(batch, status=BatchStatus.CANCELLING, cancelling_at=now)


def finalizing(batch: Batch, now: float) -> Batch:
    """Its requests are over and its files are written."""
    if batch.status is BatchStatus.CANCELLING:
        return batch
    return msgspec.structs.replace(batch, status=BatchStatus.FINALIZING, finalizing_at=now)


def ended(batch: Batch, counts: BatchCounts, files: tuple[str | None, str | None], now: float) -> Batch:
    """Its files, of answers and of errors, are there, as far as there is anything to be in them."""
    status = BatchStatus.COMPLETED
    if batch.cancelling_at is not None:
        status = BatchStatus.CANCELLED
    elif counts.expired:
        status = BatchStatus.EXPIRED
    output, errors = files
    return msgspec.structs.replace(
        batch, status=status, counts=counts, ended_at=now, output_file_id=output, error_file_id=errors
    )


def counts_of(items: Counts, lines: int, refused: int = 0) -> BatchCounts:
    """From the items of its job; `refused` lines became none, and those that are not in any of these are still to
    be looked at."""
    errored = items.failed + items.dead + refused
    over = items.succeeded + errored + items.cancelled + items.expired
    return BatchCounts(max(0, lines - over), items.succeeded, errored, items.cancelled, items.expired)
