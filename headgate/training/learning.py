"""From judgements to a model, with the embedder of this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from headgate.embedding import prepared
from headgate.embedding.offline import embed_texts
from headgate.judgements import Judgement
from headgate.policy.difficulty.model import Weights
from headgate.training.examples import Examples, examples_of
from headgate.training.exporting import train


def learn(rows: Sequence[Judgement], factors: Mapping[str, float], embedded: bool = True) -> Weights:
    """Train on all rows; `factors` says which sources count more or less than others.

    Raises as `embed_texts` if the embedder cannot be had.
    """
    examples = embedded_examples(rows) if embedded else examples_of(rows)
    weighted = msgspec.structs.replace(examples, factors=dict(factors))
    return train(weighted, prepared.NAME, prepared.DIMENSIONS)


def embedded_examples(rows: Sequence[Judgement]) -> Examples:
    """Examples with the vectors of their texts."""
    examples = examples_of(rows)
    return msgspec.structs.replace(examples, vectors=embed_texts(examples.texts))
