"""What the estimate of a prompt costs, and how long a count keeps the event loop: figures of docs/tokens.md.

    python -m benchmarks.preflight_lag

The prompts are those of an agent: messages of 4,000 characters of prose, code and JSON. Blocked is
the longest that other tasks of the same loop, which is uvloop, did not get their turn. The counting process has loaded
its vocabulary before.
"""

from __future__ import annotations

import asyncio
import json
import time
import timeit
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import uvloop

from headgate.gateway.preflight import estimate_prompt
from headgate.policy.estimating import tool_prompt_tokens
from headgate.policy.preflight import prompt_rules
from headgate.ports import TokenCounter
from headgate.tokens.counter import EstimatingCounter, OfflineCounter
from headgate.types import Call, Route
from headgate.wire.openai import CallHeaders
from headgate.wire.speakers import speaker

PIECE = (
    "The gate decides how much water enters the mill race, and the miller walks down to look at the marks twice a day. "
    "def settle(self, hold):\n    if hold.id in self._booked:\n        return 0\n    return self._ledger.book(hold)\n"
    '{"id": 4711, "name": "mill race", "open": true, "levels_mm": [812, 815, 901], "note": null}\n'
)
MESSAGE_CHARACTERS = 4000
ROUNDS = 20
SIZES = (2_000, 40_000, 400_000)


def prompt(route: Route, size: int, *, parts: bool) -> Call:
    text = (PIECE * (size // len(PIECE) + 1))[:size]
    pieces = [text[start : start + MESSAGE_CHARACTERS] for start in range(0, size, MESSAGE_CHARACTERS)]
    contents = [[{"type": "text", "text": piece}] if parts else piece for piece in pieces]
    messages = [{"role": "user", "content": content} for content in contents]
    body = json.dumps({"model": "m", "max_tokens": 100, "messages": messages}).encode()
    return speaker(route).parse_call(route, body, "req_1", CallHeaders())


async def count(counter: TokenCounter, call: Call, model: str) -> int:
    """As the gateway counts a prompt."""
    spoken = speaker(call.route)
    tokens = await counter.count(model, spoken.prompt_texts(call)) + spoken.overhead_tokens(call)
    return tokens + (tool_prompt_tokens(model) if spoken.features(call).tools else 0)


async def blocked_seconds(work: Callable[[], Awaitable[object]]) -> float:
    """The most that the loop's thread computed between two turns of a task, while `work` was done ROUNDS times.

    Computing time, as waiting time on a busy machine says more of the machine.
    """
    longest = 0.0

    async def take_turns() -> None:
        nonlocal longest
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)

    turns = asyncio.create_task(take_turns())
    for _ in range(ROUNDS):
        await work()
    turns.cancel()
    return longest


def estimate_seconds(call: Call) -> float:
    rules = prompt_rules(["gpt-4o"])
    rounds = timeit.repeat(lambda: estimate_prompt(call, rules), number=20, repeat=30)
    return min(rounds) / 20


async def row(route: Route, size: int, parts: bool, counters: Mapping[str, TokenCounter]) -> str:
    call = prompt(route, size, parts=parts)
    cells = [f"{route.value}{', parts' if parts else ''}, {size // 1000} kB", f"{estimate_seconds(call) * 1e6:.1f}"]
    for model, counter in counters.items():
        work = partial(count, counter, call, model)
        began = time.perf_counter()
        await work()
        cells.append(f"{(time.perf_counter() - began) * 1e3:.1f}")
        cells.append(f"{await blocked_seconds(work) * 1e3:.1f}")
    return f"| {' | '.join(cells)} |"


async def main() -> None:
    exact = OfflineCounter()
    await exact.count("gpt-4o", ["warm up"])
    print(
        "| prompt | estimate us | exact ms | blocked ms | estimated ms | blocked ms |\n|---|---:|---:|---:|---:|---:|"
    )
    for size in SIZES:
        for route, parts in ((Route.CHAT, False), (Route.CHAT, True), (Route.MESSAGES, True)):
            print(await row(route, size, parts, {"gpt-4o": exact, "claude-sonnet-4-5": EstimatingCounter()}))
    await exact.aclose()


if __name__ == "__main__":
    uvloop.run(main())
