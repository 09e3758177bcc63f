"""`headgate consume` in a process of its own, on a queue that the test fills."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from headgate.clock import SystemClock
from headgate.queue_ports import Queue
from headgate.queues.opening import open_queue
from headgate.queues.places import place_of
from tests.e2e.gateway import ROOT
from tests.looking import LONGEST_SECONDS, pause_seconds

KEY = "hg-consumed-0123456789abcdef"
WAIT_SECONDS = 120.0


class Consumer:
    """Started, killed and started again on one queue and one data directory."""

    def __init__(self, folder: Path, address: str, *options: str) -> None:
        self._folder = folder
        self._options = ("--from", address, *options)
        self._process: subprocess.Popen[bytes] | None = None
        replies = address.replace(place_of(address).name, "replies", 1)
        config = {
            "server": {"data_dir": str(folder / "data"), "log": {"format": "text"}},
            "providers": {"quick": {"kind": "sim", "sim": {"ttft_seconds": {"median": 0.001, "p99": 0.002}}}},
            "models": {"quick": {"price": "free", "deployments": [{"provider": "quick", "model": "sim"}]}},
            "tiers": {"all": {"models": ["*"]}},
            "tenants": {"acme": {"tier": "all", "keys": [{"key": KEY, "user": "alice"}]}},
            "jobs": {"reply_to": [replies]},
        }
        (folder / "headgate.yaml").write_text(json.dumps(config))
        self.replies = replies

    def start(self) -> None:
        command = (sys.executable, "-m", "headgate", "consume", "--config", str(self._folder / "headgate.yaml"))
        environment = {**os.environ, "HEADGATE_ADMIN_KEY": "hga-consumed-admin-key"}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                (*command, *self._options), stdout=log, stderr=log, cwd=ROOT, env=environment
            )

    def kill(self) -> None:
        """At once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """As its operator does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(WAIT_SECONDS) == 0, self.log

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    def rows(self, query: str) -> list[Any]:
        """Of the database; none before there is one."""
        file = self._folder / "data" / "headgate.db"
        if not file.exists():
            return []
        connection = sqlite3.connect(file, timeout=WAIT_SECONDS)
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            assert "no such table" in str(error)
            return []
        finally:
            connection.close()

    def count(self) -> int:
        """How many jobs there are."""
        return int((self.rows("SELECT count(*) FROM jobs") or [(0,)])[0][0])

    async def until(self, condition: Callable[[], bool], longest_pause_seconds: float = LONGEST_SECONDS) -> None:
        """Raises AssertionError with the log if it does not come about."""
        begin = time.monotonic()
        while not condition():
            waited_seconds = time.monotonic() - begin
            assert waited_seconds < WAIT_SECONDS, self.log
            await asyncio.sleep(min(pause_seconds(waited_seconds), longest_pause_seconds))


def request(number: int, **more: object) -> bytes:
    """A message."""
    body = {"model": "quick", "max_tokens": 5, "messages": [{"role": "user", "content": f"item {number}"}]}
    return json.dumps({"id": f"id-{number}", "tenant": "acme", "user": "alice", "request": body} | more).encode()


def with_queues(addresses: Sequence[str], work: Callable[..., Awaitable[None]]) -> None:
    """Run `work` with the queues open."""

    async def run() -> None:
        queues: list[Queue] = [open_queue(address, SystemClock(), 5.0) for address in addresses]
        try:
            await work(*queues)
        finally:
            for queue in queues:
                await queue.aclose()

    asyncio.run(run())
