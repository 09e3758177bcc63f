"""Starts a program pinned to one core, waits until it answers, and ends it with everything it started."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from benchmarks import load, mock_upstream

ROOT = Path(__file__).resolve().parent.parent
POLL_SECONDS = 0.05
STOP_SECONDS = 10.0


class Unfit(Exception):
    """A gateway that does not start, or does not forward what it was given."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def started(command: Sequence[str], core: int, log: Path, environment: Mapping[str, str]) -> Iterator[int]:
    """Run the command on one core; the process id is that of the program, since taskset replaces itself by it."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    try:
        yield process.pid
    finally:
        end(process)


def redis_on(port: int, core: int, folder: Path) -> AbstractContextManager[int]:
    """A Redis that keeps nothing on the disk. Ends the program if it is not installed."""
    server = shutil.which("redis-server")
    if server is None:
        sys.exit("redis-server is not installed (Debian: apt-get install redis-server)")
    command = (server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder))
    return started(command, core, folder / "redis.log", {})


def end(process: subprocess.Popen[bytes]) -> None:
    """End the session that `started` opened, politely at first."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(STOP_SECONDS)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def ask(port: int, path: str, headers: Sequence[str], stream: bool) -> tuple[int, bytes]:
    """One chat completion, read to its end."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    named = dict(header.split(": ", 1) for header in headers)
    try:
        connection.request("POST", path, load.chat_body(stream), {"content-type": "application/json", **named})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def wait_until_ready(pid: int, port: int, path: str, headers: Sequence[str], timeout: float) -> None:
    """Ready is the first chat completion that comes back, whatever a health check says before."""
    deadline, last = time.perf_counter() + timeout, "nothing listens"
    while time.perf_counter() < deadline:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            raise Unfit("it ended before it answered")
        try:
            status, body = ask(port, path, headers, stream=False)
        except (OSError, http.client.HTTPException) as error:
            last = str(error) or type(error).__name__
        else:
            if status == 200:
                return
            last = f"status {status}: {body[:200].decode(errors='replace')}"
        time.sleep(POLL_SECONDS)
    raise Unfit(f"it did not answer within {timeout:.0f} s ({last})")


def prove(port: int, path: str, headers: Sequence[str], events: int) -> None:
    """What the upstream said must arrive, whole and in order, or the figures compare nothing."""
    _, body = ask(port, path, headers, stream=False)
    said = json.loads(body)["choices"][0]["message"]["content"]
    if said != mock_upstream.ANSWER:
        raise Unfit(f"it answered {said!r}")
    status, body = ask(port, path, headers, stream=True)
    said = "".join(deltas(body)) if status == 200 else f"status {status}"
    expected = "".join(mock_upstream.TOKENS[n % len(mock_upstream.TOKENS)] for n in range(events))
    if said != expected:
        raise Unfit(f"it streamed {said!r}")


def deltas(stream: bytes) -> Iterator[str]:
    for line in stream.split(b"\n"):
        payload = line.strip().removeprefix(b"data: ")
        if payload == line.strip() or payload == b"[DONE]":
            continue
        for choice in json.loads(payload)["choices"]:
            yield choice["delta"].get("content") or ""


def upstream_requests(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/stats")
        produced = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return int(produced["json"]) + int(produced["streams"])
