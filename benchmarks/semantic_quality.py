"""How much the semantic cache answers, and how much of that is wrong, beside plain cosine and GPTCache's default.

    python -m benchmarks.semantic_quality FOLDER [--seeds 5] [--only NAME] [--curves] [--json]

FOLDER holds the question sets that docs/semantic-cache.md names. Takes some minutes a set on one core. GPTCache takes
part where it is installed (pip install --no-deps gptcache cachetools): its own similarity evaluation and default
threshold, on the vectors of headgate's embedder, since its own embedding model is downloaded from a hub.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from headgate.embedding.offline import embed_texts
from headgate.evaluating.caching import CachePlan, CacheReport, Curves, evaluate
from headgate.evaluating.questions import Question, read_questions, shuffled
from headgate.evaluating.replaying import Stream, Vectors
from headgate.evaluating.thresholds import Point, counted, rank

SETS = (("qqp_duplicate_clusters", 8_000, 0.05), ("banking77", 5_000, 0.02), ("clinc150", 5_000, 0.01))
SHADOW_SHARE = 0.05


class Row(msgspec.Struct, frozen=True):
    """One set: headgate's report, and GPTCache's hits and false hits on the same streams, if it is installed."""

    name: str
    report: CacheReport
    gptcache: Point | None


def gptcache_threshold() -> float | None:
    """The cosine from which GPTCache serves by default, found by asking its own evaluation; None: not installed."""
    if importlib.util.find_spec("gptcache") is None:
        return None
    evaluation = importlib.import_module("gptcache.similarity_evaluation.distance").SearchDistanceEvaluation()
    config = importlib.import_module("gptcache.config").Config()
    low, high = evaluation.range()
    wanted = low + (high - low) * config.similarity_threshold
    for cosine in np.linspace(-1.0, 1.0, 2001):  # its vector store gives the squared distance of vectors of length one
        if evaluation.evaluation({}, {"search_result": (2.0 - 2.0 * float(cosine), 0)}) >= wanted:
            return round(float(cosine), 3)
    return 1.0


def measure(name: str, questions: Sequence[Question], plan: CachePlan) -> Row:
    """Everything on the same streams, with the same vectors."""
    texts = list(dict.fromkeys(question.text for question in questions))
    row_of = {text: row for row, text in enumerate(texts)}
    vectors = embed_texts(texts)

    def embed(some: Sequence[str]) -> Vectors:
        rows: Vectors = vectors[[row_of[text] for text in some]]
        return rows

    threshold, peer = gptcache_threshold(), None
    if threshold is not None:
        hits = false = total = 0
        for seed in plan.seeds:
            order = shuffled(list(questions), plan.limit, seed)
            stream = Stream(order, embed([question.text for question in order]))
            one = counted(stream, rank(stream), threshold)
            hits, false, total = hits + one[0], false + one[1], total + len(stream)
        peer = Point(threshold, hits / total, false / max(hits, 1), hits, false)
    return Row(name, evaluate(questions, plan, embed), peer)


def show(row: Row) -> None:
    """One set as lines of a table."""
    report = row.report
    interval = f"{report.false_hit_low:.2%} to {report.false_hit_high:.2%}"
    print(f"\n{row.name}: {report.questions:,} questions, {report.answerable:.1%} answerable, bound {report.bound:.0%}")
    print(f"  headgate       hits {report.hit_rate:6.2%}  false {report.false_hit_rate:6.2%} ({interval})")
    static = report.static_best
    print(
        f"  best threshold hits {static.hit_rate:6.2%}  false {static.false_hit_rate:6.2%} (cosine {static.threshold})"
    )
    if row.gptcache is not None:
        peer = row.gptcache
        print(f"  GPTCache       hits {peer.hit_rate:6.2%}  false {peer.false_hit_rate:6.2%} (cosine {peer.at})")
    print(f"  verified       {report.verified_misses:,} after misses, {report.verified_hits:,} of hits")
    if report.curves is not None:
        draw(report.curves)


def draw(curves: Curves) -> None:
    """Hits and their false share, by threshold or by bound."""
    named = (
        ("cosine", curves.cosine[::5]),
        ("cosine with guards", curves.guards[::5]),
        ("learned, by bound", curves.learned),
        ("learned with a verifier, by bound", curves.verifier),
    )
    for name, points in named:
        told = "  ".join(f"{point.at:g}: {point.hit_rate:.1%} / {point.false_hit_rate:.1%}" for point in points)
        print(f"  {name}, hits / false: {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--curves", action="store_true", help="ten more replays of each stream")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for name, limit, bound in SETS:
        if options.only in ("", name):
            plan = CachePlan(bound, SHADOW_SHARE, limit, tuple(range(options.seeds)), options.curves)
            row = measure(name, read_questions(str(options.folder / f"{name}.jsonl.zst")), plan)
            if options.json:
                print(msgspec.json.encode(row).decode())
            else:
                show(row)


if __name__ == "__main__":
    main()
