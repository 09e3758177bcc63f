"""Errors as Anthropic's SDKs want them."""

from __future__ import annotations

import json

import pytest

from headgate.errors import (
    BodyTooLarge,
    Forbidden,
    HeadgateError,
    InternalError,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    SlowSender,
    StreamFailed,
    TotalTimeout,
    Unauthenticated,
    Untranslatable,
    UpstreamRejected,
)
from headgate.wire.messages.errors import error_body, error_event, error_type


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequest("x"), "invalid_request_error"),
        (Unauthenticated("x"), "authentication_error"),
        (Forbidden("x"), "permission_error"),
        (ModelNotFound("x"), "not_found_error"),
        (BodyTooLarge("x"), "request_too_large"),
        (SlowSender("x"), "timeout_error"),
        (InternalError("x"), "api_error"),
        (StreamFailed("x"), "api_error"),
        (Overloaded("x"), "overloaded_error"),
        (TotalTimeout("x"), "timeout_error"),
    ],
)
def test_types_follow_the_status(error: HeadgateError, kind: str) -> None:
    assert json.loads(error_body(error, "req_1")) == {
        "type": "error",
        "error": {"type": kind, "message": "x"},
        "request_id": "req_1",
    }


@pytest.mark.parametrize(
    ("status", "kind"),
    [(402, "billing_error"), (422, "invalid_request_error"), (429, "rate_limit_error"), (502, "api_error"),
     (529, "overloaded_error")],
)  # fmt: skip
def test_the_other_statuses(status: int, kind: str) -> None:
    assert error_type(status) == kind


def test_sdks_are_told_to_go_on_without_threads() -> None:
    error = json.loads(error_body(Untranslatable("x", param="thread"), "req_1"))["error"]
    assert error["details"] == {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
    assert "details" not in json.loads(error_body(Untranslatable("x", param="speed"), "req_1"))["error"]


OWN = b'{"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}, "request_id": "req_theirs"}'


def rejected(body: bytes, dialect: str) -> UpstreamRejected:
    return UpstreamRejected("Slow down", upstream_status=429, body=body, dialect=dialect)


def test_anthropics_own_words_pass_as_they_came() -> None:
    assert error_body(rejected(OWN, "anthropic"), "req_1") == OWN


@pytest.mark.parametrize(
    ("body", "dialect"),
    [(OWN, "openai"), (b'{"error": {"message": "Slow down"}}', "anthropic"), (b"<html>", "anthropic"), (b"", "openai")],
)
def test_other_words_are_put_into_its_shape(body: bytes, dialect: str) -> None:
    value = json.loads(error_body(rejected(body, dialect), "req_1"))
    assert value["error"] == {"type": "rate_limit_error", "message": "Slow down"} and value["request_id"] == "req_1"


def test_an_error_ends_a_stream_as_an_event_of_one_line() -> None:
    event = error_event(StreamFailed("line\nend"), "req_1")
    assert event.startswith(b"event: error\ndata: {") and event.endswith(b"}\n\n") and event.count(b"\n") == 3
    indented = json.dumps(json.loads(OWN), indent=2).encode()
    assert error_event(rejected(indented, "anthropic"), "req_1").count(b"\n") == 3
