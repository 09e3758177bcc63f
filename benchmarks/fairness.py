"""What one tenant's flood costs another: the same calm traffic with and without it, in turns, through one gateway.

    python -m benchmarks.fairness [--rounds 5] [--seconds 6] [--store memory|redis]

The calm tenant sends 200 requests a second at random moments, the flooding one 500 a second against a limit of 50. In
the runs without it, the same flood goes to the provider instead, past the gateway: what its client costs is in both
runs, and what differs is what the gateway does. One core for the gateway, one for everything else. On a machine that
others use too, run it as `chrt -r 1 python -m benchmarks.fairness`, or it shows how the kernel shares its cores.

Prints p50 and p99 of the calm tenant's answers, milliseconds, by round and as the median of the rounds, and the
processor time of a request of the flood.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import processes, running
from benchmarks.contenders import CHAT

GATEWAY_CORE, TOOL_CORE = 0, 1
READY_SECONDS = 30.0
CALM_KEY, FLOOD_KEY = "hg-bench-calm-000000000001", "hg-bench-flood-00000000001"
CALM_RATE, FLOOD_RATE, FLOOD_LIMIT = 200, 500, 50  # requests a second
PLENTY = 1_000_000
EVERYTHING = {
    "tokens_per_minute": PLENTY * 1000, "concurrent_requests": PLENTY, "per_user": {"requests_per_minute": PLENTY},
    "budgets": {"request": 1_000, "user_day": PLENTY, "tenant_month": PLENTY},
    "velocity": {"usd_per_5_minutes": PLENTY},
}  # fmt: skip


@dataclass(frozen=True)
class Round:
    """Milliseconds of the calm tenant, and what became of the flood."""

    p50_ms: float
    p99_ms: float
    cpu_seconds: float
    accepted: int
    refused: int
    failed: int


def configuration(upstream: int, store: str, folder: Path) -> dict[str, Any]:
    def tier(requests_per_second: int) -> dict[str, Any]:
        return {"models": ["*"], "requests_per_minute": requests_per_second * 60, "burst_seconds": 1, **EVERYTHING}

    return {
        "server": {"data_dir": str(folder / "data")},
        "store": store,
        "providers": {"mock": {"kind": "openai", "base_url": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}},
        "models": {
            "gpt-4o-mini": {
                "price": {"input": 0.15, "output": 0.60},
                "deployments": [{"provider": "mock", "model": "gpt-4o-mini", "api": "chat"}],
            }
        },
        "tiers": {"calm": tier(PLENTY), "flood": tier(FLOOD_LIMIT)},
        "tenants": {
            "calm": {"tier": "calm", "keys": [{"key": CALM_KEY, "user": "calm"}]},
            "flood": {"tier": "flood", "keys": [{"key": FLOOD_KEY, "user": "flood"}]},
        },
    }


def gateway(stack: ExitStack, upstream: int, store: str, folder: Path) -> tuple[int, int]:
    """A started gateway's process and port."""
    config, port = folder / "headgate.yaml", running.free_port()
    config.write_text(json.dumps(configuration(upstream, store, folder)))
    command = (sys.executable, "-m", "headgate", "serve", "--config", str(config), "--port", str(port))
    pid = stack.enter_context(running.started(command, GATEWAY_CORE, folder / "output.log", {}))
    running.wait_until_ready(pid, port, CHAT, (f"authorization: Bearer {CALM_KEY}",), READY_SECONDS)
    return pid, port


def client(port: int, key: str, rate: int, seconds: float, seed: int) -> subprocess.Popen[str]:
    command = ["taskset", "-c", str(TOOL_CORE), sys.executable, "-m", "benchmarks.paced"]
    command += ["--url", f"http://127.0.0.1:{port}{CHAT}", "--header", f"authorization: Bearer {key}"]
    command += ["--rate", str(rate), "--seconds", str(seconds), "--seed", str(seed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=running.ROOT)


def result(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = process.communicate()
    told: dict[str, Any] = json.loads(output)
    return told


def measure(pid: int, port: int, flooded_port: int, seconds: float, seed: int) -> Round:
    """One run; the flood begins before the calm traffic and ends after it."""
    flood = client(flooded_port, FLOOD_KEY, FLOOD_RATE, seconds + 1, seed)
    before = processes.cpu_seconds(pid)
    calm = result(client(port, CALM_KEY, CALM_RATE, seconds, seed + 1000))
    told = result(flood)["milliseconds"]
    used = processes.cpu_seconds(pid) - before
    answered = sorted(calm["milliseconds"].get("200", []))
    p50, p99 = (answered[int(share * len(answered))] for share in (0.5, 0.99))
    refused, accepted = len(told.get("429", ())), len(told.get("200", ()))
    failed = sum(map(len, told.values())) - refused - accepted + calm["sent"] - len(answered)
    return Round(p50, p99, used, accepted, refused, failed)


def table(without: list[Round], flooded: list[Round]) -> str:
    lines = [
        "| round | p50 without | p50 in a flood | p99 without | p99 in a flood | accepted | refused | failed |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for number, (calm, loud) in enumerate(zip(without, flooded, strict=True), 1):
        times = f"{calm.p50_ms:.2f} | {loud.p50_ms:.2f} | {calm.p99_ms:.2f} | {loud.p99_ms:.2f}"
        lines.append(f"| {number} | {times} | {loud.accepted} | {loud.refused} | {loud.failed + calm.failed} |")
    p50s, p99s = (
        [median(getattr(one, name) for one in rounds) for rounds in (without, flooded)] for name in ("p50_ms", "p99_ms")
    )
    lines.append(f"| median | {p50s[0]:.2f} | {p50s[1]:.2f} | {p99s[0]:.2f} | {p99s[1]:.2f} | | | |")
    more = median(loud.cpu_seconds - calm.cpu_seconds for calm, loud in zip(without, flooded, strict=True))
    each = more / median(loud.accepted + loud.refused for loud in flooded) * 1e6
    return "\n".join([*lines, "", f"CPU of the gateway for a request of the flood: {each:.0f} µs"])


def main() -> None:
    parser = argparse.ArgumentParser(description="What one tenant's flood costs another.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--store", choices=("memory", "redis"), default="memory")
    wanted = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fairness-")))
        upstream, store = running.free_port(), "memory"
        mock = (sys.executable, "-m", "benchmarks.mock_upstream", "--port", str(upstream))
        stack.enter_context(running.started(mock, TOOL_CORE, folder / "mock.log", {}))
        if wanted.store == "redis":
            redis = running.free_port()
            stack.enter_context(running.redis_on(redis, TOOL_CORE, folder))
            store = f"redis://127.0.0.1:{redis}/0"
        pid, port = gateway(stack, upstream, store, folder)
        measure(pid, port, port, wanted.seconds, wanted.rounds)  # what is made once is made
        without, flooded = [], []
        for number in range(wanted.rounds):
            without.append(measure(pid, port, upstream, wanted.seconds, number))
            flooded.append(measure(pid, port, port, wanted.seconds, number))
    print(table(without, flooded))


if __name__ == "__main__":
    main()
