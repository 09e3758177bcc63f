"""The provider `vertex`: Google's models as Vertex AI serves them. Knows its URLs and headers, no bodies.

Where access tokens come from is `google_tokens.py`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from headgate.providers.generating import google_key, method, model_path, versioned
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
        """One that is valid for a while.

        Raises UpstreamAuth if Google refuses the credentials, UpstreamUnreachable if it cannot be asked.
        """

    def forget(self, token: str) -> None:
        """A token was refused: do not give it out again."""


class VertexPlace(Frozen, frozen=True):
    """Whose Vertex AI, and where: `location` is a region such as europe-west4, or global.

    Without a project a key says whose it is: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/start/api-keys
    """

    project: str
    location: str

    @property
    def path(self) -> str:
        return f"projects/{self.project}/locations/{self.location}/" if self.project else ""


class VertexProvider:
    """Implements `ports.Provider` for one deployment. `headers` are added to every request.

    Without `tokens` requests carry their API key, or nothing if there is none.
    """

    kind = "vertex"

    def __init__(
        self,
        name: str,
        connector: Connector,
        pools: PoolSettings,
        headers: Mapping[str, str],
        place: VertexPlace,
        tokens: Tokens | None,
    ) -> None:
        self.name = name
        self._sender = Sender(name, connector, pools, headers, google_key if tokens is None else bearer)
        self._parent = place.path
        self._tokens = tokens

    async def send(
        self, operation: Operation, body: bytes, *, endpoint: str, api_key: str, headers: Sequence[tuple[str, str]] = ()
    ) -> Response:
        """POST `body` to the model's method, below the version in the endpoint, or v1.

        Raises as `Sender.post` and `Tokens.token` do, and RouteNotServed for an API that Google does not have.
        """
        model = model_path(operation.model, "publishers/google/models")
        path = versioned(f"{self._parent}{model}:{method(operation)}", endpoint, API_VERSION)
        if self._tokens is None:
            return await self._sender.post(endpoint, path, api_key, body, headers)
        token = await self._tokens.token()
        response = await self._sender.post(endpoint, path, token, body, headers)
        if response.status == _UNAUTHENTICATED:
            self._tokens.forget(token)
        return response

    async def aclose(self) -> None:
        """Close idle connections and refuse new requests; requests under way may finish."""
        await self._sender.aclose()
