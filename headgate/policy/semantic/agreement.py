"""Whether two answers to one question say the same, by their words and the cosine of their embeddings.

It is the judge when no model is configured for it. It errs on the side of "no": a wrong "no" costs hits, a wrong "yes"
wrong answers.
"""

from __future__ import annotations

from headgate.policy.semantic.sketch import sketch
from headgate.types import Frozen

LEAST_SIMILARITY = 0.85
_LONG = 60  # words: so much prose has numbers and negations that two writers choose differently
_LEAST_OVERLAP = 0.5  # of the numbers of two long answers


class Agreement(Frozen, frozen=True, gc=False):
    """Whether they do, and why."""

    agree: bool
    reason: str  # identical, similar, far_apart, numbers, negation, language


def identical(fresh: str, cached: str) -> bool:
    """Whether they are the same but for white space and capital letters."""
    return fresh.casefold().split() == cached.casefold().split()


def agreement(fresh: str, cached: str, similarity: float) -> Agreement:
    """`similarity` is the cosine of the two answers' embeddings."""
    if identical(fresh, cached):
        return Agreement(True, "identical")
    if similarity < LEAST_SIMILARITY:
        return Agreement(False, "far_apart")
    one, other = sketch(fresh), sketch(cached)
    if one.language and other.language and one.language != other.language:
        return Agreement(False, "language")
    if max(one.length, other.length) > _LONG:
        ours, theirs = set(one.numbers), set(other.numbers)
        if ours and theirs and len(ours & theirs) < _LEAST_OVERLAP * min(len(ours), len(theirs)):
            return Agreement(False, "numbers")
        return Agreement(True, "similar")
    if one.numbers != other.numbers:
        return Agreement(False, "numbers")
    if one.negated is not other.negated:
        return Agreement(False, "negation")
    return Agreement(True, "similar")
