"""Which model is judged on judged rows: a file's, or models trained on the rows themselves without those they judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from headgate.difficulty.loading import load_difficulty
from headgate.embedding import prepared
from headgate.embedding.offline import embed_texts
from headgate.evaluating.plan import Plan
from headgate.evaluating.routing import RoutingReport, report
from headgate.judgements import Judgement
from headgate.policy.difficulty.model import Difficulty
from headgate.policy.difficulty.signals import signals_of
from headgate.training.examples import Examples, examples_of
from headgate.training.marks import seen
from headgate.training.recipe import fit, folds_of, left_out

Array = npt.NDArray[Any]


def judge(rows: Sequence[Judgement], plan: Plan) -> RoutingReport:
    """Raises FileInvalid for a model that cannot be used, and as `embed_texts` if the embedder cannot be had."""
    texts = [row.text for row in rows]
    if plan.left_out:
        return report(rows, cross_validated(rows, plan), np.zeros(len(rows), dtype=bool), plan.curves)
    difficulty = load_difficulty(plan.model)
    wanted = plan.embedded and difficulty.weights.embedder == prepared.NAME
    return report(rows, losses_of(difficulty, texts, wanted), seen(difficulty.weights.marks, texts), plan.curves)


def losses_of(difficulty: Difficulty, texts: Sequence[str], embedded: bool) -> Array:
    """The expected loss of each text, by the same code that routes."""
    different = list(dict.fromkeys(texts))
    vectors: list[bytes] | list[None] = [None] * len(different)
    if embedded:
        vectors = [vector.astype("<f4").tobytes() for vector in embed_texts(different)]
    pairs = zip(different, vectors, strict=True)
    losses = {text: difficulty.score(signals_of(text), vector).expected_loss for text, vector in pairs}
    return np.array([losses[text] for text in texts])


def cross_validated(rows: Sequence[Judgement], plan: Plan) -> Array:
    """What the recipe says of each row when it is trained on the others: without its prompt, or without its source."""
    examples = examples_of(rows)
    if plan.embedded:
        examples = msgspec.structs.replace(examples, vectors=embed_texts(examples.texts))
    places = {pair: place for place, pair in enumerate(zip(examples.sources, examples.texts, strict=True))}
    losses = losses_left_out(examples, plan)
    return np.array([losses[places[row.source, row.text]] for row in rows])


def losses_left_out(examples: Examples, plan: Plan) -> Array:
    """As `cross_validated`, for each example. A source that is never trained on gets the mean of all models."""
    groups = examples.sources.astype(str) if plan.left_out == "sources" else folds_of(examples)
    trained_on = ~np.isin(examples.sources.astype(str), sorted(plan.never_trained_on))
    sums, models = np.zeros(len(examples)), 0
    for outside, inside in left_out(examples, groups):
        if not (inside & trained_on).any() or not (outside & trained_on).any():
            continue
        fitted, models = fit(examples.only(outside & trained_on)), models + 1
        predicted = fitted.sums(examples)
        sums += np.where(trained_on, np.where(inside, predicted, 0.0), predicted)
    sums[~trained_on] /= max(models, 1)
    return sums
