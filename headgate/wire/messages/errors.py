"""Errors in Anthropic's shape. https://docs.anthropic.com/en/api/errors lists its types and their statuses."""

from __future__ import annotations

import msgspec

from headgate.errors import HeadgateError, Untranslatable, UpstreamRejected
from headgate.limit_errors import LimitRefusal

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


# What makes Anthropic's SDKs go on without threads, with the whole history.
_NO_THREADS = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}


class _Error(msgspec.Struct):
    type: str
    message: str


class _Body(msgspec.Struct, tag="error"):
    error: _Error


_body = msgspec.json.Decoder(_Body)


def error_type(status: int) -> str:
    """Anthropic's name for an error of this HTTP status."""
    return _TYPES.get(status) or ("api_error" if status >= 500 else "invalid_request_error")


def error_body(error: HeadgateError, request_id: str) -> bytes:
    """An error in Anthropic's shape; a provider's own body that has it already is passed on as it came."""
    status, message = error.status, error.message
    if isinstance(error, UpstreamRejected):
        if error.dialect == "anthropic" and _is_anthropics(error.body):
            return error.body
        status, message = error.upstream_status, error.words
    described: dict[str, object] = {"type": error_type(status), "message": message}
    if isinstance(error, Untranslatable) and error.param == "thread":
        described["details"] = _NO_THREADS
    if isinstance(error, LimitRefusal) and error.detail is not None:
        described["limit"] = error.detail
    return msgspec.json.encode({"type": "error", "error": described, "request_id": request_id})


def error_event(error: HeadgateError, request_id: str) -> bytes:
    """The last event of a stream that could not be completed; Anthropic's SDKs raise it as an API error."""
    body = error_body(error, request_id)
    if b"\n" in body or b"\r" in body:  # a provider may indent its JSON, but an event's data is one line
        body = msgspec.json.encode(msgspec.json.decode(body))
    return b"event: error\ndata: " + body + b"\n\n"


def _is_anthropics(body: bytes) -> bool:
    try:
        _body.decode(body)
    except (ValueError, RecursionError):
        return False
    return True
