"""What speaks for a candidate: similarity, its margin, its neighbours, its record, and how the words differ.

Every feature is a plain number, so that the boundary can weigh it, and has a name, so that a decision can be explained.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from headgate.policy.semantic.groups import Record
from headgate.policy.semantic.guards import Weight, differences, veto
from headgate.policy.semantic.sketch import Sketch
from headgate.types import Frozen

# Name, expected weight, its uncertainty: what is believed before the first outcome. The signs are what the words say,
# the sizes are about one, and no data was used: outcomes soon outweigh them.
FEATURES: tuple[tuple[str, float, float], ...] = (
    ("bias", -1.0, 1.5),
    ("closeness", 2.0, 1.0),  # of the candidate to the question
    (
        "very_close",
        0.0,
        1.0,
    ),  # closeness beyond a cosine of 0.94: what is nearly identical gains little by being more so
    ("margin", 1.0, 1.0),  # closeness beyond the best neighbour with another answer
    ("margin_linked", 0.0, 0.5),  # the same for an answer with many entries: a margin says more there
    ("apart", 0.0, 1.0),  # closeness beyond the best neighbour whose answer is verified to be another
    ("undisputed", 0.0, 0.5),  # no neighbour's answer is verified to be another
    ("rival_linked", -0.2, 0.5),  # how many entries the best neighbour's other answer has
    ("share", 1.0, 1.0),  # of the neighbours' votes that go to the candidate's answer
    ("share_close", 0.0, 0.5),
    ("votes", 0.5, 0.5),  # the same, as a logit
    ("second", 0.0, 0.7),  # closeness beyond the second neighbour with the same answer
    ("crowd", 0.0, 0.7),  # mean closeness of the nearest five, below the candidate's
    ("density", 0.5, 1.0),  # closeness beyond what was usual around the candidate
    ("density_close", 0.0, 0.5),
    ("typical", 0.5, 0.7),  # closeness beyond what is usual between entries with this answer
    ("linked", 0.3, 0.5),  # entries that are verified to have the same answer
    ("record", 1.0, 0.7),  # of that answer: verified right against wrong
    ("record_close", 0.0, 0.5),
    ("own_record", 0.5, 0.5),  # of the candidate itself
    ("within_right", 0.0, 0.7),  # closeness beyond the farthest question this answer was right for
    ("beyond_wrong", 0.0, 0.7),  # closeness beyond the nearest question this answer was wrong for
    ("lost", -1.0, 1.0),  # words of the cached question that are missing
    ("gained", -1.0, 1.0),  # words of the new question that are new
    ("words_close", 0.0, 0.5),
    ("heaviest", -0.5, 1.0),  # the rarest word that only one of them has
    ("substituted", -0.5, 1.0),  # one word in place of another
    ("asked_otherwise", -0.7, 0.7),
    ("names", -1.0, 1.0),  # names that only one of them has
    ("reordered", 0.0, 0.7),
    ("short", -0.3, 0.7),
    ("length", 0.0, 0.5),  # of the question, logarithm of its words
    ("overlap", 0.0, 0.7),  # content words that both have, of those that either has
    ("function_overlap", 0.0, 0.7),  # the same of function words
    ("same_start", 0.0, 0.5),  # the same content word comes first
    ("numbers", -1.0, 1.0),  # a guard that failed: it weighs once a partition has shown that it may be lifted
    ("negation", -1.0, 1.0),
    ("dates", -1.0, 1.0),
    ("other_guard", -1.0, 1.0),
)
_FAR = 0.3  # the similarity of a neighbour that is not there
_CLOSE = 2.0  # closeness around which it is mixed with other features
_VERY_CLOSE = 2.5


class Neighbour(Frozen, frozen=True, gc=False):
    """An entry near the question, as the index finds it."""

    entry: str
    similarity: float  # cosine


class Evidence(Frozen, frozen=True, gc=False):
    """All that speaks for or against the best candidate: handed back when its outcome is known."""

    entry: str
    similarity: float
    veto: str  # the guard that failed; "" if none did
    features: tuple[float, ...]  # in the order of FEATURES
    score: float  # what the boundary made of them


class Around(Frozen, frozen=True, gc=False):
    """The neighbours of one question from the view of one candidate. Closeness throughout, nearest first."""

    near: float  # the candidate
    second: float | None  # the next neighbour with the same answer
    rival: float  # the nearest neighbour with another answer, or one that may be another
    rival_linked: int  # entries with the rival's answer
    proven: float | None  # the nearest neighbour whose answer is verified to be another
    votes: float  # for the candidate's answer
    others: float  # for all others
    crowd: float  # mean of the nearest five


def closeness(similarity: float) -> float:
    """Cosine on a scale where equal steps mean about equally much: 0 at about 0, 3.9 at identity."""
    return -math.log(1.02 - min(similarity, 1.0))


def around(first: int, closes: Sequence[float], votes: Sequence[float], records: Sequence[Record]) -> Around:
    """See the neighbours from the candidate with index `first`."""
    group = records[first].group
    same = [index for index, record in enumerate(records) if record.group is group]
    others = [index for index, record in enumerate(records) if record.group is not group]
    proven = next((closes[index] for index in others if records[index].group in group.different), None)
    own_votes = sum(votes[index] for index in same)
    return Around(
        near=closes[first],
        second=closes[same[1]] if len(same) > 1 else None,
        rival=closes[others[0]] if others else closeness(_FAR),
        rival_linked=len(records[others[0]].group.entries) if others else 1,
        proven=proven,
        votes=own_votes,
        others=sum(votes) - own_votes,
        crowd=sum(closes[:5]) / len(closes[:5]),
    )


def weigh(question: Sketch, record: Record, seen: Around, weight: Weight) -> tuple[str, tuple[float, ...]]:
    """The guard that fails, "" if none does, and the features of a candidate, in the order of FEATURES."""
    group, near, cached = record.group, seen.near, record.sketch
    words = differences(question, cached, weight)
    failed = veto(question, cached)
    margin, mixed = near - seen.rival, near - _CLOSE
    linked = math.log(max(len(group.entries), 1))
    share = seen.votes / (seen.votes + seen.others)
    verdict = (group.right - group.wrong) / (group.right + group.wrong + 2.0)
    density = near - closeness(record.nearest or _FAR)
    return failed, (
        1.0,
        near,
        max(0.0, near - _VERY_CLOSE),
        margin,
        margin * linked,
        near - seen.proven - 0.5 if seen.proven is not None else 0.0,
        float(seen.proven is None),
        math.log(seen.rival_linked),
        share,
        share * mixed,
        math.log((seen.votes + 0.1) / (seen.others + 0.1)),
        near - seen.second if seen.second is not None else 1.0,
        seen.crowd - near,
        density,
        density * mixed,
        near - group.usual,
        linked,
        verdict,
        verdict * mixed,
        (record.right - record.wrong) / (record.right + record.wrong + 1.0),
        _within(near - group.farthest_right) if group.farthest_right is not None else -0.5,
        _within(near - group.nearest_wrong) if group.nearest_wrong is not None else 0.5,
        words.lost,
        words.gained,
        (words.lost + words.gained) * mixed,
        words.heaviest,
        float(words.substituted),
        float(words.asked_otherwise),
        float(min(words.names, 2)),
        float(words.reordered),
        1.0 / (1.0 + min(len(question.content), len(cached.content))),
        math.log(1.0 + question.length),
        _overlap(question.words, cached.words),
        _overlap(question.function, cached.function),
        float(question.order[:1] == cached.order[:1]),
        float(failed == "numbers"),
        float(failed == "negation"),
        float(failed == "dates"),
        float(failed not in ("", "numbers", "negation", "dates")),
    )


def _overlap(ours: frozenset[str], theirs: frozenset[str]) -> float:
    return len(ours & theirs) / max(len(ours | theirs), 1)


def _within(difference: float) -> float:
    return max(-1.0, min(1.0, difference))
