"""Servers of tests in a process of their own: `serve` is its main, `port_of` starts it."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator

from tests.providers.loopback import Handler, serving


@contextlib.contextmanager
def port_of(module: str) -> Iterator[int]:
    """Start a module of which `serve` is the main; it ends with the block."""
    command = (sys.executable, "-m", module)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


async def serve(handler: Handler) -> None:
    """Prints its port, serves until its standard input ends."""
    async with serving(handler) as server:
        print(server.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)
