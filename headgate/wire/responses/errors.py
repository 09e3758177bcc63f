"""Errors as clients of the Responses API get them: OpenAI's body, and the last event of a stream that failed."""

from __future__ import annotations

import msgspec

from headgate.errors import HeadgateError
from headgate.wire import openai

error_body = openai.error_body


class _Words(msgspec.Struct):
    message: str
    type: str
    param: str | None
    code: str
    request_id: str


class _ErrorEvent(msgspec.Struct, tag_field="type", tag="error"):
    """The documented event, and within it OpenAI's error object, which is what makes its SDKs raise."""

    code: str
    message: str
    param: str | None
    sequence_number: int
    error: _Words


def error_event(error: HeadgateError, request_id: str) -> bytes:
    """The typed last event of a stream that could not be completed. Its number is not known here."""
    words = _Words(error.message, error.kind, error.param, error.code, request_id)
    event = _ErrorEvent(error.code, error.message, error.param, 0, words)
    return b"event: error\ndata: %s\n\n" % msgspec.json.encode(event)
