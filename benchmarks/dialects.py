"""What a client's dialect costs: the same gateway and the same chat completions upstream, asked in three dialects.

    python -m benchmarks.dialects [--peers DIR] [--only headgate,LiteLLM] [--seconds 5] [--rounds 3]

Prints a markdown table. A gateway that does not serve a dialect, or answers it with errors, is told by name.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import running
from benchmarks.contenders import CHAT, CONTENDERS, NotInstalled, Site
from benchmarks.running import ROOT, Unfit

PATHS = {"chat": CHAT, "messages": "/v1/messages", "responses": "/v1/responses"}
SPEAKERS = ("headgate", "LiteLLM")  # the gateways here that serve all three
READY_TIMEOUT = 120.0
WARMUP_SECONDS = 4.0
GATEWAY_CORE, TOOL_CORE = 0, 1


def measure(name: str, peers: Path, upstream_port: int, seconds: float) -> dict[str, dict[str, Any]]:
    """One gateway, started anew: for each dialect the results of a JSON and a stream load."""
    with tempfile.TemporaryDirectory(prefix="dialects-") as folder:
        site = Site(peers, Path(folder), running.free_port(), upstream_port, sys.executable)
        contender = CONTENDERS[name](site)
        log = site.directory / "output.log"
        with running.started(contender.command, GATEWAY_CORE, log, contender.environment) as pid:
            running.wait_until_ready(pid, site.port, CHAT, contender.headers, READY_TIMEOUT)
            return {
                dialect: {
                    mode: load(f"http://127.0.0.1:{site.port}{path}", dialect, mode, pid, contender.headers, seconds)
                    for mode in ("json", "stream")
                }
                for dialect, path in PATHS.items()
            }


def load(url: str, dialect: str, mode: str, pid: int, headers: tuple[str, ...], seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.load", "--url", url, "--dialect", dialect, "--pid", str(pid)]
    command += ["--seconds", str(seconds), "--warmup", str(WARMUP_SECONDS if mode == "json" else 1.0)]
    for header in headers:
        command += ["--header", header]
    if mode == "stream":
        command.append("--stream")
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def table(runs: dict[str, list[dict[str, dict[str, Any]]]]) -> str:
    lines = ["| | clients speak | JSON: CPU µs/request | stream: CPU µs/event | errors |", "|---|---|---:|---:|---:|"]
    for name, rounds in runs.items():
        for dialect in PATHS:
            whole = [one[dialect]["json"]["cpu_us_per_request"] for one in rounds]
            events = [one[dialect]["stream"]["cpu_us_per_event"] for one in rounds]
            errors = sum(sum(one[dialect][mode]["errors"].values()) for one in rounds for mode in ("json", "stream"))
            lines.append(f"| {name} | {dialect} | {middle(whole)} | {middle(events)} | {errors} |")
    return "\n".join(lines)


def middle(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known):,.1f}" if known else "-"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dialects", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--peers", type=Path, default=Path("peers"), help="where install_peers.sh put the peers")
    parser.add_argument("--only", default=",".join(SPEAKERS), metavar="NAME[,NAME]")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each load (default 5)")
    parser.add_argument("--rounds", type=int, default=1, help="figures are medians over all rounds")
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {TOOL_CORE})  # inherited by the load; gateways are moved to their own core
    runs: dict[str, list[dict[str, dict[str, Any]]]] = {}
    port = running.free_port()
    command = [sys.executable, "-m", "benchmarks.mock_upstream", "--port", str(port)]
    with (
        tempfile.TemporaryDirectory() as folder,
        running.started(command, TOOL_CORE, Path(folder) / "upstream.log", {}) as pid,
    ):
        running.wait_until_ready(pid, port, CHAT, (), READY_TIMEOUT)
        for number in range(chosen.rounds):
            for name in chosen.only.split(","):
                print(f"round {number + 1} of {chosen.rounds}: {name}", file=sys.stderr, flush=True)
                try:
                    runs.setdefault(name, []).append(measure(name, chosen.peers.resolve(), port, chosen.seconds))
                except (NotInstalled, Unfit) as reason:
                    print(f"left out {name}: {reason}", file=sys.stderr)
    print(table({name: rounds for name, rounds in runs.items() if rounds}))


if __name__ == "__main__":
    main()
