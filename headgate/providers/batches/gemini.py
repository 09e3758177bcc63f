"""Gemini's batch API: requests in the call, each with a key, and the answers in the operation that stands for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import quote

import msgspec

from headgate.errors import UpstreamRejected
from headgate.provider_batch_types import AtProvider, BatchStanding, Candidate, Handover, LineEnd, LineResult
from headgate.providers.batches.calling import Caller, lines_of, read
from headgate.providers.generating import model_path

MAX_PAGES = 20
_STATES = {
    "SUCCEEDED": AtProvider.ENDED,
    "CANCELLED": AtProvider.ENDED,
    "EXPIRED": AtProvider.ENDED,
    "FAILED": AtProvider.FAILED,
}
# google.rpc.Code as HTTP statuses, those that say something of the request
_STATUSES = {3: 400, 5: 404, 7: 403, 8: 429, 9: 400, 11: 400, 14: 503, 16: 401}
_CANCELLED = 1
_NONE = msgspec.Raw(b"null")


class _Error(msgspec.Struct, frozen=True):
    code: int = 0
    message: str = ""


class _Key(msgspec.Struct, frozen=True):
    key: str = ""


class _Answer(msgspec.Struct, frozen=True):
    metadata: _Key = _Key()
    key: str = ""  # of a line of a file
    response: msgspec.Raw = _NONE
    error: _Error | None = None


class _Answers(msgspec.Struct, frozen=True, rename="camel"):
    inlined_responses: list[_Answer] = []


class _Output(msgspec.Struct, frozen=True, rename="camel"):
    inlined_responses: _Answers = _Answers()
    responses_file: str = ""


class _Stats(msgspec.Struct, frozen=True, rename="camel"):
    successful_request_count: str | int = 0
    failed_request_count: str | int = 0


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    state: str = ""
    display_name: str = ""
    batch_stats: _Stats = _Stats()
    output: _Output = _Output()


class _Operation(msgspec.Struct, frozen=True):
    name: str
    metadata: _Metadata = _Metadata()
    response: _Output = _Output()
    error: _Error | None = None


class _Page(msgspec.Struct, frozen=True, rename="camel"):
    operations: list[_Operation] = []
    next_page_token: str = ""


class GeminiBatchApi:
    """Implements `BatchApi`. `prefix` is the API's version in paths: `v1beta/`, or nothing."""

    def __init__(self, caller: Caller, prefix: str = "v1beta/") -> None:
        self._caller = caller
        self._prefix = prefix

    async def submit(self, batch: Handover) -> str:
        requests = b",".join(
            b'{"request":%b,"metadata":{"key":%b}}' % (line.body, msgspec.json.encode(line.id)) for line in batch.lines
        )
        body = b'{"batch":{"displayName":%b,"inputConfig":{"requests":{"requests":[%b]}}}}' % (
            msgspec.json.encode(batch.id),
            requests,
        )
        path = f"{self._prefix}{model_path(batch.model, 'models')}:batchGenerateContent"
        return read(await self._caller.post(path, body), _Operation).name

    async def find(self, batch_id: str, size: int, since: float) -> list[Candidate]:
        token = ""
        for _ in range(MAX_PAGES):
            page = read(await self._caller.get(f"{self._prefix}batches?pageSize=100{token}"), _Page)
            for one in page.operations:
                if one.metadata.display_name == batch_id:
                    return [Candidate(one.name, is_certain=True)]
            if not page.next_page_token:
                break
            token = f"&pageToken={quote(page.next_page_token, safe='')}"
        return []

    async def standing(self, provider_id: str) -> BatchStanding:
        operation = await self._operation(provider_id)
        state = _STATES.get(operation.metadata.state.rpartition("_STATE_")[2], AtProvider.RUNNING)
        stats = operation.metadata.batch_stats
        done = int(stats.successful_request_count) + int(stats.failed_request_count)
        if state is AtProvider.FAILED:
            error = operation.error or _Error(message="it failed")
            return BatchStanding(state, done, error.message)
        return BatchStanding(state, done, results=(provider_id,) if state is AtProvider.ENDED else ())

    async def results(self, standing: BatchStanding) -> AsyncIterator[LineResult]:
        for place in standing.results:
            operation = await self._operation(place)
            for output in (operation.response, operation.metadata.output):
                for answer in output.inlined_responses.inlined_responses:
                    yield _result(answer)
                if output.responses_file:
                    path = f"{self._prefix}{output.responses_file}:download?alt=media"
                    for line in lines_of(await self._caller.get(path)):
                        yield _result(read(line, _Answer))
                if output.inlined_responses.inlined_responses or output.responses_file:
                    break

    async def cancel(self, provider_id: str) -> None:
        await self._caller.post(f"{self._prefix}{provider_id}:cancel", b"{}")

    async def clear(self, batch_id: str, provider_id: str, since: float) -> None:
        """Its file, if it has one, before the operation that knows of it."""
        if not provider_id:
            return
        try:
            operation = await self._operation(provider_id)
        except UpstreamRejected as error:
            if error.upstream_status != 404:
                raise
            return
        for name in {operation.response.responses_file, operation.metadata.output.responses_file} - {""}:
            await self._caller.delete(f"{self._prefix}{name}")
        await self._caller.delete(f"{self._prefix}{provider_id}")

    async def _operation(self, provider_id: str) -> _Operation:
        return read(await self._caller.get(f"{self._prefix}{provider_id}"), _Operation)


def _result(answer: _Answer) -> LineResult:
    key, error = answer.metadata.key or answer.key, answer.error
    if bytes(answer.response) != b"null" and error is None:
        return LineResult(key, LineEnd.ANSWERED, bytes(answer.response), 200)
    error = error or _Error(13, "it has neither an answer nor an error")
    if error.code == _CANCELLED:
        return LineResult(key, LineEnd.CANCELLED)
    said = {"error": {"code": error.code, "message": error.message}}
    return LineResult(key, LineEnd.ERROR, msgspec.json.encode(said), _STATUSES.get(error.code, 500))
