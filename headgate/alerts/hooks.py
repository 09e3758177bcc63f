"""Channels that are URLs: webhooks, signed, and Slack's. They use the HTTP client that providers are asked with."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from headgate import __version__
from headgate.alert_types import Alert
from headgate.alerts.channel import ATTEMPT_SECONDS, Undelivered, short
from headgate.alerts.messages import message_id, slack_body, webhook_body
from headgate.alerts.signing import secret_bytes, signed_headers
from headgate.errors import HeadgateError
from headgate.providers.upstream.client import Client, Destination
from headgate.providers.upstream.connect import Connector
from headgate.providers.upstream.connection import Response
from headgate.providers.upstream.pool import PoolSettings

GONE = 410  # the receiver wants no more of it (Standard Webhooks, "Failed deliveries")
MAX_READ_BYTES = 10_000
_POOLS = PoolSettings(max_connections=4, keep_alive_seconds=5.0)
_HEADERS = {"content-type": "application/json", "user-agent": f"headgate/{__version__}"}


class Webhook:
    """A URL that is told of events as Standard Webhooks describes it."""

    def __init__(self, name: str, kinds: frozenset[str], url: str, secret: str, connector: Connector) -> None:
        self.name = name
        self.kinds = kinds
        self._key = secret_bytes(secret) if secret else b""
        self._caller = _Caller(url, connector)

    async def send(self, alert: Alert, now: float) -> str:
        body = webhook_body(alert)
        return await self._caller.post(body, signed_headers(self._key, message_id(alert), int(now), body))

    async def aclose(self) -> None:
        await self._caller.aclose()


class SlackHook:
    """A URL that takes `{"text": ...}`."""

    def __init__(self, name: str, kinds: frozenset[str], url: str, connector: Connector) -> None:
        self.name = name
        self.kinds = kinds
        self._caller = _Caller(url, connector)

    async def send(self, alert: Alert, now: float) -> str:
        return await self._caller.post(slack_body(alert), ())

    async def aclose(self) -> None:
        await self._caller.aclose()


class _Caller:
    """POSTs to one URL."""

    def __init__(self, url: str, connector: Connector) -> None:
        parts = urlsplit(url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._path = parts.path.removeprefix("/") + (f"?{parts.query}" if parts.query else "")
        self._client = Client(connector, _POOLS)
        self._destination: Destination | None = None

    async def post(self, body: bytes, headers: tuple[tuple[str, str], ...]) -> str:
        """Status and beginning of a 2xx answer. Raises Undelivered for anything else; redirects are not followed."""
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                self._destination = self._destination or self._client.destination(self._origin, self._path, _HEADERS)
                response = await self._client.send(self._destination, body, headers)
                try:
                    return await _judged(response)
                finally:
                    response.close()
        except TimeoutError:
            raise Undelivered(f"no answer within {ATTEMPT_SECONDS:g} s") from None
        except HeadgateError as error:
            raise Undelivered(error.message) from error

    async def aclose(self) -> None:
        await self._client.aclose()


async def _judged(response: Response) -> str:
    said = bytearray()
    while len(said) < MAX_READ_BYTES and (piece := await response.read()):
        said += piece
    answer = short(f"{response.status} {said[:MAX_READ_BYTES].decode('utf-8', 'replace')}")
    if 200 <= response.status < 300:
        return answer
    asked = response.headers.get("retry-after", "")
    seconds = float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 7 else 0.0
    raise Undelivered(answer, final=response.status == GONE, retry_after_seconds=seconds)
