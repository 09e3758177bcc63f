"""The difficulty model: whether a weak model will do as well as a strong one on a prompt. Plain numbers, no libraries.

A score is the sum of two parts. Of the first, each kind of prompt has its own weights for the signals and for the
embedding, learned together so that kinds with few examples lean on the others (Daumé, "Frustratingly easy domain
adaptation", 2007). The second is a row of small trees on the signals, for what is not a straight line; kinds with few
examples have none. Both predict the **loss**: the chance that the weak model's answer is worse minus the chance that it
is better. Where both models guess, nothing is gained by asking the strong one, however hard the prompt; so it is the
loss that orders prompts.
"""

from __future__ import annotations

from bisect import bisect_left
from math import exp
from operator import mul

import msgspec

from headgate.policy.difficulty.signals import NAMES, Kind, Signals
from headgate.types import Frozen

FORMAT = 1  # of the file, and of `signals.NAMES`
CLIP = 3.0  # standard deviations: a prompt far from all examples is not extrapolated to
REASONS = 3


class Tree(Frozen, frozen=True, gc=False):
    """Two questions: is a signal above a threshold? The second depends on the first answer."""

    signals: tuple[int, int, int]  # asked first; asked next if not above; asked next if above
    thresholds: tuple[float, float, float]
    leaves: tuple[float, float, float, float]


class Head(Frozen, frozen=True, gc=False):
    """What is added up for one kind of prompt."""

    intercept: float
    signals: tuple[float, ...]  # for standardised signals
    embedding: tuple[float, ...]  # none in a part that goes by signals alone
    usual: float  # what the embedding adds for an average prompt; it is taken off again
    trees: tuple[Tree, ...]


class Part(Frozen, frozen=True, gc=False):
    """What is added up, and what the sums mean on prompts that it was not trained on."""

    heads: tuple[Head, ...]  # by `Kind`
    loss_intercept: float  # expected loss = intercept + slope * sum
    loss_slope: float
    logit_intercept: float  # of P(as well) = 1 / (1 + exp(-(intercept + slope * sum)))
    logit_slope: float
    quantiles: tuple[float, ...]  # of the sums, equally spaced from 0 to 1


class Weights(Frozen, frozen=True, gc=False):
    """The file of a model, JSON."""

    format: int
    trained_on: dict[str, int]  # prompts by source
    marks: str  # of these prompts, so that an evaluation can tell which it has seen: see `training.marks`
    embedder: str  # its name, as the port has it
    dimensions: int
    means: tuple[float, ...]  # of the signals
    deviations: tuple[float, ...]
    embedded: Part | None
    plain: Part


class Score(Frozen, frozen=True, gc=False):
    """What the model says of one prompt."""

    probability: float  # that the weak model's answer is as good or better
    expected_loss: float  # -1 to 1: the chance that it is worse minus the chance that it is better
    easier_than: float  # 0 to 1: the share of the training prompts that are harder than this one
    kind: Kind
    embedded: bool  # False: by signals alone, which is less sure
    reasons: tuple[str, ...]  # what moved the score most, "+" towards the weak model


class Difficulty:
    """A model, ready to score. Decides in about 100 us, signals included."""

    def __init__(self, weights: Weights) -> None:
        """Raises ValueError if the numbers do not belong together."""
        _check(weights)
        self.weights = weights

    @classmethod
    def decode(cls, content: bytes) -> Difficulty:
        """Raises ValueError if this is no model, or one for another version of headgate."""
        try:
            return cls(msgspec.json.decode(content, type=Weights))
        except msgspec.MsgspecError as error:
            raise ValueError(f"this is no difficulty model: {error}") from error

    def score(self, signals: Signals, vector: bytes | None = None) -> Score:
        """`vector` is what the embedder named in `weights.embedder` makes of the same text, None if there is none.

        One of another length is not used, as if there was none.
        """
        weights = self.weights
        embedded = vector is not None and weights.embedded is not None and len(vector) == 4 * weights.dimensions
        part = weights.embedded if embedded and weights.embedded is not None else weights.plain
        head = part.heads[signals.kind]
        shares = list(map(mul, head.signals, self._standardised(signals)))
        total = head.intercept + sum(shares) + sum(_answer(tree, signals.values) for tree in head.trees)
        meaning = 0.0
        if embedded and vector is not None:
            meaning = sum(map(mul, head.embedding, memoryview(vector).cast("f"))) - head.usual
            total += meaning
        return Score(
            probability=1 / (1 + exp(-part.logit_intercept - part.logit_slope * total)),
            expected_loss=max(-1.0, min(1.0, part.loss_intercept + part.loss_slope * total)),
            easier_than=1 - bisect_left(part.quantiles, total) / len(part.quantiles),
            kind=signals.kind,
            embedded=embedded,
            reasons=_reasons(signals.kind, shares, meaning),
        )

    def _standardised(self, signals: Signals) -> list[float]:
        weights = self.weights
        return [
            max(-CLIP, min(CLIP, (value - mean) / deviation))
            for value, mean, deviation in zip(signals.values, weights.means, weights.deviations, strict=True)
        ]


def _answer(tree: Tree, values: tuple[float, ...]) -> float:
    first, low, high = tree.signals
    if values[first] > tree.thresholds[0]:
        return tree.leaves[3 if values[high] > tree.thresholds[2] else 2]
    return tree.leaves[1 if values[low] > tree.thresholds[1] else 0]


def _reasons(kind: Kind, shares: list[float], meaning: float) -> tuple[str, ...]:
    """A share of the loss that is negative speaks for the weak model."""
    named = [*zip(shares, NAMES, strict=True), (meaning, "meaning")]
    largest = sorted(named, key=lambda pair: -abs(pair[0]))[:REASONS]
    spoken = [f"{'+' if share < 0 else '-'} {name}" for share, name in largest if share]
    return (f"kind: {kind.name.lower()}", *spoken)


def _check(weights: Weights) -> None:
    if weights.format != FORMAT:
        raise ValueError(
            f"this model has format {weights.format}, this version of headgate reads {FORMAT}: train it anew"
        )
    lengths = {len(weights.means), len(weights.deviations)}
    for part in filter(None, (weights.embedded, weights.plain)):
        lengths |= {len(head.signals) for head in part.heads}
        dimensions = weights.dimensions if part is weights.embedded else 0
        asked = {signal for head in part.heads for tree in head.trees for signal in tree.signals}
        if (
            len(part.heads) != len(Kind)
            or any(len(head.embedding) != dimensions for head in part.heads)
            or not asked <= set(range(len(NAMES)))
            or not part.quantiles
        ):
            raise ValueError("this model's numbers do not belong together: train it anew")
    if lengths != {len(NAMES)} or not all(deviation > 0 for deviation in weights.deviations):
        raise ValueError(f"this model has not one number for each of the {len(NAMES)} signals: train it anew")
