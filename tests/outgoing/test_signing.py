"""Signatures, judged by OpenAI's package, which checks webhooks by the same specification."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import InvalidWebhookSignatureError, OpenAI

from headgate.outgoing.signing import secret_bytes, signature, signed_headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
CLIENT = OpenAI(api_key="none")


def test_a_signature_that_is_known() -> None:
    """Computed with openssl dgst -sha256 -mac HMAC."""
    made = signature(secret_bytes(SECRET), "msg_1", 1_614_265_330, BODY)
    assert made == "v1,9o7UeFkn1GjVbcY4emAJruJCYqgH2EIf8u/slvVRBZI="


@given(st.binary(min_size=16, max_size=64), st.text(), st.from_regex(r"\Aalert_[0-9a-f]{32}\Z"))
def test_another_implementation_agrees(key: bytes, text: str, message_id: str) -> None:
    body = text.encode()
    headers = dict(signed_headers(key, message_id, int(time.time()), body))
    secret = f"whsec_{base64.b64encode(key).decode()}"
    CLIENT.webhooks.verify_signature(body, headers, secret=secret)
    with pytest.raises(InvalidWebhookSignatureError):
        CLIENT.webhooks.verify_signature(body + b" ", headers, secret=secret)


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        ("whsec_dGVzdA==", b"test"),
        ("whsec_dGVzdA", b"test"),
        ("dGVzdA==", b"test"),
        ("whsec_test", base64.b64decode("test")),
        ("whsec_no base64!", b"no base64!"),
        ("whsec_\u00fc", b"\xc3\xbc"),
        ("whsec_a", b"a"),
    ],
)
def test_secrets_are_read_leniently(secret: str, key: bytes) -> None:
    assert secret_bytes(secret) == key


def test_without_a_secret_there_is_no_signature() -> None:
    assert [name for name, _ in signed_headers(b"", "alert_1", 5, BODY)] == ["webhook-id", "webhook-timestamp"]
