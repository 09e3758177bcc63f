"""The metric families of the caches: what is kept and found, and how sure it is that it was right."""

from __future__ import annotations

from collections.abc import Iterator

from headgate.telemetry.families import Family, Labels, number, single
from headgate.telemetry.semantic_counts import activity
from headgate.telemetry.totals import Snapshot
from headgate.types import PICO_PER_USD


def _false_hits(snapshot: Snapshot) -> Iterator[tuple[Labels, float]]:
    for model, told in activity(snapshot.totals.semantic).items():
        if told.false_hit_rate is not None:
            yield (model, "share"), told.false_hit_rate
            yield (model, "low"), told.low
            yield (model, "high"), told.high


CACHE_FAMILIES: tuple[Family, ...] = (
    Family(
        "headgate_cache_hits_total",
        "Requests answered without a provider: exact, semantic, coalesced with one under way, or idempotent replays.",
        ("kind",),
        lambda snapshot: single(snapshot.totals.cache.found.items()),
    ),
    number(
        "headgate_cache_misses_total",
        "Requests that were looked for in a cache, and whose answer was not there.",
        lambda snapshot: snapshot.totals.cache.missed,
    ),
    number(
        "headgate_cache_kept_total",
        "Answers that were put into a cache.",
        lambda snapshot: snapshot.totals.cache.kept,
    ),
    Family(
        "headgate_cache_not_kept_total",
        "Answers, or requests of models with a cache, of which none is kept, by reason.",
        ("reason",),
        lambda snapshot: single(snapshot.totals.cache.not_kept.items()),
    ),
    number(
        "headgate_cache_saved_usd_total",
        "What requests that were answered without a provider would have cost, at the prices of the day.",
        lambda snapshot: snapshot.totals.cache.saved_picousd / PICO_PER_USD,
    ),
    number(
        "headgate_cache_evicted_total",
        "Answers that were dropped to keep others, of this service's processes.",
        lambda snapshot: snapshot.gauges.cache_evicted,
    ),
    number(
        "headgate_cache_entries",
        "Answers in the cache.",
        lambda snapshot: snapshot.gauges.cache_entries,
    ),
    number(
        "headgate_cache_bytes",
        "What the answers in the cache take, with what is kept beside them.",
        lambda snapshot: snapshot.gauges.cache_bytes,
    ),
    Family(
        "headgate_semantic_decisions_total",
        "Questions looked for by their meaning; reason: served, or why not.",
        ("model", "reason"),
        lambda snapshot: snapshot.totals.semantic.decided.items(),
    ),
    Family(
        "headgate_semantic_verified_total",
        "Answers compared with fresh ones: of hits (served), or the best of misses (missed); outcome: right, wrong.",
        ("model", "of", "outcome"),
        lambda snapshot: snapshot.totals.semantic.verified.items(),
    ),
    Family(
        "headgate_semantic_false_hit_share",
        "Share of verified hits that were wrong, and the bounds of its confidence sequence (95 %, valid at any time).",
        ("model", "of"),
        _false_hits,
    ),
    Family(
        "headgate_semantic_off",
        "Groups of requests of a model whose bound is broken, so that no answer is given to another question.",
        ("model",),
        lambda snapshot: single(snapshot.gauges.semantic_off.items()),
    ),
)
