"""The servers of tests leave nothing behind, whenever they end."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings

import pytest

from tests.providers.loopback import HOST, Peer, serving


@pytest.mark.parametrize("turns", range(8))
def test_a_connection_that_comes_as_the_server_ends_is_closed(turns: int) -> None:
    async def handler(peer: Peer) -> None:
        await peer.request()

    async def scenario() -> None:
        async with serving(handler) as server:
            with socket.create_connection((HOST, server.port)):
                for _ in range(turns):
                    await asyncio.sleep(0)

    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always", ResourceWarning)
        asyncio.run(scenario())
        gc.collect()
    assert not left, [str(each.message) for each in left]
