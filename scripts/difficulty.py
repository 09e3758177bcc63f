"""Trains the difficulty model that ships with headgate: python -m scripts.difficulty FOLDER [--out FILE].

FOLDER holds routing data (docs/routing-quality.md says which). What is left out, and why:
- AlpacaEval: its prompts may not be used commercially.
- RouterArena: it collects from many sets with many licences.
- Of LLMRouter the tasks gsm8k, agentverse-mgsm and mmlu: the same questions, worded slightly differently, are in the
  other sources, and could be in a half that was put aside for evaluation.
- Of LLMRouter the tasks trivia_qa, openbook_qa and math: nobody says under which licence their questions are, or others
  claim them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from headgate.difficulty.loading import PACKAGED
from headgate.evaluating.rows import read_rows
from headgate.judgements import Judgement, WeakOutcome
from headgate.training.exporting import encode
from headgate.training.learning import learn

PAIRS = "pairs_weak_vs_strong.jsonl.zst"
LLMROUTER = "multi_model_scores_llmrouter.jsonl.zst"
ARENA = "multi_model_scores_arena_bench_v1.jsonl.zst"

NOT_TRAINED_ON = {"alpacaeval2", "routerarena"}
FACTORS = {"llmrouter": 0.4}  # ten tasks with as many metrics, few of them like what people ask a chat model
TWICE = {"gsm8k", "agentverse-mgsm", "mmlu"}
NO_LICENCE = {"trivia_qa", "openbook_qa", "math"}
LLMROUTER_STRONG = {"llama-3.3-nemotron-super-49b-v1", "llama-3.1-nemotron-51b-instruct"}
LLMROUTER_UNUSED = {"llama3-chatqa-1.5-70b"}  # large, and worse than the small ones on most tasks
ARENA_STRONG = {"gpt-4-1106-preview", "gpt-4-0314"}


class Scored(msgspec.Struct):
    """A prompt that several models answered, each with its score."""

    prompt: str
    source: str
    scores: dict[str, float | None]
    task: str = ""


def judgements(folder: Path) -> list[Judgement]:
    """All rows that the shipped model is trained on."""
    everything = read_rows(str(folder / PAIRS), Judgement)
    kept_apart = {row.text for row in everything if row.source in NOT_TRAINED_ON}
    pairs = [row for row in everything if row.source not in NOT_TRAINED_ON]
    llmrouter = [row for row in read_rows(str(folder / LLMROUTER), Scored) if row.task not in TWICE | NO_LICENCE]
    arena = read_rows(str(folder / ARENA), Scored)
    scored = [*_pairs(llmrouter, LLMROUTER_STRONG, LLMROUTER_UNUSED), *_pairs(arena, ARENA_STRONG, ())]
    return [row for row in (*pairs, *scored) if row.text not in kept_apart]


def _pairs(rows: list[Scored], strong: Collection[str], unused: Collection[str]) -> Iterator[Judgement]:
    """Each weak model against each strong one."""
    for row in rows:
        known = {name: score for name, score in row.scores.items() if score is not None and name not in unused}
        for weak in known.keys() - strong:
            for name in known.keys() & strong:
                yield Judgement(row.prompt, weak, name, _outcome(known[weak], known[name]), row.source)


def _outcome(weak: float, strong: float) -> WeakOutcome:
    return WeakOutcome.TIE if weak == strong else WeakOutcome.WIN if weak > strong else WeakOutcome.LOSE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=PACKAGED)
    options = parser.parse_args()
    weights = learn(judgements(options.folder), FACTORS)
    options.out.write_bytes(encode(weights))
    sys.stdout.write(f"{options.out}: {weights.trained_on}\n")


if __name__ == "__main__":
    main()
