"""A day of questions, and the upstream that answers them: what `benchmarks.bill` replays.

People ask the same things in different words: the topic of each question is drawn by Zipf's law, its wording from those
that were written down for the topic. Arrivals follow the hours of a recorded day.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import random
from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from benchmarks.mock_upstream import Upstream, http_json

DAY_SECONDS = 86_400
PROMPT_TOKENS_PER_WORD = 1.4
ANSWER_WORDS = ("the", "mill", "turns", "when", "enough", "water", "enters", "the", "race", "and", "not", "before")
PRICES = {"small": (0.15, 0.60), "large": (2.50, 10.00)}  # USD per million tokens, input and output


@dataclass(frozen=True)
class Question:
    """One request of the day. `at` is in seconds since its midnight."""

    at: float
    topic: str
    text: str


def read_lines(path: Path) -> list[str]:
    """Of a text file, compressed with zstd or not."""
    data = path.read_bytes()
    if path.suffix == ".zst":
        import zstandard

        data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
    return data.decode().split("\n")


def read_topics(path: Path) -> dict[str, list[str]]:
    """Wordings by topic: rows of {"cluster", "questions"} or of {"text", "intent"}. Out-of-scope rows are left out."""
    topics: dict[str, list[str]] = {}
    for row in (json.loads(line) for line in read_lines(path) if line):
        if "questions" in row:
            topics[str(row["cluster"])] = row["questions"]
        elif row["intent"] != "oos":
            topics.setdefault(row["intent"], []).append(row["text"])
    return topics


def read_hours(path: Path) -> list[float]:
    """Requests in each ten minutes of the first day of a trace with the columns t (seconds) and rate."""
    bins = [0.0] * (DAY_SECONDS // 600)
    for row in csv.DictReader(read_lines(path)):
        if int(row["t"]) < DAY_SECONDS:
            bins[int(row["t"]) // 600] += float(row["rate"] or 0)
    return bins


def a_day(
    topics: Mapping[str, Sequence[str]], hours: Sequence[float], requests: int, zipf: float, seed: int
) -> list[Question]:
    """`requests` questions in the order of their arrival."""
    chance = random.Random(seed)
    names = sorted(topics)
    chance.shuffle(names)
    popular = list(accumulate((rank + 1) ** -zipf for rank in range(len(names))))
    busy = list(accumulate(hours))
    arrivals = sorted(
        (bisect(busy, chance.random() * busy[-1]) + chance.random()) * DAY_SECONDS / len(hours) for _ in range(requests)
    )
    drawn = (names[bisect(popular, chance.random() * popular[-1])] for _ in range(requests))
    return [Question(at, topic, chance.choice(topics[topic])) for at, topic in zip(arrivals, drawn, strict=True)]


@dataclass
class Sold:
    """What the upstream produced, by model."""

    calls: dict[str, int] = field(default_factory=dict)
    picousd: int = 0

    def sell(self, model: str, prompt_tokens: int, output_tokens: int) -> None:
        self.calls[model] = self.calls.get(model, 0) + 1
        for tokens, price in zip((prompt_tokens, output_tokens), PRICES[model], strict=True):
            self.picousd += tokens * round(price * 1_000_000)


class Knowing(Upstream):
    """Knows the topic of every question, and says the same of a topic whatever the wording. One per connection."""

    def __init__(self, topic_of: Mapping[str, str], sold: Sold, seconds: float) -> None:
        self.topic_of, self.sold, self.seconds = topic_of, sold, seconds
        super().__init__(None, None)  # type: ignore[arg-type]  # it has no script

    def answer(self, body: bytes) -> None:
        asked = json.loads(body)
        text = asked["messages"][-1]["content"]
        prompt_tokens = 20 + round(PROMPT_TOKENS_PER_WORD * len(text.split()))
        said = answer_of(self.topic_of.get(text, "nothing known"))
        output_tokens = round(PROMPT_TOKENS_PER_WORD * len(said.split()))
        self.sold.sell(asked["model"], prompt_tokens, output_tokens)
        usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": output_tokens,
            "total_tokens": prompt_tokens + output_tokens,
        }
        message = {"role": "assistant", "content": said, "refusal": None}
        whole = {
            "id": "chatcmpl-day",
            "object": "chat.completion",
            "created": 1_769_000_000,
            "model": asked["model"],
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": usage,
        }
        self.timer = self.loop.call_later(self.seconds, self.transport.write, http_json(whole))


def answer_of(topic: str) -> str:
    """What is right to say of a topic."""
    chance = random.Random(topic)
    return f"On {topic}: " + " ".join(chance.choices(ANSWER_WORDS, k=chance.randint(20, 120)))


async def serve(questions: Iterable[Question], sold: Sold, port: int, seconds: float) -> asyncio.Server:
    """An upstream that takes `seconds` for an answer."""
    topic_of = {question.text: question.topic for question in questions}
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Knowing(topic_of, sold, seconds), "127.0.0.1", port)
