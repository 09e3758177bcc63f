"""`headgate cache eval`: how much a semantic cache answers within a bound, and how much of that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headgate.evaluating.questions import Question, shuffled
from headgate.evaluating.replaying import Stream, Tally, Vectors, Verifier, replay
from headgate.evaluating.thresholds import THRESHOLDS, Point, Ranked, best, rank, sweep
from headgate.policy.semantic.confidence import wilson
from headgate.policy.semantic.partition import Settings
from headgate.types import Frozen

BOUNDS = (0.005, 0.01, 0.02, 0.05, 0.1)  # of the curves


class CachePlan(Frozen, frozen=True, gc=False):
    """What an evaluation is asked to do."""

    bound: float
    shadow_share: float
    limit: int | None = None  # questions of each stream; None: all of the file
    seeds: tuple[int, ...] = (0,)  # one stream each; hits and false hits are pooled
    curves: bool = False


class StaticBest(Frozen, frozen=True, gc=False):
    """Plain cosine at the best threshold for the bound on this very stream."""

    threshold: float
    hit_rate: float
    false_hit_rate: float


class SeedResult(Frozen, frozen=True, gc=False):
    """One stream of several."""

    seed: int
    hits: int
    false_hits: int
    verified: int


class Curves(Frozen, frozen=True, gc=False):
    """Points of each kind: by threshold for cosine and cosine with guards, by bound for the learned boundary, alone and
    with a simulated verifier."""

    cosine: tuple[Point, ...]
    guards: tuple[Point, ...]
    learned: tuple[Point, ...]
    verifier: tuple[Point, ...]
    simulated_verifier: Verifier = Verifier()


class CacheReport(Frozen, frozen=True, gc=False, omit_defaults=False):
    """All shares are of the questions, false shares of the hits."""

    hit_rate: float
    false_hit_rate: float
    hits: int
    false_hits: int
    verified: int  # hits and misses
    static_best: StaticBest
    false_hit_low: float  # Wilson's interval, 95 %
    false_hit_high: float
    bound: float
    shadow_share: float
    questions: int
    answerable: float  # share of questions whose answer came before
    verified_hits: int  # each an upstream call more
    verified_misses: int  # each a comparison of two answers that are at hand
    verified_until_paid: tuple[int | None, ...]  # for each seed: verifications until hits outnumber them for good
    seeds: tuple[SeedResult, ...]
    reasons: dict[str, int]
    curves: Curves | None = None


def evaluate(questions: Sequence[Question], plan: CachePlan, embed: Callable[[Sequence[str]], Vectors]) -> CacheReport:
    """Replay one stream for each seed. `embed` gives a row of length one for each text."""
    orders = [shuffled(list(questions), plan.limit, seed) for seed in plan.seeds]
    different = list(dict.fromkeys(question.text for order in orders for question in order))
    row_of = {text: row for row, text in enumerate(different)}
    vectors = embed(different)
    streams = [Stream(order, vectors[[row_of[question.text] for question in order]]) for order in orders]
    tallies = _replays(streams, plan, plan.bound, None)
    ranked = [rank(stream) for stream in streams]
    cosine = _points(streams, ranked, guarded=False)
    static = best(cosine, plan.bound)
    total = _pooled(plan.bound, tallies)
    interval = wilson(total.false_hits, total.hits)
    hits, misses = sum(tally.verified_hits for tally in tallies), sum(tally.verified_misses for tally in tallies)
    return CacheReport(
        hit_rate=total.hit_rate,
        false_hit_rate=total.false_hit_rate,
        hits=total.hits,
        false_hits=total.false_hits,
        verified=hits + misses,
        static_best=StaticBest(static.at, static.hit_rate, static.false_hit_rate),
        false_hit_low=interval.low,
        false_hit_high=interval.high,
        bound=plan.bound,
        shadow_share=plan.shadow_share,
        questions=sum(map(len, streams)),
        answerable=sum(map(_answerable, streams)) / max(sum(map(len, streams)), 1),
        verified_hits=hits,
        verified_misses=misses,
        verified_until_paid=tuple(tally.verified_until_paid for tally in tallies),
        seeds=tuple(
            SeedResult(seed, tally.hits, tally.false_hits, tally.verified_hits + tally.verified_misses)
            for seed, tally in zip(plan.seeds, tallies, strict=True)
        ),
        reasons=_reasons(tallies),
        curves=_curves(streams, ranked, plan, cosine) if plan.curves else None,
    )


def _curves(
    streams: Sequence[Stream], ranked: Sequence[Sequence[Ranked]], plan: CachePlan, cosine: Sequence[Point]
) -> Curves:
    return Curves(
        cosine=tuple(cosine),
        guards=tuple(_points(streams, ranked, guarded=True)),
        learned=tuple(_pooled(bound, _replays(streams, plan, bound, None)) for bound in BOUNDS),
        verifier=tuple(_pooled(bound, _replays(streams, plan, bound, Verifier())) for bound in BOUNDS),
    )


def _replays(streams: Sequence[Stream], plan: CachePlan, bound: float, verifier: Verifier | None) -> list[Tally]:
    settings = Settings(bound=bound, shadow_share=plan.shadow_share)
    return [replay(stream, settings, seed, verifier) for stream, seed in zip(streams, plan.seeds, strict=True)]


def _points(streams: Sequence[Stream], ranked: Sequence[Sequence[Ranked]], *, guarded: bool) -> list[Point]:
    swept = [sweep(stream, near, guarded=guarded) for stream, near in zip(streams, ranked, strict=True)]
    questions = sum(map(len, streams))
    points = []
    for threshold in THRESHOLDS:
        hits, false = (sum(counts[threshold][kind] for counts in swept) for kind in (0, 1))
        points.append(_point(threshold, questions, hits, false))
    return points


def _pooled(bound: float, tallies: Sequence[Tally]) -> Point:
    questions, hits = sum(tally.questions for tally in tallies), sum(tally.hits for tally in tallies)
    return _point(bound, questions, hits, sum(tally.false_hits for tally in tallies))


def _point(at: float, questions: int, hits: int, false: int) -> Point:
    return Point(at, hits / max(questions, 1), false / max(hits, 1), hits, false)


def _answerable(stream: Stream) -> int:
    seen: set[str] = set()
    found = 0
    for answer in stream.answers:
        if answer is not None:
            found += answer in seen
            seen.add(answer)
    return found


def _reasons(tallies: Sequence[Tally]) -> dict[str, int]:
    total: dict[str, int] = {}
    for tally in tallies:
        for reason, count in tally.reasons.items():
            total[reason] = total.get(reason, 0) + count
    return dict(sorted(total.items(), key=lambda item: -item[1]))
