"""Anthropic's batch API: requests in the call, results as lines. It has no place for our id of a batch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

import msgspec

from headgate.errors import StreamMalformed
from headgate.provider_batch_types import AtProvider, BatchStanding, Candidate, Handover, LineEnd, LineResult
from headgate.providers.batches.calling import CALL_SECONDS, Caller, lines_of, read

MAX_PAGES = 20
_SKEW_SECONDS = 300.0
_ENDS = {
    "succeeded": LineEnd.ANSWERED,
    "errored": LineEnd.ERROR,
    "expired": LineEnd.EXPIRED,
    "canceled": LineEnd.CANCELLED,
}


class _Counts(msgspec.Struct, frozen=True):
    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0

    @property
    def done(self) -> int:
        return self.succeeded + self.errored + self.canceled + self.expired


class _Batch(msgspec.Struct, frozen=True):
    id: str
    processing_status: str = ""
    created_at: str = ""
    request_counts: _Counts = _Counts()


class _Page(msgspec.Struct, frozen=True):
    data: list[_Batch]
    has_more: bool = False
    last_id: str | None = None


class _Outcome(msgspec.Struct, frozen=True):
    type: str
    message: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")


class _Line(msgspec.Struct, frozen=True):
    custom_id: str
    result: _Outcome


class _ErrorType(msgspec.Struct, frozen=True):
    type: str = ""


class _Error(msgspec.Struct, frozen=True):
    error: _ErrorType = _ErrorType()


_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "overloaded_error": 529,
}


class AnthropicBatchApi:
    """Implements `BatchApi`. `prefix` is what stands before `messages/batches` in a path: `v1/`, or nothing."""

    def __init__(self, caller: Caller, prefix: str = "v1/") -> None:
        self._caller = caller
        self._path = f"{prefix}messages/batches"

    async def submit(self, batch: Handover) -> str:
        requests = b",".join(
            b'{"custom_id":%b,"params":%b}' % (msgspec.json.encode(line.id), line.body) for line in batch.lines
        )
        return read(await self._caller.post(self._path, b'{"requests":[%b]}' % requests), _Batch).id

    async def find(self, batch_id: str, size: int, since: float) -> list[Candidate]:
        """Each of the same size that was made about then."""
        after, found = "", list[Candidate]()
        for _ in range(MAX_PAGES):
            page = read(await self._caller.get(f"{self._path}?limit=100{after}"), _Page)
            for one in page.data:  # newest first
                made_at, counts = _seconds(one.created_at), one.request_counts
                if made_at < since - _SKEW_SECONDS:
                    return found
                if counts.processing + counts.done == size and made_at <= since + CALL_SECONDS + _SKEW_SECONDS:
                    found.append(Candidate(one.id, is_certain=False))
            if not page.has_more or page.last_id is None:
                break
            after = f"&after_id={page.last_id}"
        return found

    async def standing(self, provider_id: str) -> BatchStanding:
        batch = read(await self._caller.get(f"{self._path}/{provider_id}"), _Batch)
        if batch.processing_status != "ended":
            return BatchStanding(AtProvider.RUNNING, batch.request_counts.done)
        return BatchStanding(AtProvider.ENDED, batch.request_counts.done, results=(provider_id,))

    async def results(self, standing: BatchStanding) -> AsyncIterator[LineResult]:
        for place in standing.results:
            for line in lines_of(await self._caller.get(f"{self._path}/{place}/results")):
                yield _result(read(line, _Line))

    async def cancel(self, provider_id: str) -> None:
        await self._caller.post(f"{self._path}/{provider_id}/cancel", b"")

    async def clear(self, batch_id: str, provider_id: str, since: float) -> None:
        if provider_id:
            await self._caller.delete(f"{self._path}/{provider_id}")


def _result(line: _Line) -> LineResult:
    outcome = line.result
    end = _ENDS.get(outcome.type)
    if end is None:
        raise StreamMalformed(f"Anthropic's batch API has a result of the unknown type '{outcome.type[:60]}'.")
    if end is LineEnd.ANSWERED:
        return LineResult(line.custom_id, end, bytes(outcome.message), 200)
    if end is LineEnd.ERROR:
        kind = read(bytes(outcome.error), _Error).error.type
        return LineResult(line.custom_id, end, bytes(outcome.error), _STATUSES.get(kind, 500))
    return LineResult(line.custom_id, end)


def _seconds(written: str) -> float:
    try:
        return datetime.fromisoformat(written).timestamp()
    except ValueError:
        raise StreamMalformed(f"Anthropic's batch API has a time that cannot be read: '{written[:60]}'.") from None
