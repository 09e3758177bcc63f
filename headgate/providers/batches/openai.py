"""OpenAI's batch API, and Azure's, which is the same at other addresses: files of lines, in and out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from headgate.provider_batch_types import AtProvider, BatchStanding, Candidate, Handover, LineEnd, LineResult
from headgate.providers.batches.calling import Caller, lines_of, read

OUR_ID = "headgate_batch"  # the name of our id among a batch's metadata
MAX_PAGES = 20  # of the list of batches, newest first
_BOUNDARY = b"headgate-boundary-7f3d2c"
_WINDOW = "24h"  # the only one there is
_SKEW_SECONDS = 300.0  # between the provider's clock and ours
_ENDED = frozenset({"completed", "expired", "cancelled"})


class _Errors(msgspec.Struct, frozen=True):
    data: list[dict[str, Any]] | None = None


class _Counts(msgspec.Struct, frozen=True):
    completed: int = 0
    failed: int = 0


class _Batch(msgspec.Struct, frozen=True):
    id: str
    status: str = ""
    created_at: float = 0.0
    metadata: dict[str, str] | None = None
    input_file_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Errors | None = None
    request_counts: _Counts | None = None


class _Page(msgspec.Struct, frozen=True):
    data: list[_Batch]
    has_more: bool = False


class _File(msgspec.Struct, frozen=True):
    id: str
    filename: str = ""
    created_at: float = 0.0


class _Files(msgspec.Struct, frozen=True):
    data: list[_File]
    has_more: bool = False


class _Response(msgspec.Struct, frozen=True):
    status_code: int = 0
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Error(msgspec.Struct, frozen=True):
    code: str | None = None
    message: str | None = None


class _Line(msgspec.Struct, frozen=True):
    custom_id: str
    response: _Response | None = None
    error: _Error | None = None


class OpenAIBatchApi:
    """Implements `BatchApi`. `path` makes a path below the endpoint of one of OpenAI's, `url` the one in each line."""

    def __init__(
        self, caller: Caller, path: Callable[[str], str] = str, url: Callable[[str], str] = lambda api: f"/v1/{api}"
    ) -> None:
        self._caller = caller
        self._path = path
        self._url = url

    async def submit(self, batch: Handover) -> str:
        url = self._url(batch.api)
        lines = b"".join(
            b'{"custom_id":%b,"method":"POST","url":%b,"body":%b}\n'
            % (msgspec.json.encode(line.id), msgspec.json.encode(url), line.body)
            for line in batch.lines
        )
        content_type = f"multipart/form-data; boundary={_BOUNDARY.decode()}"
        uploaded = await self._caller.post(self._path("files"), _form(batch.id, lines), content_type)
        made = {
            "input_file_id": read(uploaded, _File).id,
            "endpoint": url,
            "completion_window": _WINDOW,
            "metadata": {OUR_ID: batch.id},
        }
        return read(await self._caller.post(self._path("batches"), msgspec.json.encode(made)), _Batch).id

    async def find(self, batch_id: str, size: int, since: float) -> list[Candidate]:
        after = ""
        for _ in range(MAX_PAGES):
            page = read(await self._caller.get(self._asked("batches", f"limit=100{after}")), _Page)
            for one in page.data:
                if (one.metadata or {}).get(OUR_ID) == batch_id:
                    return [Candidate(one.id, is_certain=True)]
            if not page.has_more or not page.data or page.data[-1].created_at < since - _SKEW_SECONDS:
                break
            after = f"&after={page.data[-1].id}"
        return []

    async def standing(self, provider_id: str) -> BatchStanding:
        batch = read(await self._caller.get(self._path(f"batches/{provider_id}")), _Batch)
        counts = batch.request_counts or _Counts()
        if batch.status == "failed":
            errors = (batch.errors.data if batch.errors is not None else None) or [{}]
            return BatchStanding(AtProvider.FAILED, error=str(errors[0].get("message", "it failed")))
        if batch.status not in _ENDED:
            return BatchStanding(AtProvider.RUNNING, counts.completed + counts.failed)
        places = tuple(place for place in (batch.output_file_id, batch.error_file_id) if place)
        return BatchStanding(AtProvider.ENDED, counts.completed + counts.failed, results=places)

    async def results(self, standing: BatchStanding) -> AsyncIterator[LineResult]:
        for place in standing.results:
            for line in lines_of(await self._caller.get(self._path(f"files/{place}/content"))):
                yield _result(read(line, _Line))

    async def cancel(self, provider_id: str) -> None:
        await self._caller.post(self._path(f"batches/{provider_id}/cancel"), b"")

    async def clear(self, batch_id: str, provider_id: str, since: float) -> None:
        if provider_id:
            batch = read(await self._caller.get(self._path(f"batches/{provider_id}")), _Batch)
            names = [batch.input_file_id, batch.output_file_id, batch.error_file_id]
        else:
            names = [*await self._uploaded(_filename(batch_id), since)]
        for name in names:
            if name:
                await self._caller.delete(self._path(f"files/{name}"))

    async def _uploaded(self, filename: str, since: float) -> list[str]:
        """The files of that name: its handing over may have been cut short after the first of its calls."""
        found, after = list[str](), ""
        for _ in range(MAX_PAGES):
            path = self._asked("files", f"purpose=batch&order=desc&limit=1000{after}")
            page = read(await self._caller.get(path), _Files)
            found += [file.id for file in page.data if file.filename == filename]
            if not page.has_more or not page.data or page.data[-1].created_at < since - _SKEW_SECONDS:
                break
            after = f"&after={page.data[-1].id}"
        return found

    def _asked(self, name: str, query: str) -> str:
        path = self._path(name)
        return f"{path}{'&' if '?' in path else '?'}{query}"


def _result(line: _Line) -> LineResult:
    """A line of the output or of the error file. What was not begun has an error and no response."""
    response, error = line.response, line.error
    if response is not None and 200 <= response.status_code < 300 and error is None:
        return LineResult(line.custom_id, LineEnd.ANSWERED, bytes(response.body), response.status_code)
    if error is not None and error.code == "batch_expired":
        return LineResult(line.custom_id, LineEnd.EXPIRED)
    if error is not None and error.code == "batch_cancelled":
        return LineResult(line.custom_id, LineEnd.CANCELLED)
    if response is not None:
        return LineResult(line.custom_id, LineEnd.ERROR, bytes(response.body), response.status_code)
    return LineResult(line.custom_id, LineEnd.ERROR, msgspec.json.encode({"error": error}), 0)


def _filename(batch_id: str) -> str:
    return f"{batch_id}.jsonl"


def _form(name: str, lines: bytes) -> bytes:
    """RFC 7578: the purpose and the file."""
    return (
        b'--%b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        b'--%b\r\ncontent-disposition: form-data; name="file"; filename="%b"\r\n'
        b"content-type: application/jsonl\r\n\r\n%b\r\n--%b--\r\n"
    ) % (_BOUNDARY, _BOUNDARY, _filename(name).encode(), lines, _BOUNDARY)
