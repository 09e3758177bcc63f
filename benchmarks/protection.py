"""What limits and budgets cost: the same gateway without any, with all of them in memory, with all of them in Redis.

    python -m benchmarks.protection [--seconds 5] [--rounds 3] [--only usual,memory,redis]

A usual tier has requests, tokens and concurrency for the tenant, budgets for a request, a user's day and the tenant's
month, and spend velocity for key, user and tenant, in memory. Everything on means: requests, tokens and concurrency for
the tenant, each key, each user and each model, for everybody together, budgets for a request, a user's day, a key's day
and month, a tenant's day and month, a model's month and a rolling hour, and the velocities; none of them is ever full.
JSON, 32 connections, one core for the gateway and one for the upstream, the load and Redis. Prints CPU microseconds a
request, as medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import running
from benchmarks.contenders import CHAT, HEADGATE_KEY

GATEWAY_CORE, TOOL_CORE = 0, 1
READY_SECONDS = 30.0
PLENTY = 1_000_000
LIMITS = {"requests_per_minute": PLENTY * 1000, "tokens_per_minute": PLENTY * 100_000, "concurrent_requests": PLENTY}
BUDGETS = {
    "request": 1_000, "user_day": PLENTY, "key_day": PLENTY, "key_month": PLENTY, "tenant_day": PLENTY,
    "tenant_month": PLENTY,
    "more": [
        {"per": "model", "window": "month", "usd": PLENTY},
        {"per": "user", "window": "rolling", "seconds": 3600, "usd": PLENTY},
    ],
}  # fmt: skip
EVERYTHING = {
    **LIMITS, "per_key": LIMITS, "per_user": LIMITS, "per_model": LIMITS, "budgets": BUDGETS,
    "velocity": {"usd_per_5_minutes": PLENTY, "baseline_factor": 1000},
}  # fmt: skip

USUAL = {
    **LIMITS, "budgets": {"request": 1_000, "user_day": PLENTY, "tenant_month": PLENTY},
    "velocity": {"usd_per_5_minutes": PLENTY},
}  # fmt: skip
TIERS = {"none": {}, "usual": USUAL, "memory": EVERYTHING, "redis": EVERYTHING}


def configuration(variant: str, upstream: int, redis: int, folder: Path) -> dict[str, Any]:
    return {
        "server": {"data_dir": str(folder / "data")},
        "store": f"redis://127.0.0.1:{redis}/0" if variant == "redis" else "memory",
        "providers": {"mock": {"kind": "openai", "base_url": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}},
        "models": {
            "gpt-4o-mini": {
                "price": {"input": 0.15, "output": 0.60},
                "deployments": [{"provider": "mock", "model": "gpt-4o-mini", "api": "chat"}],
            }
        },
        "limits": LIMITS if TIERS[variant] is EVERYTHING else {},
        "tiers": {"bench": {"models": ["*"], **TIERS[variant]}},
        "tenants": {"bench": {"tier": "bench", "keys": [{"key": HEADGATE_KEY, "user": "load"}]}},
    }


def measure(variant: str, upstream: int, redis: int, seconds: float) -> dict[str, Any]:
    """One gateway, started anew."""
    with tempfile.TemporaryDirectory(prefix="protection-") as name:
        folder, port = Path(name), running.free_port()
        config = folder / "headgate.yaml"
        config.write_text(json.dumps(configuration(variant, upstream, redis, folder)))
        command = (sys.executable, "-m", "headgate", "serve", "--config", str(config), "--port", str(port))
        headers = (f"authorization: Bearer {HEADGATE_KEY}",)
        with running.started(command, GATEWAY_CORE, folder / "output.log", {}) as pid:
            running.wait_until_ready(pid, port, CHAT, headers, READY_SECONDS)
            load = [
                sys.executable,
                "-m",
                "benchmarks.load",
                "--url",
                f"http://127.0.0.1:{port}{CHAT}",
                "--pid",
                str(pid),
            ]
            load += ["--concurrency", "32", "--seconds", str(seconds), "--header", headers[0]]
            done = subprocess.run(load, capture_output=True, text=True, check=True, cwd=running.ROOT)
            result: dict[str, Any] = json.loads(done.stdout)
            return result


def table(rounds: dict[str, list[dict[str, Any]]]) -> str:
    lines = [
        "| limits and budgets | CPU µs/request | on top | p50 ms | p99 ms | errors |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    plain = [one["cpu_us_per_request"] for one in rounds["none"]]
    for variant, results in rounds.items():
        cpu = [one["cpu_us_per_request"] for one in results]
        extra = median(more - less for more, less in zip(cpu, plain, strict=True))
        p50, p99 = (median(one[name] for one in results) for name in ("p50_ms", "p99_ms"))
        errors = sum(sum(one["errors"].values()) for one in results)
        top = "–" if variant == "none" else f"{extra:.0f}"
        lines.append(f"| {variant} | {median(cpu):.0f} | {top} | {p50:.1f} | {p99:.1f} | {errors} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="What limits and budgets cost a request.")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="usual,memory,redis", help="of usual, memory and redis, beside none")
    wanted = parser.parse_args()
    variants = ["none", *wanted.only.split(",")]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="protection-")))
        upstream, redis = running.free_port(), running.free_port()
        mock = (sys.executable, "-m", "benchmarks.mock_upstream", "--port", str(upstream))
        stack.enter_context(running.started(mock, TOOL_CORE, folder / "mock.log", {}))
        if "redis" in variants:
            stack.enter_context(running.redis_on(redis, TOOL_CORE, folder))
        rounds: dict[str, list[dict[str, Any]]] = {variant: [] for variant in variants}
        for _ in range(wanted.rounds):
            for variant in variants:
                rounds[variant].append(measure(variant, upstream, redis, wanted.seconds))
    print(table(rounds))


if __name__ == "__main__":
    main()
