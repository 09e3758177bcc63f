"""A batch's files in OpenAI's shape. https://platform.openai.com/docs/api-reference/batch has the objects."""

from __future__ import annotations

from typing import Any

import msgspec

from headgate.file_types import LineProblem, NewBatch
from headgate.job_types import Item, ItemState
from headgate.wire.batches.reading import BatchLine, embedded, json_problem
from headgate.wire.lines import Line

LONGEST_ID = 512
KINDS = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/responses": "responses",
    "/v1/embeddings": "embed",
}
_UNFINISHED = {
    ItemState.CANCELLED: ("batch_cancelled", "This request was not executed: the batch was cancelled."),
    ItemState.EXPIRED: (
        "batch_expired",
        "This request could not be executed before the completion window expired.",
    ),
}


class _Request(msgspec.Struct):
    custom_id: Any = None
    method: Any = None
    url: Any = None
    body: msgspec.Raw = msgspec.Raw(b"null")


_request = msgspec.json.Decoder(_Request)


def read_line(line: Line, asked: NewBatch) -> BatchLine | LineProblem:
    """A request of the input file, or why it is none."""
    if (problem := json_problem(line)) is not None:
        return problem
    assert line.body is not None
    request = _request.decode(line.body)
    named = request.custom_id if isinstance(request.custom_id, str) and request.custom_id else None

    def wrong(code: str, message: str, param: str) -> LineProblem:
        return LineProblem(code, message, line.number, param, named and named[:LONGEST_ID])

    if request.custom_id is None:
        return wrong("missing_required_parameter", "Each line needs a 'custom_id'.", "custom_id")
    if named is None or len(named) > LONGEST_ID:
        return wrong("invalid_custom_id", f"'custom_id' is a text of 1 to {LONGEST_ID} characters.", "custom_id")
    if request.method != "POST":
        return wrong("invalid_method", "'method' must be POST.", "method")
    if request.url != asked.endpoint:
        return wrong("invalid_url", f"'url' must be {asked.endpoint}, as of the whole batch.", "url")
    body = bytes(request.body)
    if not body.startswith(b"{"):
        return wrong("missing_required_parameter", "Each line needs a 'body' that is a JSON object.", "body")
    return BatchLine(line.number, named, body)


def result_line(batch_id: str, item: Item) -> tuple[bytes, bool]:
    """What came of a request, and whether it goes into the file of errors."""
    response: dict[str, object] | None = None
    error: dict[str, object] | None = None
    if item.state is ItemState.SUCCEEDED:
        response = {"status_code": 200, "request_id": item.request_id, "body": msgspec.Raw(item.result)}
    elif item.state in _UNFINISHED:
        code, message = _UNFINISHED[item.state]
        error = {"code": code, "message": message}
    elif item.refusal is not None:
        body = embedded(item.refusal.body) or {"error": {"message": item.error, "code": item.error_code}}
        response = {"status_code": item.refusal.status, "request_id": item.request_id, "body": body}
    else:
        error = {"code": item.error_code, "message": item.error}
    line = _line(batch_id, item.number, item.label, response, error)
    return line, item.state is not ItemState.SUCCEEDED


def problem_line(batch_id: str, problem: LineProblem) -> bytes:
    """A line of the input file that was no request, in the file of errors."""
    error: dict[str, object] = {"code": problem.code, "message": problem.message}
    if problem.line:
        error["line"] = problem.line
    return _line(batch_id, problem.line, problem.custom_id, None, error)


def _line(batch_id: str, number: int, custom_id: str | None, response: object, error: object) -> bytes:
    name = f"batch_req_{batch_id.removeprefix('batch_')}_{number}"
    return msgspec.json.encode({"id": name, "custom_id": custom_id, "response": response, "error": error}) + b"\n"
