"""Batches over HTTP, for callers, as OpenAI serves them. Each sees its tenant's own."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from headgate.admin.endpoint import Count, Input, Name, Visit
from headgate.admin.jobs import idempotency_key
from headgate.errors import InvalidRequest
from headgate.file_types import Batch, BatchCounts, BatchPage, BatchStatus, Dialect, LineProblem, NewBatch
from headgate.jobs.batches import WINDOW_SECONDS
from headgate.jobs.filing import asked_seconds
from headgate.types import Frozen
from headgate.wire.batches.openai import KINDS

MOST_METADATA = 16
Key = Annotated[str, msgspec.Meta(max_length=64)]
Value = Annotated[str, msgspec.Meta(max_length=512)]


class ExpiresAfter(Input, frozen=True):
    """How long the files with the answers are kept."""

    anchor: Name
    seconds: Count


class CreateBatch(Input, frozen=True):
    """Have the requests of a file answered within a day."""

    input_file_id: Name
    endpoint: Name
    completion_window: Literal["24h"]
    metadata: dict[Key, Value] | None = None
    output_expires_after: ExpiresAfter | None = None


class BatchId(Input, frozen=True):
    """Which batch."""

    batch_id: Name


class BatchesQuery(Input, frozen=True):
    """Which batches: the newest first, after the id of the last one of the page before."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20
    after: Name | None = None


class ProblemView(Frozen, frozen=True):
    """Why a file is no batch."""

    code: str
    message: str
    param: str | None
    line: int | None


class ProblemList(Frozen, frozen=True):
    """All that is wrong with a file, as far as is told."""

    data: list[ProblemView]
    object: str = "list"


class RequestCounts(Frozen, frozen=True):
    """How many requests there are, were answered, and failed."""

    total: int
    completed: int
    failed: int


class BatchView(Frozen, frozen=True):
    """A batch. Times are Unix seconds."""

    id: str
    endpoint: str
    errors: ProblemList | None
    input_file_id: str
    completion_window: str
    status: BatchStatus
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    metadata: dict[str, str] | None
    object: str = "batch"


class BatchList(Frozen, frozen=True):
    """A page of batches."""

    data: list[BatchView]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: str = "list"


async def create_batch(visit: Visit, command: CreateBatch) -> BatchView:
    """Have the requests of a file answered within a day, by any model. An `Idempotency-Key` makes it once."""
    if command.endpoint not in KINDS:
        raise InvalidRequest(f"'endpoint' must be one of {', '.join(KINDS)}.", param="endpoint")
    if command.metadata is not None and len(command.metadata) > MOST_METADATA:
        raise InvalidRequest(f"There are more than {MOST_METADATA} entries in 'metadata'.", param="metadata")
    caller, services = visit.caller(), visit.services
    file = await services.batches.files.get(command.input_file_id, caller.tenant)
    await services.job_desk.upkeep.admit(caller, file.bytes, 1)  # how many requests they are nobody knows yet
    now, kept = services.clock.now(), command.output_expires_after
    asked = NewBatch(
        dialect=Dialect.OPENAI,
        endpoint=command.endpoint,
        kind=KINDS[command.endpoint],
        input_file_id=command.input_file_id,
        created_at=now,
        expires_at=now + WINDOW_SECONDS,
        window=command.completion_window,
        metadata=command.metadata,
        output_seconds=None if kept is None else float(asked_seconds(kept.anchor, kept.seconds)),
    )
    return _view(await services.batches.create(caller, asked, idempotency_key(visit)))


async def list_batches(visit: Visit, query: BatchesQuery) -> BatchList:
    """The tenant's batches, the newest first."""
    wanted = BatchPage(visit.caller().tenant, Dialect.OPENAI, query.limit, query.after)
    found, more = await visit.services.batches.page(wanted)
    data = [_view(batch) for batch in found]
    return BatchList(data, data[0].id if data else None, data[-1].id if data else None, more)


async def get_batch(visit: Visit, query: BatchId) -> BatchView:
    """How far a batch is."""
    return _view(await visit.services.batches.get(query.batch_id, visit.caller().tenant, Dialect.OPENAI))


async def cancel_batch(visit: Visit, query: BatchId) -> BatchView:
    """Begin nothing more of a batch, and stop what is under way. What was answered is in its files."""
    return _view(await visit.services.batches.cancel(query.batch_id, visit.caller().tenant, Dialect.OPENAI))


def _view(batch: Batch) -> BatchView:
    counts = batch.counts or BatchCounts(processing=batch.lines)

    def ended(status: BatchStatus) -> int | None:
        return _seconds(batch.ended_at) if batch.status is status else None

    return BatchView(
        id=batch.id,
        endpoint=batch.asked.endpoint,
        errors=ProblemList([_problem(each) for each in batch.problems]) if batch.problems else None,
        input_file_id=batch.asked.input_file_id,
        completion_window=batch.asked.window,
        status=batch.status,
        output_file_id=batch.output_file_id,
        error_file_id=batch.error_file_id,
        created_at=int(batch.asked.created_at),
        in_progress_at=_seconds(batch.in_progress_at),
        expires_at=int(batch.asked.expires_at),
        finalizing_at=_seconds(batch.finalizing_at),
        completed_at=ended(BatchStatus.COMPLETED),
        failed_at=ended(BatchStatus.FAILED),
        expired_at=ended(BatchStatus.EXPIRED),
        cancelling_at=_seconds(batch.cancelling_at),
        cancelled_at=ended(BatchStatus.CANCELLED),
        request_counts=RequestCounts(counts.total, counts.succeeded, counts.errored),
        metadata=batch.asked.metadata,
    )


def _problem(problem: LineProblem) -> ProblemView:
    return ProblemView(problem.code, problem.message, problem.param, problem.line or None)


def _seconds(at: float | None) -> int | None:
    return None if at is None else int(at)
