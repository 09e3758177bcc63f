"""Calls to a batch API: cold, one at a time, each with its whole answer. Knows URLs and headers, no batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec

from headgate.errors import StreamMalformed, UpstreamAuth, UpstreamRejected, UpstreamUnreachable
from headgate.providers.upstream.client import Client
from headgate.providers.upstream.connect import Connector
from headgate.providers.upstream.pool import PoolSettings
from headgate.types import Frozen
from headgate.wire import openai

Shape = TypeVar("Shape")

CALL_SECONDS = 120.0  # a file of tens of megabytes goes with one call
MAX_ANSWER_BYTES = 500_000_000
_GONE = (404, 410)


class Account(Frozen, frozen=True):
    """Where a batch API is, and what every call to it has in its head. Names in lower case."""

    endpoint: str
    headers: Mapping[str, str]


class Caller:
    """Calls one account, each time on a connection of its own: on one that was kept a call may be sent twice, should
    the other side have closed it meanwhile."""

    def __init__(self, account: Account, connector: Connector) -> None:
        self._account = account
        self._connector = connector

    async def get(self, path: str) -> bytes:
        """Raises UpstreamError."""
        return await self._call("GET", path, b"", {})

    async def post(self, path: str, body: bytes, content_type: str = "application/json") -> bytes:
        """Raises UpstreamError."""
        return await self._call("POST", path, body, {"content-type": content_type})

    async def delete(self, path: str) -> None:
        """What is not there is no error. Raises UpstreamError."""
        try:
            await self._call("DELETE", path, b"", {})
        except UpstreamRejected as error:
            if error.upstream_status not in _GONE:
                raise

    async def _call(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        account, client = self._account, Client(self._connector, PoolSettings(max_connections=1))
        destination = client.destination(account.endpoint, path, {**account.headers, **headers}, method)
        try:
            async with asyncio.timeout(CALL_SECONDS):
                response = await client.send(destination, body)
                try:
                    answer = await _whole(response.read)
                finally:
                    response.close()
        except TimeoutError:
            raise UpstreamUnreachable(f"The batch API did not answer within {CALL_SECONDS:g} seconds.") from None
        finally:
            await client.aclose()
        if 200 <= response.status < 300:
            return answer
        words = openai.error_message(answer)
        if response.status in (401, 403):
            raise UpstreamAuth(f"The batch API refused headgate's key with {response.status}: {words}")
        raise UpstreamRejected(
            words, upstream_status=response.status, body=answer, content_type="application/json", dialect="openai"
        )


async def _whole(read: Callable[[], Awaitable[bytes]]) -> bytes:
    pieces, size = list[bytes](), 0
    while piece := await read():
        pieces.append(piece)
        size += len(piece)
        if size > MAX_ANSWER_BYTES:
            raise StreamMalformed(f"The batch API's answer is larger than {MAX_ANSWER_BYTES} bytes.")
    return b"".join(pieces)


def lines_of(body: bytes) -> list[bytes]:
    """Lines of JSON: they end in line feeds and nothing else, as U+2028 is inside real data."""
    return [line for line in body.split(b"\n") if line.strip()]


def read(body: bytes, shape: type[Shape]) -> Shape:
    """What a batch API wrote. Raises StreamMalformed."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StreamMalformed(f"The batch API's answer cannot be read: {error}.") from None
