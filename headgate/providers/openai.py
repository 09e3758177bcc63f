"""The provider `openai`: OpenAI and every server that speaks its dialect. Knows its URLs and headers, no bodies."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence

from headgate.providers.sending import Sender, bearer
from headgate.providers.upstream.connect import Connector
from headgate.providers.upstream.connection import Response
from headgate.providers.upstream.pool import PoolSettings
from headgate.types import Operation


class OpenAIProvider:
    """Implements `ports.Provider` for one deployment. `headers` are added to every request."""

    kind = "openai"

    def __init__(self, name: str, connector: Connector, pools: PoolSettings, headers: Mapping[str, str]) -> None:
        self.name = name
        self._sender = Sender(name, connector, pools, headers, bearer)

    def send(
        self, operation: Operation, body: bytes, *, endpoint: str, api_key: str, headers: Sequence[tuple[str, str]] = ()
    ) -> Coroutine[None, None, Response]:
        """POST `body` to `endpoint`/`operation.api`. Raises as `Sender.post`."""
        return self._sender.post(endpoint, operation.api, api_key, body, headers)

    async def aclose(self) -> None:
        """Close idle connections and refuse new requests; requests under way may finish."""
        await self._sender.aclose()
