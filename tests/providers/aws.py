"""AWS as far as requests for Bedrock see it: whether a signature is right, and where credentials come from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from tests.providers.loopback import HOST, Handler, Peer, header

KEY_ID, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session/token=="
REGION = "eu-central-1"
VARIABLES = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)  # fmt: skip


def is_signed(head: str, body: bytes, port: int, secret: str = SECRET) -> bool:
    """Whether a request carries the signature that the vendor's own library makes for it."""
    authorization = header(head, "authorization") or ""
    signed = authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    path = head.split(" ")[1]
    headers = {name: header(head, name) or "" for name in signed}
    request = AWSRequest(method="POST", url=f"http://{HOST}:{port}{path}", data=body, headers=headers)
    request.context["timestamp"] = headers["x-amz-date"]
    auth = SigV4Auth(ReadOnlyCredentials(KEY_ID, secret, None), "bedrock", REGION)
    wanted = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    scope = f"{KEY_ID}/{headers['x-amz-date'][:8]}/{REGION}/bedrock/aws4_request"
    return authorization == (
        f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={';'.join(signed)}, Signature={wanted}"
    )


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """An environment without credentials and without a metadata service."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    yield monkeypatch


def giving_credentials(*answers: dict[str, str]) -> Handler:
    """The endpoint that containers ask for credentials: each answer once, then the last again and again."""

    asked = 0

    async def handler(peer: Peer) -> None:
        nonlocal asked
        while True:
            await peer.request()
            answer = answers[min(asked, len(answers) - 1)]
            asked += 1
            body = json.dumps(answer).encode()
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            await peer.send(head.encode() + body)

    return handler


def credentials(secret: str, expiration: str) -> dict[str, str]:
    return {"AccessKeyId": KEY_ID, "SecretAccessKey": secret, "Token": TOKEN, "Expiration": expiration}
