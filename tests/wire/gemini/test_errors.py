"""Google's error objects: their words, our own key, and how long to wait."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headgate.wire.gemini.errors import error_message, is_about_our_key, retry_after_seconds

NO_KEY = {
    "error": {
        "code": 400,
        "message": "API key not valid. Please pass a valid API key.",
        "status": "INVALID_ARGUMENT",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
            },
            {"@type": "type.googleapis.com/google.rpc.LocalizedMessage", "locale": "en-US", "message": "No."},
        ],
    }
}
QUOTA = {
    "error": {
        "code": 429,
        "message": "You exceeded your current quota.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "x"}]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.074824224s"},
        ],
    }
}


def encoded(value: Any) -> bytes:
    return json.dumps(value, indent=2).encode()


def test_words() -> None:
    assert error_message(encoded(NO_KEY)) == "API key not valid. Please pass a valid API key."
    assert error_message(encoded([QUOTA])) == "You exceeded your current quota."
    assert error_message(encoded({"error": {"status": "INTERNAL"}})) == "INTERNAL"
    assert len(error_message(encoded({"error": {"message": "x" * 5000}}))) == 1000


@pytest.mark.parametrize(
    ("body", "words"),
    [(b"", "no message"), (b"<html>503</html>", "<html>503</html>"), (b"[]", "[]"), (b'{"error":', '{"error":')],
)
def test_what_is_no_error_object_is_shown_as_it_came(body: bytes, words: str) -> None:
    assert error_message(body) == words
    assert not is_about_our_key(body)
    assert retry_after_seconds(body) is None


def test_our_own_key_is_refused_with_status_400() -> None:
    assert is_about_our_key(encoded(NO_KEY))
    assert not is_about_our_key(encoded(QUOTA))


def test_how_long_to_wait_is_in_the_body() -> None:
    assert retry_after_seconds(encoded(QUOTA)) == 34.074824224
    assert retry_after_seconds(encoded(NO_KEY)) is None


@pytest.mark.parametrize("delay", ["soon", "xs", "-1s", "infs", "nans", ""])
def test_a_delay_that_is_none(delay: str) -> None:
    assert retry_after_seconds(encoded({"error": {"details": [{"retryDelay": delay}]}})) is None
