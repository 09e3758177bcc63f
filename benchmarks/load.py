"""A closed loop of connections against one URL of a gateway, and what it cost the process behind it.

Every connection sends its next request as soon as the answer to the last one is whole, for `--seconds` after a warm-up
that is not counted. One JSON line on stdout says how that went; `Result` below names the figures.

    python -m benchmarks.load --url http://127.0.0.1:8080/v1/chat/completions --pid PID [--stream]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import cast
from urllib.parse import urlsplit

import httptools
import uvloop

from benchmarks import processes

SYSTEM = "You are a helpful assistant."
PROMPT = " ".join(["The gate lets the stream through when the mill wants it."] * 35)
EVENT = b"data: "
ENDS_OF_STREAMS = {
    "chat": b"data: [DONE]",
    "messages": b"event: message_stop",
    "responses": b"event: response.completed",
}
LONGEST_END = max(map(len, ENDS_OF_STREAMS.values()))
RECONNECT_SECONDS = 0.05


@dataclass(frozen=True)
class Target:
    """Where the requests go and what they say."""

    host: str
    port: int
    request: bytes
    stream: bool
    end_of_stream: bytes = ENDS_OF_STREAMS["chat"]


@dataclass(frozen=True)
class Plan:
    """How hard and how long: streams start spread over `stagger` seconds, or all of them would beat in step."""

    concurrency: int = 32
    seconds: float = 5.0
    warmup: float = 1.0
    stagger: float = 0.35
    grace: float = 15.0


@dataclass
class Tally:
    """Raw times in seconds."""

    whole: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    events: int = 0
    failures: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Result:
    """One load run. TTFT is the time to the first bytes of the body, a gap the time between two reads of a stream.

    `core_percent` is CPU time over wall time: near 100 the process was the limit, else the load or its neighbours were.
    """

    mode: str
    concurrency: int
    requests: int
    errors: dict[str, int]
    rps: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    ttft_p50_ms: float | None
    ttft_p99_ms: float | None
    gap_p50_ms: float | None
    gap_p99_ms: float | None
    events_per_request: float | None
    cpu_us_per_request: float | None
    cpu_us_per_event: float | None
    core_percent: float | None
    rss_mb: float | None


class Connection(asyncio.Protocol):
    """Keeps one request in flight until `stop_at`, or until the other side closes."""

    def __init__(self, target: Target, tally: Tally, stop_at: float) -> None:
        self.target, self.tally, self.stop_at = target, tally, stop_at
        self.loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self.loop.create_future()
        self.in_flight = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.in_flight:
            self.tally.failures["connection lost"] += 1
        if not self.closed.done():
            self.closed.set_result(None)

    def send(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.began = time.perf_counter()
        self.first = self.last = 0.0
        self.events, self.ended, self.tail = 0, False, b""
        self.in_flight = True
        self.transport.write(self.target.request)

    def data_received(self, data: bytes) -> None:
        self.body_read = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.fail("malformed response")
            return
        if self.body_read and self.in_flight:
            self.note_read()

    def note_read(self) -> None:
        now = time.perf_counter()
        if self.first:
            self.tally.gaps.append(now - self.last)
        else:
            self.first = now
        self.last = now

    def on_body(self, body: bytes) -> None:
        self.body_read = True
        if self.target.stream:
            text = self.tail + body  # an event may be cut anywhere
            self.events += text.count(EVENT) - self.tail.count(EVENT)
            self.ended = self.ended or self.target.end_of_stream in text
            self.tail = text[-LONGEST_END:]

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        if self.body_read:
            self.note_read()
        status = self.parser.get_status_code()
        if status != 200:
            self.fail(f"status {status}")
            return
        if self.target.stream and not self.ended:
            self.fail("stream without its end")
            return
        self.in_flight = False
        self.tally.whole.append(now - self.began)
        self.tally.first.append((self.first or now) - self.began)
        self.tally.events += self.events
        if now < self.stop_at and self.parser.should_keep_alive():
            self.loop.call_soon(self.send_or_leave)
        else:
            self.transport.close()

    def send_or_leave(self) -> None:
        if not self.transport.is_closing():
            self.send()

    def fail(self, reason: str) -> None:
        """Count the request once and start over on a new connection."""
        self.tally.failures[reason] += 1
        self.in_flight = False
        self.transport.close()


async def keep_connected(target: Target, tally: Tally, delay: float, stop_at: float) -> None:
    await asyncio.sleep(delay)
    loop = asyncio.get_running_loop()
    while time.perf_counter() < stop_at:
        failed_before = tally.failures.total()
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(target, tally, stop_at), target.host, target.port
            )
        except OSError as error:
            tally.failures[type(error).__name__] += 1
        else:
            await connection.closed
        if tally.failures.total() > failed_before:
            await asyncio.sleep(RECONNECT_SECONDS)


async def phase(target: Target, plan: Plan, seconds: float) -> tuple[Tally, float]:
    """Run the loop and return what it saw with how long it took; requests that outlast the grace are failures."""
    tally, began = Tally(), time.perf_counter()
    spread = plan.stagger / plan.concurrency if target.stream else 0.0
    workers = [
        asyncio.create_task(keep_connected(target, tally, spread * n, began + seconds)) for n in range(plan.concurrency)
    ]
    _, unfinished = await asyncio.wait(workers, timeout=seconds + plan.grace)
    for worker in unfinished:
        worker.cancel()
        tally.failures["unfinished"] += 1
    return tally, time.perf_counter() - began


async def run(target: Target, plan: Plan, pid: int | None) -> Result:
    if plan.warmup > 0:
        await phase(target, plan, plan.warmup)
    before = processes.cpu_seconds(pid) if pid else 0.0
    tally, took = await phase(target, plan, plan.seconds)
    used = processes.cpu_seconds(pid) - before if pid else None
    return summarise(target, plan, tally, took, used, processes.rss_mb(pid) if pid else None)


def summarise(
    target: Target, plan: Plan, tally: Tally, took: float, used: float | None, rss_mb: float | None
) -> Result:
    requests = len(tally.whole)
    gaps = tally.gaps if target.stream else []
    return Result(
        mode="stream" if target.stream else "json",
        concurrency=plan.concurrency,
        requests=requests,
        errors=dict(tally.failures),
        rps=round(requests / took, 1),
        p50_ms=percentile_ms(tally.whole, 0.50),
        p95_ms=percentile_ms(tally.whole, 0.95),
        p99_ms=percentile_ms(tally.whole, 0.99),
        ttft_p50_ms=percentile_ms(tally.first, 0.50),
        ttft_p99_ms=percentile_ms(tally.first, 0.99),
        gap_p50_ms=percentile_ms(gaps, 0.50),
        gap_p99_ms=percentile_ms(gaps, 0.99),
        events_per_request=round(tally.events / requests, 1) if requests and target.stream else None,
        cpu_us_per_request=round(used / requests * 1e6, 1) if used is not None and requests else None,
        cpu_us_per_event=round(used / tally.events * 1e6, 2) if used is not None and tally.events else None,
        core_percent=round(used / took * 100, 1) if used is not None else None,
        rss_mb=round(rss_mb, 1) if rss_mb is not None else None,
    )


def percentile_ms(seconds: Sequence[float], share: float) -> float | None:
    if not seconds:
        return None
    ordered = sorted(seconds)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e3, 3)


def chat_body(stream: bool, model: str = "gpt-4o-mini") -> bytes:
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}]
    body: dict[str, object] = {"model": model, "messages": messages, "max_tokens": 64, "temperature": 0.2}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(body).encode()


def body_in(dialect: str, stream: bool, model: str) -> bytes:
    """The same request as a client of each dialect says it."""
    if dialect == "chat":
        return chat_body(stream, model)
    body: dict[str, object] = {"model": model, "temperature": 0.2, **({"stream": True} if stream else {})}
    turns = [{"role": "user", "content": PROMPT}]
    if dialect == "messages":
        body |= {"system": SYSTEM, "messages": turns, "max_tokens": 64}
    else:
        body |= {"instructions": SYSTEM, "input": turns, "max_output_tokens": 64}
    return json.dumps(body).encode()


def target_for(
    url: str, stream: bool, headers: Sequence[str] = (), model: str = "gpt-4o-mini", dialect: str = "chat"
) -> Target:
    where = urlsplit(url)
    body = body_in(dialect, stream, model)
    lines = [
        f"POST {where.path} HTTP/1.1",
        f"host: {where.netloc}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        *headers,
    ]
    request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    return Target(where.hostname or "127.0.0.1", where.port or 80, request, stream, ENDS_OF_STREAMS[dialect])


def main() -> None:
    about = (__doc__ or "").partition("\n")[0]
    options = argparse.ArgumentParser(prog="python -m benchmarks.load", description=about)
    options.add_argument("--url", required=True)
    options.add_argument("--pid", type=int, help="the process to account for, with its descendants")
    options.add_argument("--model", default="gpt-4o-mini")
    options.add_argument("--header", action="append", default=[], metavar="'NAME: VALUE'", help="may be repeated")
    options.add_argument("--stream", action="store_true")
    options.add_argument("--dialect", choices=list(ENDS_OF_STREAMS), default="chat", help="of the URL's callers")
    options.add_argument("--concurrency", type=int, default=Plan.concurrency)
    options.add_argument("--seconds", type=float, default=Plan.seconds)
    options.add_argument("--warmup", type=float, default=Plan.warmup)
    options.add_argument("--stagger", type=float, default=Plan.stagger, help="seconds over which streams start")
    options.add_argument("--grace", type=float, default=Plan.grace, help="seconds that the last answers may take")
    chosen = options.parse_args()
    target = target_for(chosen.url, chosen.stream, chosen.header, chosen.model, chosen.dialect)
    plan = Plan(chosen.concurrency, chosen.seconds, chosen.warmup, chosen.stagger, chosen.grace)
    print(json.dumps(asdict(uvloop.run(run(target, plan, chosen.pid)))))


if __name__ == "__main__":
    main()
