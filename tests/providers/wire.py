"""Connections without sockets, whose other side is the test: for exact bytes, and for virtual time."""

from __future__ import annotations

import asyncio

from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.connection import Connection
from headgate.providers.upstream.target import Target


class Wire(asyncio.Transport):
    """Swallows what is written. What the other side says, the test gives to the connection itself."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Wired(Connector):
    """Opens connections on wires, at once."""

    def __init__(self, settings: ConnectSettings) -> None:
        super().__init__(settings)
        self.opened: list[Connection] = []

    async def open(self, target: Target) -> Connection:
        connection = Connection(target.address)
        connection.connection_made(Wire())
        self.opened.append(connection)
        return connection
