"""What speaks for a candidate: similarity, its margin, its neighbours, its record, and how the words differ.

Every feature is a plain number, so that the boundary can weigh it, and each has a name, so that a decision can be
explained.
"""

from __future__ import annotations

import math

from headgate.types import Frozen

# name, expected weight, its uncertainty: what is believed before the first outcome. Signs from what the words mean,
# sizes of about one: no data was used. Similarity is 1 at identity in tens of nats: see `closeness`.
FEATURES: tuple[tuple[str, float, float], ...] = (
    ("bias", -1.0, 1.5),
    ("closeness", 2.0, 1.0),  # of the candidate to the question
    ("margin", 1.0, 1.0),  # closeness beyond the best neighbour with another answer
    ("share", 1.0, 1.0),  # of the neighbours' votes that go to the candidate's answer
    ("lost", -1.0, 1.0),  # words of the cached question that are missing
    ("gained", -1.0, 1.0),  # words of the new question that are new
    ("heaviest", -1.0, 1.0),  # the rarest word that only one of them has
    ("substituted", -1.0, 1.0),  # one word in place of another
    ("asked_otherwise", -0.7, 0.7),
    ("names", -1.0, 1.0),  # names that only one of them has
    ("reordered", 0.0, 0.7),
    ("short", -0.3, 0.5),
    ("linked", 0.3, 0.5),  # entries that are verified to have the same answer
    ("record", 1.0, 0.5),  # of that answer: verified right against wrong
    ("density", 0.5, 1.0),  # closeness beyond what was usual around the candidate
    ("own_record", 0.5, 0.5),  # of the candidate itself
)


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


def closeness(similarity: float) -> float:
    """Cosine on a scale where equal steps mean about equally much: 0 at about 0, 3.9 at identity."""
    return -math.log(1.02 - min(similarity, 1.0))
