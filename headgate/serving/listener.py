"""One listening socket, and the connections that came in through it.

Takes the place of uvicorn's server, whose signals, polling and shutdown are not ours; its protocol is kept.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from email.utils import formatdate

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import ServerState

BACKLOG = 2048

Protocol = Callable[..., asyncio.Protocol]  # called with uvicorn's keyword arguments


class Listener:
    """Accepts connections from `start` to `close`."""

    def __init__(self, bound: socket.socket, app: ASGIApp, protocol: Protocol) -> None:
        self._socket = bound
        self._protocol = protocol
        self._state = ServerState()
        self._server: asyncio.Server | None = None
        self._config = Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
        )

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._state.connections)

    @property
    def answering(self) -> bool:
        """Whether any answer is under way."""
        return bool(self._state.tasks)

    def keep_alive(self, seconds: float) -> None:
        """How long connections that come from now on may be idle."""
        self._config.timeout_keep_alive = max(1, round(seconds))

    def tell_date(self, now: float) -> None:
        """What answers say in their `date`; to be told every second."""
        self._state.default_headers = [(b"date", formatdate(now, usegmt=True).encode())]

    async def start(self) -> None:
        """Begin to accept."""
        self._config.load()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: self._protocol(config=self._config, server_state=self._state, app_state={}, _loop=loop),
            sock=self._socket,
            backlog=BACKLOG,
        )

    def close(self) -> None:
        """Accept no more, and end connections as `close_idle` does."""
        if self._server is not None:
            self._server.close()
        self.close_idle()

    def close_idle(self) -> None:
        """Idle connections end now, the others with the answer they are waiting for."""
        for connection in list(self._state.connections):
            connection.shutdown()

    def abort(self) -> None:
        """Cut what is still open."""
        for connection in list(self._state.connections):
            connection.transport.abort()
