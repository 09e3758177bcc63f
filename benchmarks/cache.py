"""What an answer that is kept costs, beside one that is forwarded: the same gateway with and without an exact cache.

    python -m benchmarks.cache [--seconds 5] [--rounds 3] [--only hit,refresh,redis] [--connections 32]

`none` has no cache configured, `off` has one and asks to leave it alone, `hit` finds the answer in memory, `redis` in
Redis, `refresh` forwards the request and keeps its answer each time. JSON and streams of 64 events, one core for the
gateway and one for the upstream, the load and Redis. Prints CPU microseconds a request, as medians of the rounds, and
the memory of an entry. `--at-once` sends so many identical requests together and counts the upstream's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import processes, running
from benchmarks.contenders import CHAT, HEADGATE_KEY
from headgate.cache_types import CachedAnswer
from headgate.stores.memory_cache import MemoryCache

GATEWAY_CORE, TOOL_CORE = 0, 1
READY_SECONDS = 30.0
MODES = {"none": "", "off": "off", "hit": "", "redis": "", "refresh": "refresh"}  # of x-headgate-cache
HEADERS = (f"authorization: Bearer {HEADGATE_KEY}",)
ANSWER_BYTES = 1_000


def configuration(variant: str, upstream: int, redis: int, folder: Path) -> dict[str, Any]:
    kept = {"exact": {"ttl_seconds": 3600, "sampled": "always"}}  # the load's requests have a temperature
    return {
        "server": {"data_dir": str(folder / "data")},
        "store": f"redis://127.0.0.1:{redis}/0" if variant == "redis" else "memory",
        "providers": {"mock": {"kind": "openai", "base_url": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}},
        "models": {
            "gpt-4o-mini": {
                "price": {"input": 0.15, "output": 0.60},
                "deployments": [{"provider": "mock", "model": "gpt-4o-mini", "api": "chat"}],
                "cache": {} if variant == "none" else kept,
            }
        },
        "tiers": {"bench": {"models": ["*"]}},
        "tenants": {"bench": {"tier": "bench", "keys": [{"key": HEADGATE_KEY, "user": "load"}]}},
    }


@contextmanager
def gateway(variant: str, upstream: int, redis: int) -> Iterator[tuple[int, int]]:
    """One gateway, started anew: its port and process id."""
    with tempfile.TemporaryDirectory(prefix="cache-") as name:
        folder, port = Path(name), running.free_port()
        config = folder / "headgate.yaml"
        config.write_text(json.dumps(configuration(variant, upstream, redis, folder)))
        command = (sys.executable, "-m", "headgate", "serve", "--config", str(config), "--port", str(port))
        with running.started(command, GATEWAY_CORE, folder / "output.log", {}) as pid:
            running.wait_until_ready(pid, port, CHAT, HEADERS, READY_SECONDS)
            yield port, pid


def measure(variant: str, stream: bool, upstream: int, redis: int, how: argparse.Namespace) -> dict[str, Any]:
    with gateway(variant, upstream, redis) as (port, pid):
        load = [sys.executable, "-m", "benchmarks.load", "--url", f"http://127.0.0.1:{port}{CHAT}", "--pid", str(pid)]
        load += ["--concurrency", str(how.connections), "--seconds", str(how.seconds), "--header", HEADERS[0]]
        load += ["--stream"] if stream else []
        load += ["--header", f"x-headgate-cache: {MODES[variant]}"] if MODES[variant] else []
        done = subprocess.run(load, capture_output=True, text=True, check=True, cwd=running.ROOT)
        result: dict[str, Any] = json.loads(done.stdout)
        return result


async def all_at_once(port: int, count: int) -> int:
    """Send so many identical requests together; how many were answered with 200."""
    body = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Together."}]}).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\n{HEADERS[0]}\r\nconnection: close\r\n"
    request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    for _, writer in connections:
        writer.write(request)
    answers = await asyncio.gather(*[reader.read() for reader, _ in connections])
    for _, writer in connections:
        writer.close()
    return sum(answer.startswith(b"HTTP/1.1 200") for answer in answers)


def entry_bytes(entries: int) -> float:
    """Resident memory that an entry takes beside its answer."""
    before = processes.rss_mb(os.getpid()) * 1e6
    store = MemoryCache(lambda: 0.0, max_entries=entries, max_bytes=2**62, max_entry_bytes=ANSWER_BYTES)
    for number in range(entries):
        store.put(
            CachedAnswer(
                key=number.to_bytes(24, "little"),
                request_id=f"req_{number:026}",
                tenant="acme",
                user="alice",
                model="gpt-4o-mini",
                prompt_version=None,
                route="chat/completions",
                stream=False,
                answered_by="gpt-4o-mini",
                origin="0" * 24,
                deployment="mock/gpt-4o-mini",
                provider="mock",
                stored_at=0.0,
                expires_at=1.0 + number,
                cost_picousd=82_000_000,
                body=number.to_bytes(4, "little") * (ANSWER_BYTES // 4),
            )
        )
    return (processes.rss_mb(os.getpid()) * 1e6 - before) / entries - ANSWER_BYTES


def table(rounds: dict[tuple[str, bool], list[dict[str, Any]]]) -> str:
    lines = ["| answer | cache | CPU µs/request | p50 ms | p99 ms | errors |", "|---|---|---:|---:|---:|---:|"]
    for (variant, stream), results in rounds.items():
        cpu, p50, p99 = (median(one[name] for one in results) for name in ("cpu_us_per_request", "p50_ms", "p99_ms"))
        errors = sum(sum(one["errors"].values()) for one in results)
        kind = "stream" if stream else "JSON"
        lines.append(f"| {kind} | {variant} | {cpu:.0f} | {p50:.2f} | {p99:.2f} | {errors} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="What an answer costs that is kept.")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="off,hit,refresh,redis", help="of off, hit, refresh and redis, beside none")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--entries", type=int, default=100_000, help="to measure the memory of one")
    parser.add_argument("--at-once", type=int, default=1_000, help="identical requests together")
    wanted = parser.parse_args()
    variants = ["none", *wanted.only.split(",")]
    print(f"an entry takes {entry_bytes(wanted.entries):.0f} bytes beside its answer ({wanted.entries:,} entries)")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cache-")))
        upstream, redis = running.free_port(), running.free_port()
        mock = (sys.executable, "-m", "benchmarks.mock_upstream", "--port", str(upstream), "--interval", "0")
        stack.enter_context(running.started(mock, TOOL_CORE, folder / "mock.log", {}))
        if "redis" in variants:
            stack.enter_context(running.redis_on(redis, TOOL_CORE, folder))
        with gateway("hit", upstream, redis) as (port, _):
            before = running.upstream_requests(upstream)
            answered = asyncio.run(all_at_once(port, wanted.at_once))
            made = running.upstream_requests(upstream) - before
            print(f"{wanted.at_once:,} identical requests at once: {answered:,} answered, {made} made upstream")
        rounds: dict[tuple[str, bool], list[dict[str, Any]]] = {
            (variant, stream): [] for stream in (False, True) for variant in variants
        }
        for _ in range(wanted.rounds):
            for variant, stream in rounds:
                rounds[variant, stream].append(measure(variant, stream, upstream, redis, wanted))
    print(table(rounds))


if __name__ == "__main__":
    main()
