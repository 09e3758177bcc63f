"""POSTs of JSON to URLs, with the HTTP client that providers are asked with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

from headgate import __version__
from headgate.errors import HeadgateError
from headgate.outgoing.undelivered import ATTEMPT_SECONDS, Undelivered, short
from headgate.providers.upstream.client import Client
from headgate.providers.upstream.connect import Connector
from headgate.providers.upstream.connection import Response
from headgate.providers.upstream.pool import PoolSettings

GONE = 410  # the receiver wants no more of it (Standard Webhooks, "Failed deliveries")
MAX_READ_BYTES = 10_000
_POOLS = PoolSettings(max_connections=4, keep_alive_seconds=5.0)
_HEADERS = {"content-type": "application/json", "user-agent": f"headgate/{__version__}"}


class Poster:
    """Calls URLs, each origin over a few connections of its own."""

    def __init__(self, connector: Connector, pools: PoolSettings = _POOLS) -> None:
        self._client = Client(connector, pools)

    async def post(self, url: str, body: bytes, headers: Sequence[tuple[str, str]] = ()) -> str:
        """Status and beginning of a 2xx answer. Raises Undelivered for anything else; redirects are not followed."""
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                self._client.forget_unused()
                origin, path = _taken_apart(url)
                destination = self._client.destination(origin, path, _HEADERS)
                response = await self._client.send(destination, body, headers)
                try:
                    return await _judged(response)
                finally:
                    response.close()
        except TimeoutError:
            raise Undelivered(f"no answer within {ATTEMPT_SECONDS:g} s") from None
        except HeadgateError as error:
            raise Undelivered(error.message) from error

    async def aclose(self) -> None:
        """Close idle connections; busy ones close when they are done."""
        await self._client.aclose()


def _taken_apart(url: str) -> tuple[str, str]:
    """The origin of a URL, and what comes after it."""
    parts = urlsplit(url)
    path = parts.path.removeprefix("/") + (f"?{parts.query}" if parts.query else "")
    return f"{parts.scheme}://{parts.netloc}", path


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
