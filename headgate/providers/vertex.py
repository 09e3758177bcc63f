"""The provider `vertex`: Google's models as Vertex AI serves them. Knows its URLs and headers, no bodies.

Where access tokens come from is `google_tokens.py`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from headgate.providers.generating import method, model_path, versioned
from headgate.providers.sending import Sender, bearer
from headgate.providers.upstream.connect import Connector
from headgate.providers.upstream.connection import Response
from headgate.providers.upstream.pool import PoolSettings
from headgate.types import Frozen, Operation

API_VERSION = "v1"
_UNAUTHENTICATED = 401


class Tokens(Protocol):
    """Where access tokens come from."""

    async def token(self) -> str:
        """One that is valid for a while; empty for a server that asks for none.

        Raises UpstreamAuth if Google refuses the credentials, UpstreamUnreachable if it cannot be asked.
        """

    def forget(self, token: str) -> None:
        """A token was refused: do not give it out again."""


class NoTokens:
    """Implements `Tokens` for a server that asks for none."""

    async def token(self) -> str:
        return ""

    def forget(self, token: str) -> None:
        """There is none."""


class VertexPlace(Frozen, frozen=True):
    """Whose Vertex AI, and where: `location` is a region such as europe-west4, or global."""

    project: str
    location: str


class VertexProvider:
    """Implements `ports.Provider` for one deployment. `headers` are added to every request."""

    kind = "vertex"

    def __init__(
        self,
        name: str,
        connector: Connector,
        pools: PoolSettings,
        headers: Mapping[str, str],
        place: VertexPlace,
        tokens: Tokens,
    ) -> None:
        self.name = name
        self._sender = Sender(name, connector, pools, headers, bearer)
        self._parent = f"projects/{place.project}/locations/{place.location}"
        self._tokens = tokens

    async def send(
        self, operation: Operation, body: bytes, *, endpoint: str, api_key: str, headers: Sequence[tuple[str, str]] = ()
    ) -> Response:
        """POST `body` to the model's method, below the version in the endpoint, or v1, with a token instead of a key.

        Raises as `Sender.post` and `Tokens.token` do, and RouteNotServed for an API that Google does not have.
        """
        path = f"{self._parent}/{model_path(operation.model, 'publishers/google/models')}:{method(operation)}"
        token = await self._tokens.token()
        response = await self._sender.post(endpoint, versioned(path, endpoint, API_VERSION), token, body, headers)
        if response.status == _UNAUTHENTICATED:
            self._tokens.forget(token)
        return response

    async def aclose(self) -> None:
        """Close idle connections and refuse new requests; requests under way may finish."""
        await self._sender.aclose()
