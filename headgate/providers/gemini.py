"""The provider `gemini`: Google's Gemini API. Knows its URLs and headers, no bodies."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence

from headgate.providers.generating import google_key, method, model_path, versioned
from headgate.providers.sending import Sender
from headgate.providers.upstream.connect import Connector
from headgate.providers.upstream.connection import Response
from headgate.providers.upstream.pool import PoolSettings
from headgate.types import Operation

API_VERSION = "v1beta"  # the one that has all there is; v1 lacks much of it


class GeminiProvider:
    """Implements `ports.Provider` for one deployment. `headers` are added to every request."""

    kind = "gemini"

    def __init__(self, name: str, connector: Connector, pools: PoolSettings, headers: Mapping[str, str]) -> None:
        self.name = name
        self._sender = Sender(name, connector, pools, headers, google_key)

    def send(
        self, operation: Operation, body: bytes, *, endpoint: str, api_key: str, headers: Sequence[tuple[str, str]] = ()
    ) -> Coroutine[None, None, Response]:
        """POST `body` to the model's method, below the version in the endpoint, or v1beta. Raises as `Sender.post`.

        Raises RouteNotServed for an API that Google does not have.
        """
        path = f"{model_path(operation.model, 'models')}:{method(operation)}"
        return self._sender.post(endpoint, versioned(path, endpoint, API_VERSION), api_key, body, headers)

    async def aclose(self) -> None:
        """Close idle connections and refuse new requests; requests under way may finish."""
        await self._sender.aclose()
