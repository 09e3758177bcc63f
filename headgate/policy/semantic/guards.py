"""Guards: what must agree between a new question and a cached one, however similar their embeddings are.

A guard that fails is a veto with a name. What merely differs is measured (`differences`) and left to the boundary to
weigh.
"""

from __future__ import annotations

from collections.abc import Callable

from headgate.policy.semantic.sketch import Sketch
from headgate.policy.semantic.words import JOINING, OPPOSITES
from headgate.types import Frozen

Weight = Callable[[str], float]  # what a content word weighs, 0..1: rare words say more


class Differences(Frozen, frozen=True, gc=False):
    """How two questions differ in words. Weights are between 0 and 1."""

    lost: float  # share of the cached question's word weight that the new one does not have
    gained: float  # share of the new question's word weight that the cached one does not have
    heaviest: float  # weight of the heaviest word that only one of them has
    substituted: bool  # exactly one content word each is the other's alone, all else agrees
    asked_otherwise: bool  # both say how they ask, and it differs
    names: int  # names that only one of them has
    reordered: bool  # the same content in another order


def veto(question: Sketch, cached: Sketch) -> str:
    """The first guard that fails, by name; "" if none does."""
    if question.language != cached.language and question.language and cached.language:
        return "language"
    if question.numbers != cached.numbers:
        return "numbers"
    if question.units - cached.units and cached.units - question.units:
        return "units"
    if question.negated is not cached.negated:
        return "negation"
    if question.dates != cached.dates:
        return "dates"
    if question.code != cached.code and (question.code and cached.code):
        return "code"
    if _names_differ(question, cached):
        return "names"
    if _opposite(question, cached):
        return "opposites"
    return "roles" if _roles_differ(question, cached) else ""


def differences(question: Sketch, cached: Sketch, weight: Weight) -> Differences:
    """Measure how the questions differ; `weight` says how much a content word says."""
    ours, theirs = question.words, cached.words
    gained, lost, shared = ours - theirs, theirs - ours, ours & theirs
    gained_weight, lost_weight = sum(map(weight, gained)), sum(map(weight, lost))
    shared_weight = sum(map(weight, shared))
    return Differences(
        lost=lost_weight / (lost_weight + shared_weight) if lost else 0.0,
        gained=gained_weight / (gained_weight + shared_weight) if gained else 0.0,
        heaviest=max(map(weight, gained | lost), default=0.0),
        substituted=len(gained) == 1 and len(lost) == 1 and len(shared) > 0,
        asked_otherwise=bool(question.asking and cached.asking and question.asking != cached.asking),
        names=len((question.names - theirs) | (cached.names - ours)),
        reordered=not gained and not lost and question.order != cached.order,
    )


def _names_differ(question: Sketch, cached: Sketch) -> bool:
    """Each names what the other does not mention: another thing in the same place."""
    if not (question.names or cached.names):
        return False
    return bool(question.names - cached.words) and bool(cached.names - question.words)


def _opposite(question: Sketch, cached: Sketch) -> bool:
    ours = {*question.content, *question.function}
    theirs = {*cached.content, *cached.function}
    return any(OPPOSITES[word] & (theirs - ours) for word in ours - theirs if word in OPPOSITES)


def _roles_differ(question: Sketch, cached: Sketch) -> bool:
    """The same said the other way round: "A to B" and "B to A", or two words that changed places round a third."""
    if any((right, left) in cached.directions for left, right in question.directions - cached.directions):
        return True
    if len(question.order) != len(cached.order) or (question.function | cached.function) & JOINING:
        return False
    moved = [place for place, word in enumerate(question.order) if word != cached.order[place]]
    if len(moved) != 2 or moved[1] - moved[0] < 2:
        return False
    first, second = moved
    return question.order[first] == cached.order[second] and question.order[second] == cached.order[first]
