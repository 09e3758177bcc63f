"""Google's token endpoint, as far as a service account needs it: checks what was signed and gives out tokens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs

import google.auth.jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.providers.loopback import Handler, Peer

ACCOUNT = "headgate@project.iam.gserviceaccount.com"
LIFETIME_SECONDS = 3600


class TokenServer:
    """Answers with `token-1`, `token-2` and so on, or with the statuses in `failures` first."""

    def __init__(self, failures: Sequence[int] = ()) -> None:
        self.asked = 0
        self._failures = list(failures)
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def handler(self) -> Handler:
        async def handle(peer: Peer) -> None:
            while True:
                head, body = await peer.request()
                status, answer = self._answer(head, body)
                data = json.dumps(answer).encode()
                await peer.send(b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\n" % status)
                await peer.send(b"content-length: %d\r\n\r\n%s" % (len(data), data))

        return handle

    def write_credentials(self, path: Path, token_url: str) -> str:
        """A service account's key file, whose tokens come from `token_url`."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        account = {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": "1",
            "private_key": pem.decode(),
            "client_email": ACCOUNT,
            "token_uri": token_url,
        }
        path.write_text(json.dumps(account), encoding="utf-8")
        return str(path)

    def _answer(self, head: str, body: bytes) -> tuple[int, object]:
        assert head.startswith("POST /token ")
        self.asked += 1
        if self._failures:
            return self._failures.pop(0), {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        claims = google.auth.jwt.decode(parse_qs(body.decode())["assertion"][0], verify=False)
        assert (claims["iss"], claims["scope"]) == (ACCOUNT, "https://www.googleapis.com/auth/cloud-platform")
        return 200, {"access_token": f"token-{self.asked}", "expires_in": LIFETIME_SECONDS, "token_type": "Bearer"}
