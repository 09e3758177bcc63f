"""A gateway as operators run it: `python -m headgate serve` in a folder of its own."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.looking import pause_seconds

WAIT_SECONDS = 120.0  # for things that happen within one on a machine that has nothing else to do
ADMIN_KEY = "hg-admin-for-tests"

CONFIG = """
server: {port: 0, drain_seconds: %(drain_seconds)g, data_dir: data, log: {requests: "off"}}
providers:
  sim: {kind: sim, sim: {ttft_seconds: {median: 0.01, p99: 0.01}, itl_seconds: {median: %(itl)g, p99: %(itl)g}}}
models:
  simulated: {price: free, deployments: [{provider: sim, model: sim-small}]}
tiers:
  all: {models: ["*"]}
tenants:
  acme: {tier: all, keys: [{key: hg-acme-alice-0001}]}
"""


def config_text(drain_seconds: float = 20, itl: float = 0.0) -> str:
    return CONFIG % {"drain_seconds": drain_seconds, "itl": itl}


class Gateway:
    """A service under test, its clients, and what it wrote."""

    def __init__(self, folder: Path, *options: str, config: str | None = None) -> None:
        self.folder = folder
        self.config_file = folder / "headgate.yaml"
        arguments = ["serve", "--port", "0", *options]
        if config is not None:
            self.config_file.write_text(config)
            arguments += ["--config", "headgate.yaml"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "headgate", *arguments],
            cwd=folder,
            env={**os.environ, "HEADGATE_ADMIN_KEY": ADMIN_KEY, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.log = Lines(self.process.stderr)
        self.output = Lines(self.process.stdout)
        self.port = 0

    def wait_until_ready(self) -> None:
        line = self.output.wait_for("listens on")
        self.port = int(line.rsplit(":", 1)[1])
        until(lambda: self.ask("GET", "/readyz")[0] == 200)

    def ask(
        self, method: str, url: str, body: object = None, key: str = ADMIN_KEY, port: int | None = None
    ) -> tuple[int, Any]:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=WAIT_SECONDS)
        try:
            content = b"" if body is None else msgspec.json.encode(body)
            connection.request(method, url, content, {"authorization": f"Bearer {key}"})
            response = connection.getresponse()
            text = response.read()
            is_json = response.getheader("content-type", "").startswith("application/json")
            return response.status, msgspec.json.decode(text) if is_json else text.decode()
        finally:
            connection.close()

    def chat(self, key: str = "hg-acme-alice-0001", **fields: object) -> tuple[int, Any]:
        body = {"model": "simulated", "messages": [{"role": "user", "content": "Hello"}], **fields}
        return self.ask("POST", "/v1/chat/completions", body, key)

    @contextmanager
    def stream(self, key: str = "hg-acme-alice-0001") -> Iterator[http.client.HTTPResponse]:
        """A stream whose first event has arrived."""
        body = {"model": "simulated", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_SECONDS)
        headers = {"authorization": f"Bearer {key}"}
        try:
            connection.request("POST", "/v1/chat/completions", msgspec.json.encode(body), headers)
            with connection.getresponse() as response:
                assert response.status == 200
                assert response.readline().startswith(b"data: ")
                yield response
        finally:
            connection.close()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(WAIT_SECONDS)


class Lines:
    """What a process writes, as it comes, read by a thread so that the process never waits for us."""

    def __init__(self, stream: Any) -> None:
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def wait_for(self, pattern: str) -> str:
        """The first line in which the pattern is found, once it has come."""
        found: list[str] = []

        def look() -> bool:
            found[:] = [line for line in self._lines if re.search(pattern, line)]
            return bool(found) or self._ended

        with self._news:
            assert self._news.wait_for(look, WAIT_SECONDS) and found, f"no '{pattern}' in {self._lines}"
        return found[0]

    def text(self) -> str:
        """Everything, after the process has ended."""
        self._thread.join(WAIT_SECONDS)
        return "".join(self._lines)

    def _read(self, stream: Any) -> None:
        for line in stream:
            with self._news:
                self._lines.append(line.decode())
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()
        stream.close()


def until(condition: Any) -> None:
    """Wait for what another process does and cannot be heard of otherwise."""
    begin = time.monotonic()
    while not condition():
        waited_seconds = time.monotonic() - begin
        assert waited_seconds < WAIT_SECONDS, "it did not happen"
        time.sleep(pause_seconds(waited_seconds))


@contextmanager
def gateway(folder: Path, *options: str, config: str | None = None) -> Iterator[Gateway]:
    """A running gateway that is ready; killed at the end if it still runs."""
    made = Gateway(folder, *options, config=config)
    try:
        made.wait_until_ready()
        yield made
    finally:
        made.process.kill()
        made.process.wait()
        made.log.text()
        made.output.text()
