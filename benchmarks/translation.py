"""What translating between dialects costs by itself: microseconds of one thread for a request, an answer, an event.

Every client dialect meets every provider dialect, in the same objects that the gateway uses. `chat` is the request of
the gateway benchmark (a system prompt and a long question), `agent` has ten tools, a call and its result. The figures
are those of a processor that does nothing else: between the sockets of a real server the same code takes two to three
times as long.

    python -m benchmarks.translation [--only messages] [--repeat 7]
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks import translation_samples as samples
from headgate.types import Api, Call, Route
from headgate.wire.dialects import CLIENTS, dialogues
from headgate.wire.neutral import Target
from headgate.wire.openai import CallHeaders
from headgate.wire.speakers import speaker
from headgate.wire.translation import Ask, Dialogue

PROVIDERS = {  # the kind of provider and its setting `api`
    Api.CHAT: ("openai", "chat"),
    Api.RESPONSES: ("openai", "responses"),
    Api.MESSAGES: ("anthropic", "auto"),
    Api.GENERATE_CONTENT: ("gemini", "auto"),
    Api.CONVERSE: ("bedrock", "auto"),
}
TARGET = Target(model="a-model", max_output_tokens=1024)
CALLS_PER_ROUND = 500


@dataclass(frozen=True)
class Cost:
    """Microseconds each."""

    chat_request: float
    agent_request: float
    answer: float
    event: float


def call_of(route: Route, body: bytes) -> Call:
    return speaker(route).parse_call(route, body, "req_benchmark", CallHeaders())


def measured(work: Callable[[], object], repeat: int) -> float:
    """Microseconds of the quickest of some rounds: the others were interrupted."""
    best = float("inf")
    for _ in range(repeat):
        gc.collect()
        began = time.process_time()
        for _ in range(CALLS_PER_ROUND):
            work()
        best = min(best, time.process_time() - began)
    return best / CALLS_PER_ROUND * 1e6


def event_cost(dialogue: Dialogue, call: Call, ask: Ask, repeat: int) -> float:
    """Of an event with a piece of text, each in a read of its own, in the middle of a stream."""
    beginning, event = samples.STREAMS[dialogue.api]
    best = float("inf")
    for _ in range(repeat):
        stream = dialogue.read_stream(call, ask)
        stream.feed(beginning + event)
        began = time.process_time()
        for _ in range(CALLS_PER_ROUND):
            stream.feed(event)
        best = min(best, time.process_time() - began)
        assert stream.failure is None and stream.content_events > CALLS_PER_ROUND
    return best / CALLS_PER_ROUND * 1e6


def cost(route: Route, dialogue: Dialogue, repeat: int) -> Cost:
    ask = Ask(TARGET, None, may_drop=True, now=1_750_000_000)
    chat, agent = (call_of(route, body) for body in (samples.CHATS[route], samples.AGENTS[route]))
    answer = samples.ANSWERS[dialogue.api]
    return Cost(
        chat_request=measured(lambda: dialogue.ask(chat, ask), repeat),
        agent_request=measured(lambda: dialogue.ask(agent, ask), repeat),
        answer=measured(lambda: dialogue.read_whole(chat, ask, answer), repeat),
        event=event_cost(dialogue, chat, ask, repeat),
    )


def pairs(only: str) -> Iterator[tuple[Route, Dialogue]]:
    for route in CLIENTS:
        for api, (kind, setting) in PROVIDERS.items():
            if only in ("", route.name.lower(), api.name.lower()):
                yield route, dialogues(kind, setting)[route]


def main() -> None:
    parser = argparse.ArgumentParser(description="What translating between dialects costs, in microseconds.")
    parser.add_argument("--only", default="", help="one dialect, as a client's or as a provider's")
    parser.add_argument("--repeat", type=int, default=7, help="rounds, of which the quickest counts")
    options = parser.parse_args()
    print(f"{'client':<10}{'provider':<18}{'chat request':>13}{'agent request':>14}{'answer':>8}{'event':>7}")
    for route, dialogue in pairs(options.only):
        figures = cost(route, dialogue, options.repeat)
        print(
            f"{route.name.lower():<10}{dialogue.api.name.lower():<18}{figures.chat_request:>13.1f}"
            f"{figures.agent_request:>14.1f}{figures.answer:>8.1f}{figures.event:>7.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
