"""How the preflight estimate compares with what providers reported: the figures of docs/tokens.md.

    python -m benchmarks.preflight EXCHANGES [SESSIONS]

EXCHANGES is a `*.jsonl` or `*.jsonl.zst` with recorded exchanges (rows with an `api`), SESSIONS one with the prompts of
agents (rows with an `input`). A session's row has no usage of its own: its truth is an exact count, for the vocabulary
that has the most tokens for it. What is left out, and why, is listed below the table. `--worst` adds the single
exchanges that are nearest to their bound, or beyond it.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import toktok

from benchmarks.recorded_usage import DIALECTS, reported_usage
from benchmarks.token_estimates import rows
from headgate.gateway.preflight import estimate_prompt
from headgate.policy.preflight import prompt_rules
from headgate.types import Call, Route, Usage

VOCABULARIES = ("o200k_base", "cl100k_base", "qwen3.5")
FRAME_TOKENS = 7  # of a prompt of one message (OpenAI cookbook)
ROUTES = {
    "chat.completions": Route.CHAT,
    "responses": Route.RESPONSES,
    "messages": Route.MESSAGES,
    "completions": Route.COMPLETIONS,
    "embeddings": Route.EMBEDDINGS,
}
SHORTEST_TOKENS = 20  # relative errors of shorter prompts say nothing

# What is in no request, so that nobody can know it in advance: words of a body's JSON, or of a model's name.
ELSEWHERE = {
    "what an earlier answer holds": ('"previous_response_id": "', '"conversation": '),
    "a prompt or cache that the provider keeps": ('"prompt": {"id"', '"prompt": {"variables"', '"cachedContent"'),
    "what the provider's own tools bring in": (
        '"type": "web_search', '"type": "web_fetch', '"type": "code_execution', '"type": "code_interpreter',
        '"type": "mcp', '"type": "file_search', '"type": "tool_search', '"type": "image_generation',
        '"type": "advisor_2', '"type": "openrouter:',
        '"type": "bash_2', '"type": "text_editor_2', '"type": "computer', '"type": "memory_2', '"type": "x_search',
        '"googleSearch"', '"google_search"', '"urlContext"', '"url_context"', '"codeExecution"', '"mcp_servers"',
        '"container"', '"web_search_options"', '"search_parameters"', '"plugins"', '"context_management"',
        "compound-", "-search-preview",
    ),
    "a file by its URL or id": ('"file_id"', '"fileUri"', '"file_uri"', '"file_url"'),
    "a guardrail of the provider": ('"guardrailConfig"',),
}  # fmt: skip
FOREIGN_MEDIA = ('"inlineData"', '"inline_data"', '"image"', '"document"')


class Compared(msgspec.Struct, frozen=True):
    provider: str
    model: str
    bound: int
    most: int
    truth: int
    row: str


def recorded(path: Path, left_out: Counter[str]) -> Iterator[Compared]:
    for row in rows(path):
        body, api = row.get("request_body"), str(row.get("api"))
        if row.get("status") != 200 or not isinstance(body, dict) or (api not in ROUTES and api not in DIALECTS):
            continue
        model, usage = str(row["model"]), reported_usage(row)
        why = why_not(api, f"{json.dumps(body)} {model}", usage)
        if why or usage is None:
            left_out[why] += 1
            continue
        bound = estimate_prompt(call_of(ROUTES.get(api, Route.CHAT), body, str(row["id"])), prompt_rules([model]))
        yield Compared(str(row["provider"]), model, bound.tokens, bound.most_tokens, usage.input, str(row["id"]))


def why_not(api: str, text: str, usage: Usage | None) -> str:
    """Why an exchange is left out, "" if it is not."""
    for why, words in ELSEWHERE.items():
        if any(word in text for word in words):
            return why
    if usage is None or not usage.input:
        return "no usage reported"
    foreign = api not in ROUTES and any(word in text for word in FOREIGN_MEDIA)
    return "media in a dialect that no caller speaks" if foreign else ""


def call_of(route: Route, body: Mapping[str, Any], call_id: str) -> Call:
    fields = {name: msgspec.Raw(json.dumps(value, ensure_ascii=False).encode()) for name, value in body.items()}
    return Call(id=call_id, route=route, model="", stream=False, fields=fields, body_bytes=0)


def sessions(path: Path) -> Iterator[Compared]:
    inputs = [row["input"] for row in rows(path)]
    counts = [toktok.batch_count(inputs, vocabulary) for vocabulary in VOCABULARIES]
    rules = prompt_rules(["gpt-4o"])
    for number, (text, *exact) in enumerate(zip(inputs, *counts, strict=True)):
        call = call_of(Route.CHAT, {"messages": [{"role": "user", "content": text}]}, f"req_{number}")
        bound = estimate_prompt(call, rules)
        yield Compared("agent sessions", "", bound.tokens, bound.most_tokens, max(exact) + FRAME_TOKENS, str(number))


def print_table(compared: list[Compared]) -> None:
    groups: dict[str, list[Compared]] = defaultdict(list)
    for one in compared:
        groups[one.provider].append(one)
        groups["all"].append(one)
    print("| provider | prompts | median | p99 | median extra | below | lowest |\n|---|---:|---:|---:|---:|---:|---:|")
    for name, ones in sorted(groups.items(), key=lambda item: (item[0] == "all", item[0])):
        ratios = sorted(one.bound / one.truth for one in ones if one.truth >= SHORTEST_TOKENS) or [1.0]
        extra = statistics.median(one.bound - one.truth for one in ones)
        below = sum(one.bound < one.truth for one in ones)
        print(
            f"| {name} | {len(ones)} | {statistics.median(ratios):.2f} | {ratios[int(len(ratios) * 0.99)]:.2f} "
            f"| {extra:.0f} | {below} | {min(one.bound / one.truth for one in ones):.2f} |"
        )


def main() -> None:
    arguments = [argument for argument in sys.argv[1:] if argument != "--worst"]
    if not arguments:
        sys.exit(__doc__)
    left_out: Counter[str] = Counter()
    compared = list(recorded(Path(arguments[0]), left_out))
    for path in arguments[1:]:
        compared += sessions(Path(path))
    print_table(compared)
    print("\nLeft out:", *(f"- {number}: {why}" for why, number in left_out.most_common()), sep="\n")
    if "--worst" in sys.argv:
        for one in sorted(compared, key=lambda one: one.bound / one.truth)[:60]:
            print(f"{one.bound / one.truth:.2f} {one}")


if __name__ == "__main__":
    main()
