"""Requests that come by themselves: so many a second at random moments, however long the answers take.

A connection that waits for its answer holds nobody back, another one is opened. Times are from the write of a request
to the end of its answer. One JSON line on stdout: how many were sent, and how long each took, by status.

    python -m benchmarks.paced --url http://127.0.0.1:8080/v1/chat/completions --rate 200 --seconds 5
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import cast

import httptools
import uvloop

from benchmarks.load import Target, target_for

CONNECTIONS = 16  # opened before the first request
LOOK_SECONDS, ANSWER_LOOKS = 0.02, 250  # whether the last answers are there


@dataclass
class Tally:
    sent: int = 0
    milliseconds: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))  # by status, 0: broken off

    @property
    def answered(self) -> int:
        return sum(map(len, self.milliseconds.values()))


class Connection(asyncio.Protocol):
    """One request at a time; gives itself back to the idle ones when its answer is whole."""

    def __init__(self, idle: list[Connection], tally: Tally) -> None:
        self.idle, self.tally = idle, tally
        self.began = 0.0  # 0: nothing is under way

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def send(self, request: bytes) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.began = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.note(self.parser.get_status_code())
        if self.parser.should_keep_alive():
            self.idle.append(self)
        else:
            self.transport.close()

    def note(self, status: int) -> None:
        self.tally.milliseconds[status].append((time.perf_counter() - self.began) * 1e3)
        self.began = 0.0

    def connection_lost(self, exc: Exception | None) -> None:
        if self.began:
            self.note(0)
        elif self in self.idle:
            self.idle.remove(self)


async def run(target: Target, rate: float, seconds: float, seed: int) -> Tally:
    chance, tally, idle = random.Random(seed), Tally(), list[Connection]()
    loop = asyncio.get_running_loop()

    async def another() -> Connection:
        _, connection = await loop.create_connection(lambda: Connection(idle, tally), target.host, target.port)
        return connection

    async def on_another() -> None:
        (await another()).send(target.request)

    idle += [await another() for _ in range(CONNECTIONS)]
    opening, due = set[asyncio.Task[None]](), time.perf_counter()
    end = due + seconds
    while (due := due + chance.expovariate(rate)) < end:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tally.sent += 1
        if idle:
            idle.pop().send(target.request)
        else:
            task = loop.create_task(on_another())
            opening.add(task)
            task.add_done_callback(opening.discard)
    for _ in range(ANSWER_LOOKS):
        if tally.answered == tally.sent:
            break
        await asyncio.sleep(LOOK_SECONDS)
    return tally


def main() -> None:
    about = (__doc__ or "").partition("\n")[0]
    options = argparse.ArgumentParser(prog="python -m benchmarks.paced", description=about)
    options.add_argument("--url", required=True)
    options.add_argument("--rate", type=float, required=True, help="requests a second, on average")
    options.add_argument("--seconds", type=float, default=5.0)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--header", action="append", default=[], metavar="'NAME: VALUE'", help="may be repeated")
    chosen = options.parse_args()
    target = target_for(chosen.url, stream=False, headers=chosen.header)
    tally = uvloop.run(run(target, chosen.rate, chosen.seconds, chosen.seed))
    print(json.dumps({"sent": tally.sent, "milliseconds": tally.milliseconds}))


if __name__ == "__main__":
    main()
