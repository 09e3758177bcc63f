"""How far token estimates are from real counts, on real texts: the figures of docs/tokens.md.

    python -m benchmarks.token_estimates DIRECTORY

DIRECTORY is searched for `*.jsonl` and `*.jsonl.zst`. Rows with a `text` are cut into pieces of 4,000 characters, whose
estimates are compared with three vocabularies. Rows with `request_body` and `response_body` are recorded exchanges,
whose prompts are counted as headgate would and compared with the `prompt_tokens` that the provider reported.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import toktok
import zstandard

from headgate.policy.estimating import estimate_tokens
from headgate.tokens.counter import OfflineCounter, encoding_of
from headgate.types import Route
from headgate.wire.prompts import overhead_tokens, prompt_texts

VOCABULARIES = ("o200k_base", "cl100k_base", "qwen3.5")
PIECE_CHARACTERS = 4000
SHORTEST_TOKENS = 20  # relative errors of shorter texts say nothing
PIECES_PER_FILE = 3000


def rows(path: Path) -> Iterator[dict[str, Any]]:
    data = path.read_bytes()
    if path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return (json.loads(line) for line in data.split(b"\n") if line)


def pieces(path: Path) -> list[str]:
    """Evenly chosen pieces of the file's texts."""
    texts = [row["text"] for row in rows(path) if isinstance(row.get("text"), str)]
    cut = [text[start : start + PIECE_CHARACTERS] for text in texts for start in range(0, len(text), PIECE_CHARACTERS)]
    return cut[:: max(1, len(cut) // PIECES_PER_FILE)]


def summary(errors: list[float]) -> str:
    """Bias, mean and 95th percentile of absolute relative errors, in percent."""
    absolute = sorted(map(abs, errors))
    mean, bias = sum(absolute) / len(errors), sum(errors) / len(errors)
    return f"{bias * 100:+.1f} / {mean * 100:.1f} / {absolute[int(len(absolute) * 0.95)] * 100:.1f}"


def compare_texts(paths: list[Path]) -> None:
    print(f"| texts | pieces | {' | '.join(VOCABULARIES)} |\n|---|---:|{'---:|' * len(VOCABULARIES)}")
    every: dict[str, list[float]] = defaultdict(list)
    for path in paths:
        texts = pieces(path)
        if not texts:
            continue
        columns = []
        estimates = [estimate_tokens(text) for text in texts]
        for vocabulary in VOCABULARIES:
            real = toktok.batch_count(texts, vocabulary)
            pairs = zip(estimates, real, strict=True)
            errors = [estimate / count - 1 for estimate, count in pairs if count >= SHORTEST_TOKENS]
            every[vocabulary] += errors
            columns.append(summary(errors))
        print(f"| {path.name.partition('.')[0]} | {len(texts)} | {' | '.join(columns)} |")
    if every:
        total = [summary(every[vocabulary]) for vocabulary in VOCABULARIES]
        print(f"| all | {len(every[VOCABULARIES[0]])} | {' | '.join(total)} |")


async def compare_prompts(paths: list[Path]) -> None:
    print("\n| prompts reported by a provider | exchanges | bias / mean / p95, % | equal |\n|---|---:|---:|---:|")
    counter = OfflineCounter()
    errors: dict[str, list[float]] = defaultdict(list)
    for path in paths:
        for row in rows(path):
            reported = reported_tokens(row)
            if reported is None:
                continue
            fields = msgspec.json.decode(msgspec.json.encode(row["request_body"]), type=dict[str, msgspec.Raw])
            model = str(row["model"])
            counted = await counter.count(model, prompt_texts(Route.CHAT, fields))
            counted += overhead_tokens(Route.CHAT, fields)
            kind = "counted with its vocabulary" if encoding_of(model) else "estimated"
            described = "with tools or a schema" if {"tools", "functions", "response_format"} & set(fields) else "plain"
            errors[f"{kind}, {described}"].append(counted / reported - 1)
    await counter.aclose()
    for kind, found in sorted(errors.items()):
        print(f"| {kind} | {len(found)} | {summary(found)} | {found.count(0)} |")


def reported_tokens(row: dict[str, Any]) -> int | None:
    """What the provider says the prompt of a chat of text had, None if the row is something else."""
    request, response = row.get("request_body"), row.get("response_body")
    if row.get("api") != "chat.completions" or not isinstance(request, dict) or not isinstance(response, dict):
        return None
    usage = response.get("usage")
    if not isinstance(usage, dict) or any(kind in json.dumps(request) for kind in ("image_url", "input_audio", "file")):
        return None
    tokens = usage.get("prompt_tokens")
    return tokens if isinstance(tokens, int) and tokens > 0 else None


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    paths = sorted(path for path in Path(sys.argv[1]).rglob("*.jsonl*"))
    compare_texts(paths)
    asyncio.run(compare_prompts(paths))


if __name__ == "__main__":
    main()
