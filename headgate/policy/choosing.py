"""Which model of a router is asked: who can at all, what each is expected to be worth, and the pick.

A router's models stand in the order of their quality, the cheapest first. If the cheapest loses l against the best, the
model at place p of n (from 0) is taken to lose l * (1 - p / (n - 1)): its quality is 1 minus that.

A model is worth its quality less its price, as a share of the dearest one's, at some exchange rate. With a target, the
quality is the one that is expected, and the exchange rate the one that reaches the target on average. With cost_quality
the exchange rate is 1 - cost_quality, and l is how hard the question is among all questions, so that 0.5 gives the
harder half to the better of two models, if the other one costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

from headgate.route_types import Candidate, Hardness, Scored, Signals
from headgate.types import Frozen

LEARNING_RATE = 0.02  # of the exchange rate, for each decision
_MOST_EXCHANGE = 1.0
_LEAST_ANSWER_TOKENS = 16  # there must be room for


class Why(StrEnum):
    """What decided, in one word."""

    ONLY = "only"  # no other model could
    CLOSED = "closed"  # the router lost too much, and gives everything to its best model
    APPEAL = "appeal"  # its user asked for a better answer
    CHALLENGE = "challenge"  # likewise, in words
    SESSION = "session"  # the conversation keeps its model
    FLAG = "flag"
    WEIGHTS = "weights"
    SCORE = "score"  # quality against price
    TARGET = "target"  # the least cost that reaches a quality on average
    ESCALATED = "escalated"  # the first answer was not good enough
    BUDGET = "budget"  # there was no money for the one that was chosen
    CACHED = "cached"  # nothing: the answer was there already


class Preference(Frozen, frozen=True, gc=False):
    """What the operator wants. `exchange` is how much quality is worth as much as the price of the dearest model."""

    cost_quality: float = 0.5
    target_quality: float | None = None
    exchange: float = 0.5  # with a target: as it has turned out
    max_ttft_seconds: float | None = None
    near: float = 0.0  # a better model that loses by less is asked all the same


class Wish(Frozen, frozen=True, gc=False):
    """A model that something else than its worth speaks for; it is asked if it can be."""

    model: str
    why: Why
    reason: str


class Choice(Frozen, frozen=True, gc=False):
    """The decision: a model, or None if none can answer. `up` and `down` are those that could answer in its place, the
    next better and the next cheaper one first. `near` is by how much it won."""

    model: str | None
    why: Why
    reason: str
    candidates: tuple[Scored, ...]
    up: tuple[str, ...] = ()
    down: tuple[str, ...] = ()
    near: float = 1.0
    quality: float = 1.0  # that is expected of it


def choose(
    candidates: Sequence[Candidate],
    signals: Signals,
    hardness: Hardness,
    preference: Preference,
    wishes: Sequence[Wish] = (),
) -> Choice:
    """Decide. `candidates` are all models of the router, the cheapest first; `wishes` the first that can be granted."""
    obstacles = _obstacles(candidates, signals, preference)
    qualities = [_quality(hardness.loss, place, len(candidates)) for place in range(len(candidates))]
    scored = tuple(
        [
            Scored(candidate.model, round(quality, 4), candidate.cost_picousd, obstacle)
            for candidate, quality, obstacle in zip(candidates, qualities, obstacles, strict=True)
        ]
    )
    able = [place for place, obstacle in enumerate(obstacles) if not obstacle]
    if not able:
        return Choice(None, Why.ONLY, _none(scored), scored)
    chosen, why, reason, near = _pick(candidates, able, hardness, preference, wishes)
    return Choice(
        candidates[chosen].model,
        why,
        reason,
        scored,
        up=tuple([candidates[place].model for place in able if place > chosen]),
        down=tuple([candidates[place].model for place in reversed(able) if place < chosen]),
        near=near,
        quality=qualities[chosen],
    )


def adjusted(exchange: float, target_quality: float, quality: float) -> float:
    """The exchange rate after a decision: what was better than the target makes quality cheaper, and the other way.

    Stochastic approximation (Robbins and Monro, 1951): on average over many decisions the quality is the target.
    """
    return min(_MOST_EXCHANGE, max(0.0, exchange + LEARNING_RATE * (quality - target_quality)))


def weighted(weights: Sequence[tuple[str, float]], chance: float) -> str:
    """The model whose share of [0, 1) a conversation falls into; empty if all weights are zero."""
    mark = chance * sum([weight for _, weight in weights])
    for model, weight in weights:
        mark -= weight
        if mark < 0:
            return model
    return ""


def _pick(
    candidates: Sequence[Candidate],
    able: Sequence[int],
    hardness: Hardness,
    preference: Preference,
    wishes: Sequence[Wish],
) -> tuple[int, Why, str, float]:
    for wish in wishes:
        for place in able:
            if candidates[place].model == wish.model:
                return place, wish.why, wish.reason, 1.0
    if len(able) == 1:
        return able[0], Why.ONLY, "no other model can answer this", 1.0
    has_target = preference.target_quality is not None
    exchange = preference.exchange if has_target else 1.0 - preference.cost_quality
    if not has_target and preference.cost_quality in (0.0, 1.0):
        cheapest = min(able, key=lambda place: (candidates[place].cost_picousd, place))
        place = able[-1] if preference.cost_quality else cheapest
        return place, Why.SCORE, f"cost_quality is {preference.cost_quality:g}", 1.0
    dearest = max(candidates[place].cost_picousd for place in able) or 1
    loss = hardness.loss if has_target else hardness.difficulty
    qualities = [_quality(loss, place, len(candidates)) for place in range(len(candidates))]
    worth = {place: qualities[place] - exchange * candidates[place].cost_picousd / dearest for place in able}
    order = sorted(able, key=lambda place: (-worth[place], candidates[place].cost_picousd, place))
    best, second = order[0], order[1]
    price = candidates[best].cost_picousd / dearest
    reason = (
        f"{candidates[best].model} is worth {worth[best]:.2f} at {price:.0%} of the dearest price,"
        f" {candidates[second].model} {worth[second]:.2f}"
    )
    near = worth[best] - worth[second]
    if near < preference.near and second > best:
        best, reason = second, f"{reason}: too close to call"
    return best, Why.TARGET if has_target else Why.SCORE, reason, near


def _quality(loss: float, place: int, models: int) -> float:
    return 1.0 if models < 2 else 1.0 - loss * (1.0 - place / (models - 1))


def _obstacles(candidates: Sequence[Candidate], signals: Signals, preference: Preference) -> list[str]:
    """Why each cannot be chosen, empty for those that can. What is not certain, or may pass, stops nobody if it would
    stop all."""
    hard = [_incapable(candidate, signals) for candidate in candidates]
    if all(hard):
        return hard
    for checks in _SOFT:
        found = [
            no or next(filter(None, (check(candidate) for check in checks)), "")
            for no, candidate in zip(hard, candidates, strict=True)
        ]
        if not all(found):
            return _without_slow(candidates, found, preference.max_ttft_seconds)
    return hard


def _incapable(candidate: Candidate, signals: Signals) -> str:
    if not candidate.serves:
        return "it cannot be asked through this URL"
    if signals.tools and candidate.tools is False:
        return "it has no tools"
    if signals.images and candidate.images is False:
        return "it takes no images"
    if signals.json_schema and candidate.json_schema is False:
        return "it keeps to no JSON schema"
    return ""


def _too_small(candidate: Candidate) -> str:
    context = candidate.context_tokens
    if context is None or candidate.prompt_tokens + _LEAST_ANSWER_TOKENS <= context:
        return ""
    return f"the prompt may have {candidate.prompt_tokens} tokens, its context {context}"


def _away(candidate: Candidate) -> str:
    return "" if candidate.usable else "no deployment takes requests now"


def _without_slow(
    candidates: Sequence[Candidate], obstacles: Sequence[str], max_ttft_seconds: float | None
) -> list[str]:
    if max_ttft_seconds is None:
        return list(obstacles)
    slow = [
        obstacle or (f"its first content takes {seconds:.2g} s now" if (seconds or 0) > max_ttft_seconds else "")
        for obstacle, seconds in zip(obstacles, [one.ttft_seconds for one in candidates], strict=True)
    ]
    return list(obstacles) if all(slow) else slow


_SOFT: tuple[tuple[Callable[[Candidate], str], ...], ...] = ((_too_small, _away), (_too_small,), ())


def _none(scored: Sequence[Scored]) -> str:
    return "; ".join(f"{one.model}: {one.excluded}" for one in scored) or "the router has no models"
