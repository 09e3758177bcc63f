"""What limits and budgets cost inside the process: the corridor without sockets, with each kind of tier in turns.

    python -m benchmarks.corridor [--rounds 120] [--only usual,memory,redis]

The tiers are those of `benchmarks.protection`. A provider in memory answers at once; 32 requests go in together, and
their answers are booked and rendered as on a connection. Prints CPU microseconds a request of this process's thread:
the least round, and the first decile. Rounds of all tiers take turns, so that a busy machine slows all of them alike;
what code costs that is cold between two reads of a socket is in `benchmarks.protection` alone.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import uvloop

from benchmarks import running
from benchmarks.contenders import HEADGATE_KEY
from benchmarks.load import chat_body
from benchmarks.protection import TIERS, configuration
from headgate.app import Application
from headgate.config.load import load
from headgate.gateway.http import headers
from headgate.types import Operation, Route
from headgate.wire.speakers import speaker
from headgate.writing import Batch

CONCURRENCY = 32
WARM_UP_ROUNDS = 5
BODY = chat_body(False)
ANSWER = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello " * 30}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 400, "completion_tokens": 40, "total_tokens": 440},
}  # fmt: skip


class Reply:
    """An answer that is there at once."""

    status = 200

    def __init__(self) -> None:
        self.headers = {"content-type": "application/json"}
        self._left = [json.dumps(ANSWER).encode()]

    async def read(self) -> bytes:
        return self._left.pop() if self._left else b""

    def close(self) -> None:
        self._left.clear()


class Provider:
    """Answers everything alike."""

    name, kind = "mock", "openai"

    async def send(
        self, operation: Operation, body: bytes, *, endpoint: str, api_key: str, headers: Sequence[tuple[str, str]] = ()
    ) -> Reply:
        return Reply()

    async def aclose(self) -> None:
        """Nothing is open."""


class Nowhere(asyncio.WriteTransport):
    """Takes what is written."""

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Gone."""


class Gateway:
    """One process's application with the tier of a variant."""

    def __init__(self, variant: str, redis: int, folder: Path) -> None:
        path = folder / "headgate.yaml"
        path.write_text(json.dumps(configuration(variant, 9, redis, folder)))
        self._application = Application(load(str(path), os.environ), os.environ)
        self._batch = Batch(asyncio.get_running_loop())
        self._sent = 0

    async def start(self) -> None:
        await self._application.start()
        for deployment in self._application.pipeline.setup.deployments():
            deployment.provider = Provider()
        for _ in range(WARM_UP_ROUNDS):
            await self.round()

    async def round(self) -> float:
        """CPU seconds of a request."""
        begun = time.thread_time()
        await asyncio.gather(*[self._ask() for _ in range(CONCURRENCY)])
        await asyncio.sleep(0)  # until the batch is out
        return (time.thread_time() - begun) / CONCURRENCY

    async def _ask(self) -> None:
        self._sent += 1
        application = self._application
        caller = application.accounts.authenticate(HEADGATE_KEY)
        told = headers.call_headers({}, caller)
        call = speaker(Route.CHAT).parse_call(Route.CHAT, BODY, f"req_{self._sent:020d}", told)
        async with application.pipeline.handle(caller, call, self._batch) as answer:
            self._batch.write(Nowhere(), headers.answer_head(answer.head, Route.CHAT) + answer.body)

    async def stop(self) -> None:
        await self._application.stop()


async def measure(variants: Sequence[str], rounds: int, redis: int, folder: Path) -> dict[str, list[float]]:
    gateways = {}
    for variant in variants:
        place = folder / variant
        place.mkdir()
        gateways[variant] = Gateway(variant, redis, place)
        await gateways[variant].start()
    gc.freeze()
    taken: dict[str, list[float]] = {variant: [] for variant in variants}
    for _ in range(rounds):
        for variant, gateway in gateways.items():
            taken[variant].append(await gateway.round() * 1e6)
        await asyncio.sleep(0.01)  # the background has its turn outside of what is measured
    for gateway in gateways.values():
        await gateway.stop()
    return taken


def table(taken: dict[str, list[float]]) -> str:
    lines = [
        "| limits and budgets | least µs/request | on top | first decile | on top |",
        "|---|---:|---:|---:|---:|",
    ]
    figures = {variant: (min(each), sorted(each)[len(each) // 10]) for variant, each in taken.items()}
    for variant, (least, decile) in figures.items():
        more, more_in_decile = least - figures["none"][0], decile - figures["none"][1]
        lines.append(f"| {variant} | {least:.0f} | {more:.0f} | {decile:.0f} | {more_in_decile:.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="What limits and budgets cost a request inside the process.")
    parser.add_argument("--rounds", type=int, default=120)
    parser.add_argument("--only", default="usual,memory,redis", help=f"of {', '.join(TIERS)}, beside none")
    wanted = parser.parse_args()
    variants = ["none", *wanted.only.split(",")]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="corridor-")))
        port = running.free_port()
        if "redis" in variants:
            server = shutil.which("redis-server")
            if server is None:
                sys.exit("redis-server is not installed (Debian: apt-get install redis-server)")
            command = (server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder))
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL))
            stack.callback(process.kill)
            time.sleep(0.5)
        print(table(uvloop.run(measure(variants, wanted.rounds, port, folder))))


if __name__ == "__main__":
    main()
