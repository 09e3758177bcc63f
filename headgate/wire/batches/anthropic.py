"""A batch's requests and results in Anthropic's shape. https://docs.anthropic.com/en/api/creating-message-batches"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from headgate.errors import InvalidRequest, MalformedJson
from headgate.file_types import LineProblem, NewBatch
from headgate.job_types import Item, ItemState
from headgate.wire.batches.reading import BatchLine, embedded
from headgate.wire.lines import Line
from headgate.wire.messages.errors import error_type

ENDPOINT, KIND = "/v1/messages", "messages"
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_UNFINISHED = {ItemState.CANCELLED: "canceled", ItemState.EXPIRED: "expired"}


class _Request(msgspec.Struct):
    custom_id: Any = None
    params: msgspec.Raw = msgspec.Raw(b"null")


class _Kept(msgspec.Struct):
    custom_id: str
    params: msgspec.Raw


_request = msgspec.json.Decoder(_Request)
_kept = msgspec.json.Decoder(_Kept)


def kept_line(element: bytes, index: int) -> tuple[str, bytes]:
    """The custom id of an element of `requests`, and its line in the file. Raises MalformedJson, InvalidRequest."""
    place = f"requests[{index}]"
    try:
        request = _request.decode(element)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedJson(f"The body is not valid JSON at {place}: {error}.", param=place) from None
    except RecursionError:
        raise MalformedJson("The body is nested too deeply.", param=place) from None
    if not isinstance(request.custom_id, str) or not _CUSTOM_ID.fullmatch(request.custom_id):
        raise InvalidRequest(
            f"{place}.custom_id must be 1 to 64 letters, digits, '_' or '-'.", param=f"{place}.custom_id"
        )
    params = bytes(request.params)
    if not params.startswith(b"{"):
        raise InvalidRequest(f"{place}.params must be a JSON object.", param=f"{place}.params")
    line = msgspec.json.encode(_Kept(request.custom_id, msgspec.Raw(params)))
    return request.custom_id, (msgspec.json.format(line, indent=-1) if b"\n" in line else line) + b"\n"


def read_line(line: Line, asked: NewBatch) -> BatchLine | LineProblem:
    """A line that was kept."""
    if line.body is None:
        return LineProblem("request_too_large", "The request is larger than server.max_body_bytes.", line.number)
    kept = _kept.decode(line.body)
    return BatchLine(line.number, kept.custom_id, bytes(kept.params))


def result_line(_batch_id: str, item: Item) -> tuple[bytes, bool]:
    """What came of a request. All results are in one file."""
    result: dict[str, object]
    if item.state is ItemState.SUCCEEDED:
        result = {"type": "succeeded", "message": msgspec.Raw(item.result)}
    elif item.state in _UNFINISHED:
        result = {"type": _UNFINISHED[item.state]}
    else:
        body = item.refusal and embedded(item.refusal.body)
        status = item.refusal.status if item.refusal else 500
        result = _errored(error_type(status), item.error, item.request_id) if body is None else {
            "type": "errored", "error": body,
        }  # fmt: skip
    return _line(item.label, result), False


def problem_line(_batch_id: str, problem: LineProblem) -> bytes:
    """A request that was not even begun."""
    if problem.code == "batch_cancelled":
        return _line(problem.custom_id, {"type": "canceled"})
    return _line(problem.custom_id, _errored("invalid_request_error", problem.message, None))


def _errored(kind: str, message: str, request_id: str | None) -> dict[str, object]:
    error = {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}
    return {"type": "errored", "error": error}


def _line(custom_id: str | None, result: dict[str, object]) -> bytes:
    return msgspec.json.encode({"custom_id": custom_id, "result": result}) + b"\n"
