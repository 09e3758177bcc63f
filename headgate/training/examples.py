"""Judgements as arrays: one example for each prompt of a source, however many rows judge it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from headgate.judgements import Judgement
from headgate.policy.difficulty.signals import signals_of

Array = npt.NDArray[Any]


class Examples(msgspec.Struct, frozen=True):
    """Arrays of the same length."""

    texts: list[str]
    sources: Array  # names
    kinds: Array  # of `signals.Kind`
    signals: Array  # examples x signals
    losses: Array  # mean of the rows that judge the prompt, -1 to 1
    vectors: Array | None = None  # examples x dimensions
    factors: dict[str, float] = {}  # how much more or less than others a source counts; 1 if it is not named

    def __len__(self) -> int:
        return len(self.texts)

    def only(self, chosen: Array) -> Examples:
        """The examples that a mask, or their numbers, choose."""
        numbers = np.arange(len(self))[chosen]
        return Examples(
            [self.texts[number] for number in numbers],
            self.sources[numbers],
            self.kinds[numbers],
            self.signals[numbers],
            self.losses[numbers],
            None if self.vectors is None else self.vectors[numbers],
            self.factors,
        )

    def counts(self) -> dict[str, int]:
        """How many examples each source has."""
        names, counts = np.unique(self.sources, return_counts=True)
        return dict(zip(names.tolist(), counts.tolist(), strict=True))


def examples_of(judgements: Sequence[Judgement]) -> Examples:
    """Without vectors yet: they come from an embedder."""
    losses: dict[tuple[str, str], list[int]] = {}
    for judgement in judgements:
        losses.setdefault((judgement.source, judgement.text), []).append(judgement.weak_outcome.loss)
    signals = {text: signals_of(text) for _, text in losses}
    return Examples(
        [text for _, text in losses],
        np.array([source for source, _ in losses], dtype=object),
        np.array([int(signals[text].kind) for _, text in losses]),
        np.array([signals[text].values for _, text in losses]),
        np.array([sum(seen) / len(seen) for seen in losses.values()]),
    )
