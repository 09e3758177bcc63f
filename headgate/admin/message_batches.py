"""Batches of messages over HTTP, for callers, as Anthropic serves them. Each sees its tenant's own."""

from __future__ import annotations

import datetime
from typing import Annotated, Any

import msgspec

from headgate.admin.endpoint import Access, Endpoint, Input, Name, Nothing, Reply, Visit
from headgate.errors import InvalidRequest
from headgate.file_types import Batch, BatchCounts, BatchPage, BatchStatus, Dialect
from headgate.job_types import EraseScope
from headgate.types import Frozen

PATH = "/v1/messages/batches"
_JSONL = "application/x-jsonl"


class MessageBatchId(Input, frozen=True):
    """Which batch."""

    batch_id: Name


class MessageBatchesQuery(Input, frozen=True):
    """Which batches: the newest first, older than `after_id`, or just newer than `before_id`."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 20
    after_id: Name | None = None
    before_id: Name | None = None


class MessageCounts(Frozen, frozen=True):
    """What became of the requests."""

    processing: int
    succeeded: int
    errored: int
    canceled: int
    expired: int


class MessageBatchView(Frozen, frozen=True):
    """A batch of messages. Times as RFC 3339 writes them."""

    id: str
    processing_status: str
    request_counts: MessageCounts
    created_at: str
    expires_at: str
    ended_at: str | None
    cancel_initiated_at: str | None
    archived_at: str | None
    results_url: str | None
    type: str = "message_batch"


class MessageBatchList(Frozen, frozen=True):
    """A page of batches."""

    data: list[MessageBatchView]
    has_more: bool
    first_id: str | None
    last_id: str | None


class DeletedMessageBatch(Frozen, frozen=True):
    """A batch that is not there any more."""

    id: str
    type: str = "message_batch_deleted"


async def create_message_batch(visit: Visit, _: Nothing) -> MessageBatchView:
    """Have messages answered within a day, by any model: `{"requests": [{"custom_id", "params"}, ...]}`."""
    assert visit.body is not None
    announced, caller = visit.headers.get("content-length", ""), visit.caller()
    size = int(announced) if announced.isdecimal() else 0
    await visit.services.job_desk.upkeep.admit(caller, size, 1)  # how many requests they are nobody knows yet
    return _view(visit, await visit.services.batches.create_inline(caller, visit.body))


async def list_message_batches(visit: Visit, query: MessageBatchesQuery) -> MessageBatchList:
    """The tenant's batches of messages, the newest first."""
    if query.after_id is not None and query.before_id is not None:
        raise InvalidRequest("Send either 'after_id' or 'before_id'.", param="before_id")
    wanted = BatchPage(visit.caller().tenant, Dialect.ANTHROPIC, query.limit, query.after_id, query.before_id)
    found, more = await visit.services.batches.page(wanted)
    data = [_view(visit, batch) for batch in found]
    return MessageBatchList(data, more, data[0].id if data else None, data[-1].id if data else None)


async def get_message_batch(visit: Visit, query: MessageBatchId) -> MessageBatchView:
    """How far a batch of messages is."""
    return _view(visit, await _batch(visit, query))


async def message_batch_results(visit: Visit, query: MessageBatchId) -> Reply:
    """What came of each request of a batch that has ended: a line of JSON each."""
    content = await visit.services.batches.results(await _batch(visit, query))
    return Reply(b"", content_type=_JSONL, stream=content)


async def cancel_message_batch(visit: Visit, query: MessageBatchId) -> MessageBatchView:
    """Begin nothing more of a batch, and stop what is under way. What was answered is in its results."""
    tenant = visit.caller().tenant
    return _view(visit, await visit.services.batches.cancel(query.batch_id, tenant, Dialect.ANTHROPIC))


async def delete_message_batch(visit: Visit, query: MessageBatchId) -> DeletedMessageBatch:
    """Forget a batch that has ended, its requests and its results. The ledger keeps its rows."""
    tenant = visit.caller().tenant
    await visit.services.batches.delete(query.batch_id, tenant, Dialect.ANTHROPIC)
    await visit.services.job_desk.upkeep.erase(EraseScope(job_id=query.batch_id, tenant=tenant), cancel=True)
    return DeletedMessageBatch(query.batch_id)


async def _batch(visit: Visit, query: MessageBatchId) -> Batch:
    return await visit.services.batches.get(query.batch_id, visit.caller().tenant, Dialect.ANTHROPIC)


def _view(visit: Visit, batch: Batch) -> MessageBatchView:
    counts = batch.counts or BatchCounts(processing=batch.lines)
    status = "canceling" if batch.status is BatchStatus.CANCELLING else "in_progress"
    host = visit.headers.get("host", "")
    scheme = visit.headers.get("x-forwarded-proto", "http")
    results_url = f"{scheme}://{host}{PATH}/{batch.id}/results" if batch.output_file_id else None
    return MessageBatchView(
        id=batch.id,
        processing_status="ended" if batch.has_ended else status,
        request_counts=MessageCounts(
            counts.processing, counts.succeeded, counts.errored, counts.cancelled, counts.expired
        ),
        created_at=_rfc3339(batch.asked.created_at),
        expires_at=_rfc3339(batch.asked.expires_at),
        ended_at=None if batch.ended_at is None else _rfc3339(batch.ended_at),
        cancel_initiated_at=None if batch.cancelling_at is None else _rfc3339(batch.cancelling_at),
        archived_at=None,
        results_url=results_url,
    )


def _rfc3339(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat().replace("+00:00", "Z")


ONE_PATH = f"{PATH}/{{batch_id}}"
ENDPOINTS: tuple[Endpoint[Any], ...] = (
    Endpoint("POST", PATH, create_message_batch, Nothing, MessageBatchView, Access.CALLER, is_streamed=True),
    Endpoint("GET", PATH, list_message_batches, MessageBatchesQuery, MessageBatchList, Access.CALLER),
    Endpoint("GET", ONE_PATH, get_message_batch, MessageBatchId, MessageBatchView, Access.CALLER),
    Endpoint("GET", f"{ONE_PATH}/results", message_batch_results, MessageBatchId, None, Access.CALLER),
    Endpoint("POST", f"{ONE_PATH}/cancel", cancel_message_batch, MessageBatchId, MessageBatchView, Access.CALLER),
    Endpoint("DELETE", ONE_PATH, delete_message_batch, MessageBatchId, DeletedMessageBatch, Access.CALLER),
)
