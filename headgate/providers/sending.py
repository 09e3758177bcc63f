"""What the adapters of HTTP providers have in common: prepared request heads, keys, and the pools of one deployment."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence

from headgate import __version__
from headgate.errors import UpstreamAuth
from headgate.providers.upstream.client import FIELD_VALUE, Client, Destination, render_headers
from headgate.providers.upstream.connect import Connector
from headgate.providers.upstream.connection import Response
from headgate.providers.upstream.pool import PoolSettings

MAX_DESTINATIONS = 1024
WITHOUT_KEY = ("", "none")

Authorize = Callable[[str], Mapping[str, str]]


class Sender:
    """Sends the requests of one deployment: its connections are bounded by `pools`, and made by a shared `connector`.

    `authorize` makes the headers that carry a key; `headers` are added to every request and win over the usual ones.
    Raises InvalidRequest for one that cannot be sent.
    """

    def __init__(
        self, name: str, connector: Connector, pools: PoolSettings, headers: Mapping[str, str], authorize: Authorize
    ) -> None:
        render_headers(headers.items())  # a bad header is told at start, not at the first request
        self._name = name
        self._client = Client(connector, pools)
        self._headers = {name.lower(): value for name, value in headers.items()}
        self._authorize = authorize
        self._user_agent = f"headgate/{__version__}"
        self._destinations: dict[tuple[str, str, str], Destination] = {}

    def post(
        self, endpoint: str, path: str, api_key: str, body: bytes, headers: Sequence[tuple[str, str]] = ()
    ) -> Coroutine[None, None, Response]:
        """POST `body` to `endpoint`/`path` and return when status and headers are there.

        Raises UpstreamUnreachable, ConnectTimeout, UpstreamBusy, StreamIncomplete or StreamMalformed; UpstreamAuth or
        InvalidRequest for a key or header that cannot be sent. Cancelling it closes the socket.
        """
        destination = self._destinations.get((endpoint, path, api_key)) or self._prepare(endpoint, path, api_key)
        return self._client.send(destination, body, headers)

    async def aclose(self) -> None:
        """Close idle connections and refuse new requests; requests under way may finish."""
        await self._client.aclose()

    def _prepare(self, endpoint: str, path: str, api_key: str) -> Destination:
        headers = {"user-agent": self._user_agent, "content-type": "application/json"}
        if api_key not in WITHOUT_KEY:
            if not FIELD_VALUE.fullmatch(api_key):
                raise UpstreamAuth(
                    f"A key of the provider {self._name} has a line break or another forbidden character."
                )
            headers |= self._authorize(api_key)
        if len(self._destinations) >= MAX_DESTINATIONS:
            self._destinations.clear()
            self._client.forget_unused()
        destination = self._client.destination(endpoint, path, headers | self._headers)
        self._destinations[endpoint, path, api_key] = destination
        return destination


def bearer(api_key: str) -> Mapping[str, str]:
    """The usual way to carry a key (RFC 6750)."""
    return {"authorization": f"Bearer {api_key}"}
