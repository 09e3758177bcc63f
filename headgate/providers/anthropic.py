"""The provider `anthropic`: Anthropic's Messages API. Knows its URLs and headers, no bodies."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence

from headgate.providers.sending import Sender
from headgate.providers.upstream.connect import Connector
from headgate.providers.upstream.connection import Response
from headgate.providers.upstream.pool import PoolSettings
from headgate.types import Operation

API_VERSION = ("anthropic-version", "2023-06-01")


class AnthropicProvider:
    """Implements `ports.Provider` for one deployment. `headers` are added to every request."""

    kind = "anthropic"

    def __init__(self, name: str, connector: Connector, pools: PoolSettings, headers: Mapping[str, str]) -> None:
        self.name = name
        self._sender = Sender(name, connector, pools, headers, _authorize)
        self._knows_version = any(header.lower() == API_VERSION[0] for header in headers)

    def send(
        self, operation: Operation, body: bytes, *, endpoint: str, api_key: str, headers: Sequence[tuple[str, str]] = ()
    ) -> Coroutine[None, None, Response]:
        """POST `body` to `endpoint`/v1/`operation.api`, the version in the endpoint or not. Raises as `Sender.post`.

        The API's version is the caller's, else the one headgate was written for.
        """
        path = operation.api if endpoint.endswith("/v1") else f"v1/{operation.api}"
        if self._knows_version:
            headers = [header for header in headers if header[0] != API_VERSION[0]]
        elif all(name != API_VERSION[0] for name, _ in headers):
            headers = (*headers, API_VERSION)
        return self._sender.post(endpoint, path, api_key, body, headers)

    async def aclose(self) -> None:
        """Close idle connections and refuse new requests; requests under way may finish."""
        await self._sender.aclose()


def _authorize(api_key: str) -> Mapping[str, str]:
    return {"x-api-key": api_key}
