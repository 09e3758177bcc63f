"""Compares gateways in one run on one machine: each alone on one core, the mock upstream and the load on another.

    python -m benchmarks.gateways --peers DIR [--only nginx,headgate] [--seconds 5] [--rounds 3] [--json FILE]

Prints a markdown table; `--json` also writes every figure. What is not installed is named and left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import processes, report, running
from benchmarks.contenders import CHAT, CONTENDERS, Contender, NotInstalled, Site
from benchmarks.gateway_runs import Sample, Settings, Skipped
from benchmarks.running import ROOT, Unfit

DIRECT = "direct"
READY_TIMEOUT = 120.0
LOADS: dict[str, tuple[str, ...]] = {
    "json": ("--concurrency", "32"),
    "stream": ("--concurrency", "32", "--stream"),
    "one": ("--concurrency", "1"),
}


class Bench:
    """The mock upstream and what is measured against it."""

    def __init__(self, settings: Settings, directory: Path, upstream_port: int, upstream_pid: int) -> None:
        self.settings, self.directory = settings, directory
        self.upstream_port, self.upstream_pid = upstream_port, upstream_pid

    def load(
        self, mode: str, port: int, pid: int, headers: Sequence[str] = (), seconds: float | None = None
    ) -> dict[str, Any]:
        url = f"http://127.0.0.1:{port}{CHAT}"
        command = [sys.executable, "-m", "benchmarks.load", "--url", url, "--pid", str(pid), *LOADS[mode]]
        command += ["--seconds", str(seconds or self.settings.seconds)]
        for header in headers:
            command += ["--header", header]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def direct(self) -> Sample:
        loads = {mode: self.load(mode, self.upstream_port, self.upstream_pid) for mode in LOADS}
        return Sample(DIRECT, "", None, None, loads, loads["one"])

    def gateway(self, name: str, round_number: int) -> Sample:
        directory = self.directory / f"{name}-{round_number}"
        directory.mkdir()
        settings = self.settings
        site = Site(settings.peers, directory, running.free_port(), self.upstream_port, settings.python)
        contender = CONTENDERS[name](site)
        log = directory / "output.log"
        core = settings.gateway_core
        began = time.perf_counter()
        try:
            with running.started(contender.command, core, log, contender.environment) as pid:
                running.wait_until_ready(pid, site.port, CHAT, contender.headers, READY_TIMEOUT)
                ready_seconds = time.perf_counter() - began
                sample = Sample(name, contender.version, ready_seconds, processes.rss_mb(pid))
                self.drive(sample, contender, site.port, pid)
        except Unfit as reason:
            raise Unfit(f"{reason}; its last words:\n{last_lines(log)}") from None
        return sample

    def drive(self, sample: Sample, contender: Contender, port: int, pid: int) -> None:
        running.prove(port, CHAT, contender.headers, self.settings.events)
        if self.settings.warmup > 0:  # compilers and caches take seconds under load, more than a load run skips itself
            self.load("json", port, pid, contender.headers, self.settings.warmup)
        asked = running.upstream_requests(self.upstream_port)
        for mode in ("json", "stream"):
            sample.loads[mode] = self.load(mode, port, pid, contender.headers)
        passed = running.upstream_requests(self.upstream_port) - asked
        sample.floor = self.load("one", self.upstream_port, self.upstream_pid)
        sample.loads["one"] = self.load("one", port, pid, contender.headers)
        answered = sum(sample.loads[mode]["requests"] for mode in ("json", "stream"))
        if passed < answered:  # a cache would be measured, not a gateway
            raise Unfit(f"it answered {answered} requests and asked the upstream only {passed} times")


def last_lines(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").strip().split("\n")[-8:])


def measure(bench: Bench, names: Sequence[str]) -> Iterator[Sample | Skipped]:
    """Rounds go around all contenders, so that a slow minute of the machine does not fall on one of them alone."""
    out: set[str] = set()
    for number in range(1, bench.settings.rounds + 1):
        yield bench.direct()
        for name in names:
            if name in out:
                continue
            say(f"round {number} of {bench.settings.rounds}: {name}")
            try:
                yield bench.gateway(name, number)
            except (NotInstalled, Unfit) as reason:
                out.add(name)
                yield Skipped(name, str(reason))


def run(settings: Settings, names: Sequence[str]) -> tuple[list[Sample], list[Skipped]]:
    samples: list[Sample] = []
    skipped: list[Skipped] = []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateways-")))
        port = running.free_port()
        command = [sys.executable, "-m", "benchmarks.mock_upstream", "--port", str(port)]
        command += ["--events", str(settings.events), "--interval", str(settings.interval)]
        log = directory / "upstream.log"
        pid = stack.enter_context(running.started(command, settings.tool_core, log, {}))
        running.wait_until_ready(pid, port, CHAT, (), READY_TIMEOUT)
        for outcome in measure(Bench(settings, directory, port, pid), names):
            if isinstance(outcome, Skipped):
                say(f"left out {outcome.name}: {outcome.reason}")
                skipped.append(outcome)
            else:
                samples.append(outcome)
    return samples, skipped


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def choose(text: str) -> list[str]:
    known = {name.lower(): name for name in CONTENDERS}
    asked = [name.strip().lower() for name in text.split(",") if name.strip()]
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise SystemExit(f"--only knows {', '.join(CONTENDERS)}; not {', '.join(unknown)}")
    return [known[name] for name in asked] or list(CONTENDERS)


def options() -> argparse.ArgumentParser:
    about = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateways", description=about)
    parser.add_argument("--peers", type=Path, default=Path("peers"), help="where install_peers.sh put the peers")
    parser.add_argument("--only", default="", metavar="NAME[,NAME]", help=", ".join(CONTENDERS))
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each load (default 5)")
    parser.add_argument("--warmup", type=float, default=6.0, help="load on each gateway before it counts (default 6)")
    parser.add_argument("--rounds", type=int, default=1, help="times around all of them; figures are medians")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--python", default=sys.executable, help="the Python that runs headgate")
    parser.add_argument("--gateway-core", type=int, default=0)
    parser.add_argument("--tool-core", type=int, default=1)
    return parser


def main() -> None:
    chosen = options().parse_args()
    names = choose(chosen.only)
    if not {chosen.gateway_core, chosen.tool_core} <= os.sched_getaffinity(0):
        raise SystemExit(f"cores {chosen.gateway_core} and {chosen.tool_core} are not both here to be used")
    settings = Settings(
        peers=chosen.peers.resolve(),
        python=chosen.python,
        seconds=chosen.seconds,
        warmup=chosen.warmup,
        rounds=chosen.rounds,
        gateway_core=chosen.gateway_core,
        tool_core=chosen.tool_core,
    )
    os.sched_setaffinity(0, {settings.tool_core})  # inherited by the load; gateways are moved to their own core
    samples, skipped = run(settings, names)
    rows = report.summarise(samples)
    if chosen.json:
        chosen.json.write_text(report.as_json(settings, samples, rows, skipped))
    print(report.as_markdown(rows, skipped))


if __name__ == "__main__":
    main()
