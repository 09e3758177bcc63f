"""`headgate route eval`: how well a difficulty model orders judged prompts, source by source.

Sources are never pooled: they differ in their models and judges, so that to know the source alone would score well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from headgate.evaluating import gap
from headgate.judgements import Judgement

Array = npt.NDArray[Any]

FEWEST_ROWS = 500  # of a source that counts in the average


class Point(msgspec.Struct, frozen=True):
    """PGR if a share of the prompts goes to the strong model."""

    share: float
    pgr: float
    length_only: float


class SourceReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """Figures of one source. None: the two models are equally good there, so that there is no gap to recover."""

    apgr: float | None
    low: float | None  # 95 % interval
    high: float | None
    n: int  # rows
    length_only: float | None  # APGR of the order by length, the longest first
    prompts: int  # different ones
    seen: int  # of these the model was trained on
    above_length: tuple[float, float] | None = None  # 95 % interval of the difference, on the same samples
    curve: list[Point] | None = None


class RoutingReport(msgspec.Struct, frozen=True):
    """The average is over the sources with at least `FEWEST_ROWS` rows, None if there is none; 0.5 is chance."""

    macro_apgr: float | None
    by_source: dict[str, SourceReport]


def report(rows: Sequence[Judgement], hardness: Array, seen: Array, curves: bool = False) -> RoutingReport:
    """`hardness` orders the rows within each source; `seen` says which prompts the model was trained on."""
    sources = np.array([row.source for row in rows], dtype=object)
    by_source = {}
    for name in sorted(set(sources.tolist())):
        inside = np.flatnonzero(sources == name)
        by_source[name] = _of_source(
            [rows[number] for number in inside.tolist()], hardness[inside], seen[inside], curves
        )
    figures = [one.apgr for one in by_source.values() if one.apgr is not None and one.n >= FEWEST_ROWS]
    return RoutingReport(_rounded(sum(figures) / len(figures)) if figures else None, by_source)


def _of_source(rows: Sequence[Judgement], hardness: Array, seen: Array, curves: bool) -> SourceReport:
    texts = np.array([row.text for row in rows], dtype=object)
    gains = np.array([row.weak_outcome.loss for row in rows])
    order = gap.order_by(hardness, gains)
    by_length = gap.order_by(np.array([len(text) for text in texts]), gains)
    prompts, first = np.unique(texts.astype(str), return_index=True)
    blank = SourceReport(None, None, None, len(rows), None, len(prompts), int(seen[first].sum()))
    samples = gap.resampled([order, by_length], texts.astype(str)) if gains.sum() else np.zeros((0, 2))
    if not len(samples):
        return blank
    low, high = np.percentile(samples[:, 0], gap.INTERVAL)
    less, more = np.percentile(samples[:, 0] - samples[:, 1], gap.INTERVAL)
    return msgspec.structs.replace(
        blank,
        apgr=_rounded(gap.apgr(order)),
        low=_rounded(low),
        high=_rounded(high),
        length_only=_rounded(gap.apgr(by_length)),
        above_length=(_rounded(less), _rounded(more)),
        curve=_points(order, by_length) if curves else None,
    )


def _points(order: gap.Order, by_length: gap.Order) -> list[Point]:
    ours, theirs = (np.interp(gap.SHARES, *gap.curve(one)) for one in (order, by_length))
    return [Point(_rounded(a), _rounded(b), _rounded(c)) for a, b, c in zip(gap.SHARES, ours, theirs, strict=True)]


def _rounded(value: float) -> float:
    return round(float(value), 4)
