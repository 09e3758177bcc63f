"""A real gateway process on a free port, with its own configuration, data directory and log."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

from tests.looking import pause_seconds
from tests.servers import free_port

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"
ADMIN_KEY = "hga-end-to-end-admin-key"
ALICE = "hg-acme-alice-0001"  # tenant acme, tier pro: everything
CAROL = "hg-hobby-carol-0003"  # tenant hobby, tier free: two models, no tools, no images, 64 output tokens
START_SECONDS = 120.0
STOP_SECONDS = 120.0
WAIT_SECONDS = 120.0

Json = dict[str, Any]
Found = TypeVar("Found")


def configuration(upstream_url: str, data_dir: Path, server: Json) -> Json:
    """Two tenants, the simulated model, and models whose answers are the test's upstream's.

    `by-openai`, `by-anthropic` and `by-gemini` are asked in the dialects of these vendors.
    """
    root = upstream_url.removesuffix("/v1")
    secret = {"api_key": "sk-upstream-secret", "proxy": "none"}

    def served(upstream_model: str, **more: Any) -> Json:
        return {
            "price": {"input": 1, "output": 2},
            "retries": 0,
            "breaker": {"failures": 1_000_000, "minimum_requests": 1_000_000},
            "deployments": [{"provider": "upstream", "model": upstream_model}],
            **more,
        }

    fast = {"median": 0.002, "p99": 0.005}
    return {
        "server": {"data_dir": str(data_dir), **server},
        "providers": {
            "upstream": {"kind": "openai", "base_url": upstream_url, **secret},
            "anthropic": {"kind": "anthropic", "base_url": root, **secret},
            "gemini": {"kind": "gemini", "base_url": f"{root}/v1beta", **secret},
            "nobody": {"kind": "openai", "base_url": "http://127.0.0.1:1/v1", "api_key": "none", "proxy": "none"},
            "sim": {"kind": "sim", "sim": {"ttft_seconds": fast, "itl_seconds": {"median": 0.0005, "p99": 0.001}}},
        },
        "models": {
            "small": served("gpt-4o-mini"),
            "large": served("gpt-5", price={"input": 20, "output": 40}),
            "impatient": served("gpt-4o-mini", first_token_seconds=0.3),
            "unsteady": served("gpt-4o-mini", stall_seconds=0.3),
            "patient": served("gpt-4o-mini", retries=2),
            "embed": served("text-embedding-3-small", price={"input": 0.02}),
            "unreachable": served("x", deployments=[{"provider": "nobody", "model": "x"}]),
            "by-openai": served("gpt-5-mini"),
            "by-anthropic": served("x", deployments=[{"provider": "anthropic", "model": "claude-sonnet-4-5"}]),
            "by-gemini": served("x", deployments=[{"provider": "gemini", "model": "gemini-2.5-flash"}]),
            "simulated": {"price": "free", "deployments": [{"provider": "sim", "model": "sim-small"}]},
        },
        "routers": {"auto": {"from": ["small", "large"], "appeal": True}},
        "tiers": {
            "pro": {"models": ["*"]},
            "free": {
                "models": ["small", "simulated"],
                "max_output_tokens": 64,
                "features": {"tools": False, "images": False},
            },
        },
        "tenants": {
            "acme": {"tier": "pro", "keys": [{"key": ALICE, "user": "alice"}]},
            "hobby": {"tier": "free", "keys": [{"key": CAROL, "user": "carol"}]},
        },
    }


class Gateway:
    """One process. `start` waits until it is ready, `stop` asserts that it ended well.

    `more` are blocks, or providers and models beside those of `configuration`, `server` settings of that block.
    """

    def __init__(self, folder: Path, upstream_url: str, more: Json | None = None, **server: Any) -> None:
        self.port = free_port()
        self.config_file = folder / "headgate.yaml"
        self.log_file = folder / "log"
        config = configuration(upstream_url, folder / "data", server)
        for block, named in (more or {}).items():
            config.setdefault(block, {}).update(named)
        self.config_file.write_text(json.dumps(config))  # JSON is YAML
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def process_id(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        command = (
            sys.executable,
            "-m",
            "headgate",
            "serve",
            "--config",
            str(self.config_file),
            "--port",
            str(self.port),
        )
        environment = {**os.environ, "HEADGATE_ADMIN_KEY": ADMIN_KEY, "PYTHONWARNINGS": "always"}
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env=environment)
        self.eventually(self._ready, START_SECONDS)

    def stop(self, but: str = "") -> None:
        """SIGTERM: what is under way ends, and nothing went wrong inside, `but` what is said with these words."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        assert code == 0, self.log()
        complaints = [line for line in self.complaints() if not but or but not in line]
        assert not complaints, "\n".join(complaints)

    def kill(self) -> None:
        """As `kill -9` does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def complaints(self) -> list[str]:
        """Lines of the log that nobody wants to see."""
        bad = re.compile(
            r'Traceback|"level": ?"error"|\bERROR\b|Error:|Warning:|never (awaited|retrieved)|exception', re.I
        )
        return [line for line in self.log().split("\n") if bad.search(line) and '"outcome"' not in line]

    # --- asking it ---

    def request(
        self, method: str, path: str, body: bytes | Json | None = None, *, key: str = ALICE, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (names in lower case) and body."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=WAIT_SECONDS)
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, {"authorization": f"Bearer {key}", **named})
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        finally:
            connection.close()

    def get_json(self, path: str, key: str = ADMIN_KEY) -> Json:
        status, _, body = self.request("GET", path, key=key)
        assert status == 200, body
        value: Json = json.loads(body)
        return value

    def metric(self, name: str) -> float:
        """The sum over a metric's label values."""
        _, _, body = self.request("GET", "/metrics")
        lines = [line for line in body.decode().split("\n") if re.match(rf"{name}(\{{| )", line)]
        assert lines, f"no metric {name}"
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def row(self, request_id: str) -> Json:
        """The ledger's row of a request, once it is there."""
        return self.rows([request_id])[0]

    def rows(self, request_ids: Collection[str]) -> list[Json]:
        """The ledger's rows of these requests, once they are all there."""
        return self.eventually(lambda: self._rows(request_ids))

    def ledger(self) -> list[Json]:
        """All rows that are there by now, page by page."""
        rows: list[Json] = []
        cursor: str | None = ""
        while cursor is not None:
            page = self.get_json(f"/admin/ledger?limit=1000{cursor and f'&after={cursor}'}")
            rows += page["data"]
            cursor = page["next"]
        return rows

    def is_quiet(self) -> None:
        """Nothing is left of the requests that were: none in flight, all in the ledger, and it is healthy."""
        self.eventually(lambda: self.metric("headgate_in_flight") == 0)
        self.eventually(lambda: self.metric("headgate_journal_backlog_bytes") == 0)
        assert self.request("GET", "/healthz")[0] == 200

    def has_no_clients(self) -> None:
        """Every connection but the one that asks is closed."""
        self.eventually(self._connections_are_closed)

    def eventually(self, look: Callable[[], Found | None], seconds: float = WAIT_SECONDS) -> Found:
        """Look until there is something to see: neither None nor False."""
        begin = time.monotonic()
        while (found := look()) is None or found is False:
            waited = time.monotonic() - begin
            assert waited < seconds, f"waited {seconds:g} s in vain; the log says:\n{self.log()[-3000:]}"
            time.sleep(pause_seconds(waited))  # another process's doing: there is no event to wait for
        return found

    def _connections_are_closed(self) -> bool | None:
        try:
            return self.metric("headgate_client_connections") == 1 or None
        except OSError:
            return None  # all there may be are open

    def _ready(self) -> bool | None:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            return True if self.request("GET", "/readyz")[0] == 200 else None
        except OSError:
            return None

    def _rows(self, request_ids: Collection[str]) -> list[Json] | None:
        found = {row["id"]: row for row in self.ledger() if row["id"] in request_ids}
        return [found[request_id] for request_id in request_ids] if len(found) == len(request_ids) else None
