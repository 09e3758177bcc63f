"""The provider `bedrock`: models behind Amazon Bedrock's Converse. Knows its URLs and headers, no bodies.

How requests are signed is `aws_signing.py`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from urllib.parse import quote

from headgate.errors import RouteNotServed
from headgate.providers.sending import WITHOUT_KEY, Sender, bearer
from headgate.providers.upstream.connect import Connector
from headgate.providers.upstream.connection import Response
from headgate.providers.upstream.pool import PoolSettings
from headgate.types import Api, Operation

_FORBIDDEN = 403
_EXPIRED = "ExpiredToken"  # with or without "Exception" behind it


class Signer(Protocol):
    """Proves requests to AWS."""

    async def sign(self, url: str, body: bytes) -> Sequence[tuple[str, str]]:
        """The headers that prove a POST of `body` to `url`.

        Raises UpstreamAuth without credentials, UpstreamUnreachable if those who give them cannot be asked.
        """

    def forget(self) -> None:
        """The credentials were refused as expired: load them anew."""


class NoSigner:
    """Implements `Signer` for a server that asks for no proof."""

    async def sign(self, url: str, body: bytes) -> Sequence[tuple[str, str]]:
        return ()

    def forget(self) -> None:
        """There is nothing."""


class BedrockProvider:
    """Implements `ports.Provider` for one deployment. `headers` are added to every request.

    A configured key is one of Bedrock's API keys and sent as it is; without one every request is signed.
    """

    kind = "bedrock"

    def __init__(
        self, name: str, connector: Connector, pools: PoolSettings, headers: Mapping[str, str], signer: Signer
    ) -> None:
        self.name = name
        self._sender = Sender(name, connector, pools, headers, bearer)
        self._signer = signer

    async def send(
        self, operation: Operation, body: bytes, *, endpoint: str, api_key: str, headers: Sequence[tuple[str, str]] = ()
    ) -> Response:
        """POST `body` to `endpoint`/model/MODEL/converse, or converse-stream.

        Raises as `Sender.post` and `Signer.sign` do, and RouteNotServed for an API that Bedrock's adapter has not.
        """
        if operation.api is not Api.CONVERSE:
            raise RouteNotServed(f"Models behind Amazon Bedrock are not asked for '{operation.api}'.")
        method = "converse-stream" if operation.stream else "converse"
        path = f"model/{quote(operation.model, safe='')}/{method}"
        if api_key not in WITHOUT_KEY:
            return await self._sender.post(endpoint, path, api_key, body, headers)
        proof = await self._signer.sign(f"{endpoint}/{path}", body)
        response = await self._sender.post(endpoint, path, api_key, body, (*headers, *proof))
        if response.status == _FORBIDDEN and response.headers.get("x-amzn-errortype", "").startswith(_EXPIRED):
            self._signer.forget()
        return response

    async def aclose(self) -> None:
        """Close idle connections and refuse new requests; requests under way may finish."""
        await self._sender.aclose()
