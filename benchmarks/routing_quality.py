"""How well difficulty is predicted, on prompts and on sources that were not trained on, and what it costs to ask.

    python -m benchmarks.routing_quality FOLDER [--json]

FOLDER holds the routing data that docs/routing-quality.md names. What is judged is the recipe of the shipped model:
models trained by it without the prompts, or without the source, that they judge. Takes some minutes on one core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from headgate.difficulty.loading import load_difficulty
from headgate.evaluating import gap
from headgate.evaluating.judging import losses_left_out
from headgate.evaluating.plan import Plan
from headgate.evaluating.routing import RoutingReport, report
from headgate.evaluating.rows import read_rows
from headgate.judgements import Judgement
from headgate.policy.difficulty.signals import signals_of
from headgate.training.examples import Examples
from headgate.training.learning import embedded_examples
from scripts.difficulty import FACTORS, LLMROUTER, NOT_TRAINED_ON, PAIRS, TWICE, Scored, judgements

Array = npt.NDArray[Any]

WEAK, STRONG = "qwen2.5-7b-instruct", "llama-3.1-nemotron-51b-instruct"
PRICES = {WEAK: 0.2, STRONG: 0.9}  # USD per million tokens, in and out alike, as LLMRouter lists them
SHARES_OF_THE_GAP = (0.5, 0.8, 0.95, 1.0)


class Cost(msgspec.Struct, frozen=True):
    """What it takes to recover a part of the gap between two models, on prompts that were not trained on."""

    recovered: float
    share: float  # of prompts that the strong model answers
    by_length: float
    by_chance: float
    usd_per_million_tokens: float
    usd_by_chance: float


class Result(msgspec.Struct, frozen=True):
    """Everything that is printed."""

    prompts_left_out: RoutingReport
    sources_left_out: RoutingReport
    signals_alone: RoutingReport  # prompts left out
    costs: list[Cost]
    load_seconds: float
    signals_seconds: float  # medians
    score_seconds: float
    score_with_embedding_seconds: float


def measure(folder: Path) -> Result:
    """Train and judge."""
    pairs = read_rows(str(folder / PAIRS), Judgement)
    learned = judgements(folder)
    apart = [row for row in pairs if row.source in NOT_TRAINED_ON]
    examples = embedded_examples([*learned, *apart])
    examples = msgspec.structs.replace(examples, factors=FACTORS)
    plain = msgspec.structs.replace(examples, vectors=None)
    by_prompt, by_source = (
        Plan(left_out=what, never_trained_on=frozenset(NOT_TRAINED_ON)) for what in ("prompts", "sources")
    )
    losses = losses_left_out(examples, by_prompt)
    seen = {row.text for row in apart}
    judged = [row for row in pairs if row.source in NOT_TRAINED_ON or row.text not in seen]
    return Result(
        _reported(judged, examples, losses),
        _reported(judged, examples, losses_left_out(examples, by_source)),
        _reported(judged, plain, losses_left_out(plain, by_prompt)),
        _costs(folder, examples, losses),
        *_timings(examples),
    )


def _reported(rows: Sequence[Judgement], examples: Examples, losses: Array) -> RoutingReport:
    places = _places(examples)
    hardness = np.array([losses[places[row.source, row.text]] for row in rows])
    return report(rows, hardness, np.zeros(len(rows), dtype=bool))


def _places(examples: Examples) -> dict[tuple[str, str], int]:
    return {pair: place for place, pair in enumerate(zip(examples.sources, examples.texts, strict=True))}


def _costs(folder: Path, examples: Examples, losses: Array) -> list[Cost]:
    places = _places(examples)
    rows = [
        row
        for row in read_rows(str(folder / LLMROUTER), Scored)
        if row.task not in TWICE and (row.source, row.prompt) in places
    ]
    gains = np.array([(row.scores[STRONG] or 0.0) - (row.scores[WEAK] or 0.0) for row in rows])
    order = gap.order_by(np.array([losses[places[row.source, row.prompt]] for row in rows]), gains)
    by_length = gap.order_by(np.array([len(row.prompt) for row in rows]), gains)

    def dollars(share: float) -> float:
        return PRICES[WEAK] + share * (PRICES[STRONG] - PRICES[WEAK])

    found = []
    for recovered in SHARES_OF_THE_GAP:
        share, length = gap.share_for(order, recovered), gap.share_for(by_length, recovered)
        found.append(Cost(recovered, share, length, recovered, dollars(share), dollars(recovered)))
    return found


def _timings(examples: Examples) -> tuple[float, float, float, float]:
    started = time.perf_counter()
    difficulty = load_difficulty()
    loaded = time.perf_counter() - started
    texts = examples.texts[::10]
    assert examples.vectors is not None
    vectors = [vector.astype("<f4").tobytes() for vector in examples.vectors[::10]]
    signals = [signals_of(text) for text in texts]
    return (
        loaded,
        _median(lambda number: signals_of(texts[number]), len(texts)),
        _median(lambda number: difficulty.score(signals[number]), len(texts)),
        _median(lambda number: difficulty.score(signals[number], vectors[number]), len(texts)),
    )


def _median(call: Callable[[int], object], count: int) -> float:
    times = []
    for number in range(count):
        started = time.perf_counter()
        call(number)
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def _print(result: Result) -> None:
    for title, one in (
        ("Prompts left out", result.prompts_left_out),
        ("Sources left out", result.sources_left_out),
        ("Prompts left out, signals alone", result.signals_alone),
    ):
        print(f"\n{title}: macro APGR {one.macro_apgr}")
        print("| source | APGR | 95 % | length only | difference, 95 % | rows | prompts |")
        print("|---|---:|---|---:|---|---:|---:|")
        for name, row in one.by_source.items():
            above = row.above_length or (float("nan"), float("nan"))
            print(
                f"| {name} | {row.apgr:.3f} | {row.low:.3f} to {row.high:.3f} | {row.length_only:.3f} "
                f"| {above[0]:+.3f} to {above[1]:+.3f} | {row.n} | {row.prompts} |"
            )
    print(f"\n{WEAK} and {STRONG}:")
    print("| gap recovered | strong share | by length | by chance | USD per million tokens | by chance |")
    print("|---:|---:|---:|---:|---:|---:|")
    for cost in result.costs:
        shares = " | ".join(f"{share:.0%}" for share in (cost.recovered, cost.share, cost.by_length, cost.by_chance))
        print(f"| {shares} | {cost.usd_per_million_tokens:.3f} | {cost.usd_by_chance:.3f} |")
    micro = [
        f"{seconds * 1e6:.0f} us"
        for seconds in (result.signals_seconds, result.score_seconds, result.score_with_embedding_seconds)
    ]
    print(
        f"\nLoading {result.load_seconds * 1e3:.1f} ms; signals {micro[0]}, score {micro[1]}, with embedding {micro[2]}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.folder)
    if options.json:
        print(msgspec.json.encode(result).decode())
    else:
        _print(result)


if __name__ == "__main__":
    main()
