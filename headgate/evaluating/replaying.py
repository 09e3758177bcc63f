"""A stream of questions through a semantic cache that is empty at first: what it would have answered, and how wrongly.

An answer enters the cache on a miss. Whether a candidate's answer was right is told to the cache only where it asked
for a verification, and each of those is counted.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from headgate.evaluating.questions import Question
from headgate.policy.semantic.evidence import Evidence, Neighbour
from headgate.policy.semantic.partition import NEIGHBOURS, Decision, Partition, Settings, Verified
from headgate.policy.semantic.sketch import Sketch, sketch
from headgate.types import Frozen

Vectors = npt.NDArray[np.float32]


class Stream:
    """Questions in their order, with what is computed of each once."""

    def __init__(self, questions: Sequence[Question], vectors: Vectors) -> None:
        self.answers = [question.answer for question in questions]
        self.sketches: list[Sketch] = [sketch(question.text) for question in questions]
        self.vectors = vectors

    def __len__(self) -> int:
        return len(self.answers)

    def right(self, question: int, entry: int) -> bool:
        """Whether the answer of an entry is right for a question."""
        return self.answers[question] is not None and self.answers[question] == self.answers[entry]


class Verifier(Frozen, frozen=True, gc=False):
    """A cheap model that is asked of every answer before it is given whether it still applies, simulated: how often it
    says yes."""

    yes_to_right: float = 0.9
    yes_to_wrong: float = 0.05


class Tally(Frozen, frozen=True, gc=False):
    """What came out of one stream."""

    questions: int
    hits: int
    false_hits: int
    verified_hits: int  # upstream calls for hits, to see whether they were right
    verified_misses: int  # comparisons of the fresh answer with the candidate's
    asked: int  # questions to a verifier
    verified_until_paid: int | None  # verifications until hits outnumber them for good; None: not in this stream
    reasons: dict[str, int]  # decisions by their reason


class _Found:
    """Entries so far, and the nearest of them."""

    def __init__(self, stream: Stream) -> None:
        self._vectors = np.zeros_like(stream.vectors)
        self._questions: list[int] = []

    def add(self, question: int, vector: Vectors) -> None:
        self._vectors[len(self._questions)] = vector
        self._questions.append(question)

    def nearest(self, vector: Vectors) -> list[Neighbour]:
        count = len(self._questions)
        if not count:
            return []
        similarities = self._vectors[:count] @ vector
        several = min(NEIGHBOURS, count)
        places = np.argpartition(-similarities, several - 1)[:several]
        ordered = places[np.argsort(-similarities[places], kind="stable")]
        return [Neighbour(str(self._questions[place]), float(similarities[place])) for place in ordered]


class _Replay:
    """One run: the cache, its chance, and what has been counted."""

    def __init__(self, stream: Stream, settings: Settings, seed: int, verifier: Verifier | None) -> None:
        self._stream = stream
        self._partition = Partition(settings)
        self._chance = random.Random(seed)
        self._verifier = verifier
        self._entries = _Found(stream)
        self._reasons: dict[str, int] = {}
        self._hits = self._false = self._verified_hits = self._verified_misses = self._asked = 0
        self._paid: int | None = None

    def run(self) -> Tally:
        for question in range(len(self._stream)):
            self._ask(question)
            verified = self._verified_hits + self._verified_misses
            if self._hits <= verified:
                self._paid = None
            elif self._paid is None:
                self._paid = verified
        return Tally(
            len(self._stream), self._hits, self._false, self._verified_hits, self._verified_misses, self._asked,
            self._paid, self._reasons,
        )  # fmt: skip

    def _ask(self, question: int) -> None:
        stream = self._stream
        neighbours = self._entries.nearest(stream.vectors[question])
        decision = self._partition.decide(stream.sketches[question], neighbours, self._chance.random())
        evidence = decision.evidence
        right = evidence is not None and stream.right(question, int(evidence.entry))
        refuted = decision.serve and self._verifier is not None and not self._applies(self._verifier, right)
        reason = "refuted" if refuted else decision.reason
        self._reasons[reason] = self._reasons.get(reason, 0) + 1
        if decision.serve and not refuted:
            self._hit(decision, evidence, right)
            return
        entry = str(question)
        self._partition.enter(entry, stream.sketches[question], neighbours[0].similarity if neighbours else 0.0)
        self._entries.add(question, stream.vectors[question])
        if decision.verify and evidence is not None and not refuted:
            self._verified_misses += 1
            self._partition.learn(Verified(evidence, right, entered=entry))

    def _hit(self, decision: Decision, evidence: Evidence | None, right: bool) -> None:
        self._hits += 1
        self._false += not right
        if decision.verify and evidence is not None:
            self._verified_hits += 1
            self._partition.learn(Verified(evidence, right))

    def _applies(self, verifier: Verifier, right: bool) -> bool:
        """What the verifier says."""
        self._asked += 1
        return self._chance.random() < (verifier.yes_to_right if right else verifier.yes_to_wrong)


def replay(stream: Stream, settings: Settings, seed: int, verifier: Verifier | None = None) -> Tally:
    """Ask all questions of a stream, one after the other, of a cache that is empty at first."""
    return _Replay(stream, settings, seed, verifier).run()
