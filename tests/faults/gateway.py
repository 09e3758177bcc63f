"""The gateway as its operator runs it: `headgate serve` in a process of its own, and what can happen to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.faults.client import HOST, Connection, NoAnswer, Response, ask, connected
from tests.looking import pause_seconds
from tests.servers import free_port

KEY = "hg-faults-0123456789abcdef"
ADMIN_KEY = "hg-admin-faults-0123456789"
SERVE = ("-m", "headgate", "serve")
WAIT_SECONDS = 120.0  # for what takes a few seconds at most on a machine that has nothing else to do


def configuration(upstream_port: int, data_dir: Path, **changes: object) -> dict[str, Any]:
    """One model, `told`, served by the scripted upstream. `changes` are top-level blocks; `server` is added to."""
    server = {"data_dir": str(data_dir), "log": {"level": "info"}}
    base_url = f"http://{HOST}:{upstream_port}/v1"
    never = {"failures": 1_000_000, "minimum_requests": 1_000_000}  # what is told to fail must not open the breaker
    deployment = {"provider": "told", "model": "told", "price": {"input": 1, "output": 2}}
    config: dict[str, Any] = {
        "providers": {"told": {"kind": "openai", "base_url": base_url, "api_key": "none"}},
        "models": {"told": {"deployments": [deployment], "retries": 0, "breaker": never}},
        "tiers": {"all": {"models": ["*"]}},
        "tenants": {"acme": {"tier": "all", "keys": [{"key": KEY, "user": "alice"}]}},
    }
    return {**config, **changes, "server": {**server, **dict(changes.get("server", {}))}}  # type: ignore[call-overload]


class Gateway:
    """Started, ended and started again on one configuration file, one port and one data directory."""

    def __init__(self, folder: Path, config: dict[str, Any], *, workers: int = 1, serve: Sequence[str] = SERVE) -> None:
        self.port = free_port()
        self.log_file = folder / "gateway.log"
        self._config_file = folder / "gateway.yaml"
        self._workers, self._serve = workers, serve
        self._process: subprocess.Popen[bytes] | None = None
        self.first_config = config
        self.configure(config)

    # --- life ---

    def configure(self, config: dict[str, Any] | str) -> None:
        """Write the configuration file; the gateway reads it at its next start or reload."""
        self._config_file.write_text(config if isinstance(config, str) else json.dumps(config))

    def spawn(self) -> None:
        options = ("--config", str(self._config_file), "--port", str(self.port))
        workers = ("--workers", str(self._workers)) if self._workers > 1 else ()
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                (sys.executable, *self._serve, *options, *workers),
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, "HEADGATE_ADMIN_KEY": ADMIN_KEY},
            )

    async def start(self) -> None:
        """Return when it is ready, with all its workers."""
        self.spawn()
        await self.until_ready()

    async def until_ready(self) -> None:
        """Return when it may take traffic, and all its workers are there."""
        await until(self._is_ready, "the gateway did not become ready")

    @property
    def pid(self) -> int:
        """Of the process that was started: the supervisor, if there are workers."""
        assert self._process is not None
        return self._process.pid

    def serving_pids(self) -> list[int]:
        """The processes that serve."""
        if self._workers == 1:
            return [self.pid]
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(child) for child in children]

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill_all(self) -> None:
        """kill -9 of the process and its workers, the supervisor first, so that it starts no other ones."""
        for pid in [self.pid, *(self.serving_pids() if self._workers > 1 else ())]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def ended(self) -> int:
        """Wait for the end; the exit code, negative for a signal."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait)

    async def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await self.ended()
            except TimeoutError:
                self.kill_all()
                await self.ended()

    def log(self) -> str:
        """Everything it wrote to its standard error."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    # --- what it says ---

    async def admin(self, path: str, method: str = "GET", body: bytes = b"") -> Response:
        return await ask(self.port, method, path, ADMIN_KEY, body)

    async def readiness(self) -> tuple[int, dict[str, str]]:
        response = await self.admin("/readyz")
        return response.status, json.loads(response.body)["checks"]

    async def ledger(self) -> list[dict[str, Any]]:
        """All rows, page by page."""
        rows: list[dict[str, Any]] = []
        after = ""
        while True:
            page = json.loads((await self.admin(f"/admin/ledger?limit=1000{after}")).body)
            rows += page["data"]
            if page["next"] is None:
                return rows
            after = f"&after={page['next']}"

    async def ledger_with(self, expected: Iterable[str]) -> list[dict[str, Any]]:
        """All rows, once those with the expected ids are among them and nothing waits in a journal any more."""
        missing = set(expected)
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        while True:
            rows = await self.ledger()
            missing -= {row["id"] for row in rows}
            if not missing and await self.metric("headgate_journal_backlog_bytes") == 0:
                return await self.ledger()
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"{len(missing)} rows did not arrive, among them {sorted(missing)[:3]}")
            await asyncio.sleep(0.1)

    async def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        text = (await self.admin("/metrics")).body.decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))

    async def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the gateway ended with {self._process.returncode}: {self.log()[-2000:]}")
        ready = (await self.readiness())[0] == 200
        return ready and await self.metric("headgate_workers") == self._workers


@contextlib.asynccontextmanager
async def connected_to_each_worker(gateway: Gateway) -> AsyncIterator[list[Connection]]:
    """A keep-alive connection to every serving process."""
    async with contextlib.AsyncExitStack() as stack:
        found: dict[int, Connection] = {}
        while set(found) < set(gateway.serving_pids()):
            connection = await stack.enter_async_context(connected(gateway.port))
            answer = await connection.ask("GET", "/admin/deployments", ADMIN_KEY)
            found.setdefault(json.loads(answer.body)["process"], connection)
        yield list(found.values())


@contextlib.asynccontextmanager
async def running(gateway: Gateway) -> AsyncIterator[Gateway]:
    """Started, and ended with the block."""
    try:
        await gateway.start()
        yield gateway
    finally:
        await gateway.close()


async def until(condition: Callable[[], Awaitable[bool]], otherwise: str, seconds: float = WAIT_SECONDS) -> None:
    """Wait for another process to come to a state that it does not announce."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    try:
        async with asyncio.timeout(seconds):
            while not await _holds(condition):  # noqa: ASYNC110
                await asyncio.sleep(pause_seconds(loop.time() - begin))
    except TimeoutError:
        raise AssertionError(otherwise) from None


