"""The bill of a day, with and without each feature that saves money.

    python -m benchmarks.bill QUESTIONS RATES [--requests 3000] [--seconds 60] [--only nothing,exact,all]

QUESTIONS are wordings by topic (JSON lines, {"cluster", "questions"} or {"text", "intent"}), RATES is a trace with the
columns t and rate. The same day, shortened to `--seconds`, is replayed through a gateway that is started anew for each
row. Everything asks for `large`, or for `auto` where the router chooses. The upstream knows the topic of each question
and says so, so that every wrong answer is seen; and it adds up its own bill, beside that of the ledger.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from benchmarks import bill_stream, running
from benchmarks.bill_stream import DAY_SECONDS, PRICES, Question, Sold
from benchmarks.contenders import CHAT, HEADGATE_KEY

ADMIN_KEY = "hg-bench-admin-000000001"
GATEWAY_CORE = 0
READY_SECONDS = 60.0
ANSWER_SECONDS = 2.0  # of the day
BOOKED_SECONDS = 3.0  # until the last shadow run is in the ledger
EXACT: dict[str, Any] = {"exact": {"ttl_seconds": DAY_SECONDS}}
FEATURES = ("nothing", "exact", "semantic", "router", "all")


@dataclass
class Day:
    """What became of it."""

    answers: Counter[str] = field(default_factory=Counter)  # by x-headgate-cache
    models: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    failed: int = 0
    seconds: list[float] = field(default_factory=list)
    sold: Sold = field(default_factory=Sold)
    ledger_usd: float = 0.0


def configuration(feature: str, upstream: int, bound: float, folder: Path) -> dict[str, Any]:
    semantic = {"semantic": {"ttl_seconds": DAY_SECONDS, "bound": bound}}
    cache = {"exact": EXACT, "semantic": {**EXACT, **semantic}, "all": {**EXACT, **semantic}}.get(feature, {})
    return {
        "server": {"data_dir": str(folder / "data"), "log": {"requests": "failures"}},
        "providers": {"day": {"kind": "openai", "base_url": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}},
        "models": {
            name: {
                "price": {"input": prices[0], "output": prices[1]},
                "deployments": [{"provider": "day", "model": name, "api": "chat"}],
                "cache": cache,
            }
            for name, prices in PRICES.items()
        },
        "routers": {"auto": {"from": ["small", "large"], "cost_quality": 0.5, "cache": cache}},
        "tiers": {"bench": {"models": ["*"]}},
        "tenants": {"bench": {"tier": "bench", "keys": [{"key": HEADGATE_KEY}]}},
    }


async def replay(questions: Sequence[Question], model: str, port: int, seconds: float) -> Day:
    """Ask every question at its time."""
    day, pace, began = Day(), seconds / DAY_SECONDS, time.perf_counter()
    limits = httpx.Limits(max_connections=200)
    headers = {"authorization": f"Bearer {HEADGATE_KEY}"}
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=headers, limits=limits, timeout=60
    ) as http:

        async def ask(question: Question) -> None:
            await asyncio.sleep(max(0.0, question.at * pace - (time.perf_counter() - began)))
            asked = time.perf_counter()
            messages = [{"role": "user", "content": question.text}]
            response = await http.post(CHAT, json={"model": model, "messages": messages, "temperature": 0})
            day.seconds.append(time.perf_counter() - asked)
            if response.status_code != 200:
                day.failed += 1
                return
            day.answers[response.headers["x-headgate-cache"]] += 1
            day.models[response.headers["x-headgate-model"]] += 1
            said = response.json()["choices"][0]["message"]["content"]
            day.wrong += said != bill_stream.answer_of(question.topic)

        await asyncio.gather(*map(ask, questions))
        await asyncio.sleep(BOOKED_SECONDS)
        usage = await http.get("/admin/usage", headers={"authorization": f"Bearer {ADMIN_KEY}"})
        day.ledger_usd = sum(float(row["cost_usd"]) for row in usage.raise_for_status().json()["data"])
    return day


async def live(feature: str, questions: Sequence[Question], seconds: float, bound: float) -> Day:
    """One gateway, one day."""
    with tempfile.TemporaryDirectory(prefix="bill-") as name:
        folder, port, upstream = Path(name), running.free_port(), running.free_port()
        config, sold = folder / "headgate.yaml", Sold()
        config.write_text(json.dumps(configuration(feature, upstream, bound, folder)))
        server = await bill_stream.serve(questions, sold, upstream, ANSWER_SECONDS * seconds / DAY_SECONDS)
        command = (sys.executable, "-m", "headgate", "serve", "--config", str(config), "--port", str(port))
        environment = {**os.environ, "HEADGATE_ADMIN_KEY": ADMIN_KEY}
        with running.started(command, GATEWAY_CORE, folder / "output.log", environment):
            await listening(port)
            day = await replay(questions, "auto" if feature in ("router", "all") else "large", port, seconds)
        server.close()
        day.sold = sold
        return day


async def listening(port: int) -> None:
    deadline = time.perf_counter() + READY_SECONDS
    async with httpx.AsyncClient() as http:
        while True:
            try:
                if (await http.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            if time.perf_counter() > deadline:
                raise running.Unfit(f"it was not ready within {READY_SECONDS:.0f} s")
            await asyncio.sleep(running.POLL_SECONDS)


def table(days: dict[str, Day], requests: int) -> str:
    lines = [
        "| | bill USD | share | ledger USD | calls small / large | exact | coalesced | semantic | wrong | p50 ms |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    first = next(iter(days.values())).sold.picousd
    for feature, day in days.items():
        bill = day.sold.picousd / 1e12
        calls = f"{day.sold.calls.get('small', 0)} / {day.sold.calls.get('large', 0)}"
        hits = " | ".join(str(day.answers[kind]) for kind in ("exact", "coalesced", "semantic"))
        failed = f" ({day.failed} failed)" if day.failed else ""
        wrong = f"{day.wrong} ({day.wrong / requests:.2%}){failed}"
        lines.append(
            f"| {feature} | {bill:.4f} | {day.sold.picousd / first:.0%} | {day.ledger_usd:.4f} | {calls} | {hits} "
            f"| {wrong} | {median(day.seconds) * 1000:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="The bill of a day, with and without each feature.")
    parser.add_argument("questions", type=Path)
    parser.add_argument("rates", type=Path)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--topics", type=int, default=1500, help="the most topics of the day")
    parser.add_argument("--zipf", type=float, default=0.9, help="how much more popular topics are asked")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the day takes")
    parser.add_argument("--bound", type=float, default=0.02, help="of wrong semantic hits")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default=",".join(FEATURES))
    chosen = parser.parse_args()
    topics = bill_stream.read_topics(chosen.questions)
    topics = dict(sorted(topics.items())[: chosen.topics])
    hours = bill_stream.read_hours(chosen.rates)
    questions = bill_stream.a_day(topics, hours, chosen.requests, chosen.zipf, chosen.seed)
    days = {
        feature: asyncio.run(live(feature, questions, chosen.seconds, chosen.bound))
        for feature in chosen.only.split(",")
    }
    topics_asked, wordings = len({each.topic for each in questions}), len({each.text for each in questions})
    print(f"{len(questions)} requests, {topics_asked} topics, {wordings} wordings\n")
    print(table(days, len(questions)))


if __name__ == "__main__":
    main()
