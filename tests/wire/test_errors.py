"""Errors on the wire: OpenAI's shape, a provider's own words, and what must not be seen."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import HeadgateError, InvalidRequest, Overloaded, UpstreamRejected
from headgate.gateway.http.headers import error_head
from headgate.wire.openai import error_body, error_message, error_status, model_list


def rejected(body: bytes, status: int = 400, content_type: str = "application/json; charset=utf-8") -> UpstreamRejected:
    return UpstreamRejected("The provider answered.", upstream_status=status, body=body, content_type=content_type)


def test_the_shape() -> None:
    body = json.loads(error_body(InvalidRequest("'n' is wrong.", param="n"), "req_1"))
    assert body == {
        "error": {
            "message": "'n' is wrong.", "type": "invalid_request_error", "param": "n", "code": "invalid_request",
            "request_id": "req_1",
        }
    }  # fmt: skip
    assert error_status(InvalidRequest("x")) == 400


def test_a_providers_own_json_error_is_passed_on_as_it_came() -> None:
    own = b'{"error": {"message": "too long", "code": "context_length_exceeded", "odd": 1.0}}'
    assert error_body(rejected(own), "req_1") == own
    assert error_status(rejected(own, 429)) == 429


@pytest.mark.parametrize("error", [rejected(b"<html>", content_type="text/html"), rejected(b"")])
def test_what_is_no_json_is_put_into_the_shape(error: UpstreamRejected) -> None:
    assert json.loads(error_body(error, "req_1"))["error"]["code"] == "upstream_rejected"


def test_waiting_times_are_rounded_up() -> None:
    head = error_head(Overloaded("x", retry_after_seconds=1.2001), "req_1").decode()
    assert "retry-after: 2\r\n" in head and "retry-after-ms: 1201\r\n" in head


def test_no_header_is_split_by_what_a_provider_says() -> None:
    error = HeadgateError("x")
    error.attempts = "openai/a\r\nset-cookie: x=1"
    assert "\nset-cookie" not in error_head(error, "req_1").decode()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"message": "m", "type": "t"}}', "m"),
        (b'{"error": "m"}', "m"),
        (b'{"object": "error", "message": "m", "code": 40001}', "m"),
        (b'{"detail": "m"}', "m"),
        (b'{"message": {"detail": "m"}}', "m"),
        (b'{"detail": [{"loc": ["body"], "msg": "bad"}]}', '[{"loc":["body"],"msg":"bad"}]'),
        (b'{"error": null, "x": 1}', '{"error":null,"x":1}'),
        (b"<html>Bad Gateway</html>", "<html>Bad Gateway</html>"),
        (b"", "no message"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b'{"error": "\xff"}', '{"error": "\ufffd"}'),
    ],
)
def test_the_sentence_in_an_error_body(body: bytes, message: str) -> None:
    assert error_message(body) == message


@given(st.binary(max_size=2000))
def test_there_is_always_a_sentence_of_bounded_length(body: bytes) -> None:
    assert 0 < len(error_message(body)) <= 1000


def test_the_list_of_models() -> None:
    listed = json.loads(model_list([("small", "openai"), ("large", "anthropic")], 1_700_000_000))
    assert listed["object"] == "list"
    assert listed["data"][0] == {"id": "small", "object": "model", "created": 1_700_000_000, "owned_by": "openai"}