async def _holds(condition: Callable[[], Awaitable[bool]]) -> bool:
    """A gateway that does not answer is in no state."""
    with contextlib.suppress(NoAnswer):
        return await condition()
    return False


def assert_exactly_once(rows: list[dict[str, Any]], complete: Iterable[Response]) -> None:
    """Every complete response has one row, whole and right; no row is there twice."""
    count = Counter(row["id"] for row in rows)
    assert [row_id for row_id, times in count.items() if times > 1] == []
    by_id = {row["id"]: row for row in rows}
    responses = list(complete)
    assert [response.id for response in responses if response.id not in by_id] == []
    for response in responses:
        row = by_id[response.id]
        assert (row["outcome"], row["status"], row["stream"]) == ("done", 200, response.is_stream)
        assert len(row["attempts"]) == 1
        assert row["tokens_counted"] == "reported" and row["output_tokens"] > 0 and float(row["cost_usd"]) > 0
    assert all(row["attempts"] for row in rows if row["outcome"] in ("done", "failed"))


def assert_cut_are_charged(rows: list[dict[str, Any]], cut: Iterable[Response]) -> list[dict[str, Any]]:
    """Every response that broke off has its row, or a charge of what was held in place of it; returns the charges."""
    by_id = {row["id"]: row for row in rows}
    for response in cut:
        assert by_id[response.id]["outcome"] in ("done", "provisional"), "its end may have been on its way already"
    charges = [row for row in rows if row["outcome"] == "provisional"]
    for row in charges:
        (attempt,) = row["attempts"]
        assert row["error"] == attempt["error"] == "process_died"
        assert row["tokens_counted"] == "estimated" and row["input_tokens"] > 0 and row["output_tokens"] > 0
        assert float(row["cost_usd"]) > 0 and row["cost_usd"] == attempt["cost_usd"]
    return charges
