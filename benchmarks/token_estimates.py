"""How far token estimates are from real counts, on real texts: the figures of docs/tokens.md.

    python -m benchmarks.token_estimates DIRECTORY

DIRECTORY is searched for `*.jsonl` and `*.jsonl.zst`. Rows with a `text` are cut into pieces of 4,000 characters, whose
estimates are compared with three vocabularies. Rows with an `api` are recorded exchanges, whose prompts and answers are
counted as headgate would and compared with what the provider reported.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import toktok
import zstandard

from benchmarks.recorded_usage import read
from headgate.policy.estimating import estimate_tokens, tool_prompt_tokens
from headgate.tokens.counter import OfflineCounter, encoding_of

VOCABULARIES = ("o200k_base", "cl100k_base", "qwen3.5")
PIECE_CHARACTERS = 4000
SHORTEST_TOKENS = 20  # relative errors of shorter texts say nothing
PIECES_PER_FILE = 3000
FAMILIES = ("Claude", "Gemini", "Mistral", "DeepSeek", "Grok", "Llama", "Nova", "GLM")


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


async def compare_exchanges(paths: list[Path]) -> None:
    """Prompts and answers of recorded exchanges, by the family of the model."""
    counter = OfflineCounter()
    counts: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)  # (family, what) -> (ours, reported)
    for path in paths:
        for found in filter(None, map(read, rows(path))):
            name = family(found.model)
            described = "prompts with tools or a schema" if found.tools else "prompts"
            ours = await counter.count(found.model, found.prompt) + found.overhead_tokens
            if found.tools:
                ours += tool_prompt_tokens(found.model)
            counts[name, described].append((ours, found.usage.input))
            if found.answer:
                what = "answers that call tools" if found.calls_tools else "answers"
                counts[name, what].append((await counter.count(found.model, [found.answer]), found.usage.output))
    await counter.aclose()
    print("\n| family | what | exchanges | of the sum | median | p90 | equal |\n|---|---|---:|---:|---:|---:|---:|")
    for (name, what), pairs in sorted(counts.items()):
        print(f"| {name} | {what} | {described_errors(pairs)} |")


def family(model: str) -> str:
    """OpenAI's vocabularies, or the maker's name in the model's."""
    if encoding := encoding_of(model):
        return f"OpenAI ({encoding})"
    return next((name for name in FAMILIES if name.lower() in model.lower()), "others")


def described_errors(pairs: list[tuple[int, int]]) -> str:
    """How far off all together, and the median and 90th percentile of the single ones, in percent of what is reported.

    Short texts count for the sum and for equality only.
    """
    total = sum(ours for ours, _ in pairs) / max(1, sum(reported for _, reported in pairs)) - 1
    errors = sorted(abs(ours / reported - 1) for ours, reported in pairs if reported >= SHORTEST_TOKENS)
    equal = sum(ours == reported for ours, reported in pairs)
    if not errors:
        return f"{len(pairs)} | {total * 100:+.0f} | | | {equal}"
    median, high = statistics.median(errors), errors[int(len(errors) * 0.9)]
    return f"{len(pairs)} | {total * 100:+.0f} | {median * 100:.0f} | {high * 100:.0f} | {equal}"


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    paths = sorted(path for path in Path(sys.argv[1]).rglob("*.jsonl*"))
    compare_texts(paths)
    asyncio.run(compare_exchanges(paths))


if __name__ == "__main__":
    main()
