"""What one partition of the semantic cache remembers besides answers, and the decision made from it.

A partition is whatever the cache keeps apart: tenant, model, prompt version and context. It holds a sketch and a
record for each entry, never a question or an answer. Entries whose answers were verified to be the same are linked, so
that they vouch for each other. Memory: about 1 kB an entry.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from headgate.policy.semantic.boundary import Boundary
from headgate.policy.semantic.controller import Controller, Outcome
from headgate.policy.semantic.evidence import FEATURES, Evidence, Neighbour, closeness
from headgate.policy.semantic.guards import differences, veto
from headgate.policy.semantic.sketch import Sketch
from headgate.policy.semantic.switch import switched_on
from headgate.policy.semantic.vocabulary import Vocabulary
from headgate.types import Frozen

NEIGHBOURS = 10  # how many the index should find
_CANDIDATES = 3  # different answers that are weighed
_REACH = 0.05  # cosine over which a neighbour's vote falls to 1/e
_FAR = 0.3  # the similarity of a neighbour that is not there


class Settings(Frozen, frozen=True, gc=False):
    """What the operator states."""

    bound: float = 0.01  # the share of false answers among the hits that is accepted
    shadow_share: float = 0.02  # of the hits that are verified
    caution: float = 1.0  # standard errors kept between the estimated false share and the bound


class Decision(Frozen, frozen=True, gc=False):
    """Whether to serve a cached answer, and why."""

    serve: bool
    reason: str  # served, nothing_near, a guard's name, unsure, off
    evidence: Evidence | None = None  # of the best candidate, if there is one
    probability: float = 0.0  # that its answer is right
    lower: float = 0.0  # the same with the benefit of the doubt against it
    verify: bool = False  # compare its answer with a fresh one: after a miss that is at hand anyway


class Verified(Frozen, frozen=True, gc=False):
    """What came out of a comparison: whether the candidate's answer was right for the question."""

    evidence: Evidence
    correct: bool
    entered: str = ""  # after a miss: the new entry


class _Record:
    """What is known of an entry."""

    __slots__ = ("_packed", "group", "nearest", "right", "wrong")

    def __init__(self, sketch: Sketch, nearest: float, group: _Group) -> None:
        self._packed = msgspec.msgpack.encode(sketch)  # a tenth of the objects; reading it takes 8 us
        self.nearest = nearest  # similarity of its nearest neighbour when it came
        self.group = group
        self.right = 0
        self.wrong = 0

    @property
    def sketch(self) -> Sketch:
        """What is to be known of its question."""
        return msgspec.msgpack.decode(self._packed, type=Sketch)


class _Group:
    """Entries that are verified to have the same answer, and that answer's record."""

    __slots__ = ("entries", "right", "wrong")

    def __init__(self, entry: str) -> None:
        self.entries = {entry}
        self.right = 0
        self.wrong = 0


class Partition:
    """One partition's memory. The same calls in the same order make the same memory."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._records: dict[str, _Record] = {}
        self._vocabulary = Vocabulary()
        self._boundary = Boundary([mean for _, mean, _ in FEATURES], [deviation for _, _, deviation in FEATURES])
        self._controller = Controller(settings.bound, settings.caution)
        self.switch = switched_on(settings.bound)

    def __len__(self) -> int:
        return len(self._records)

    def decide(self, question: Sketch, neighbours: Sequence[Neighbour], chance: float) -> Decision:
        """Whether one of the neighbours (nearest first, unknown entries are passed over) answers the question."""
        known = [neighbour for neighbour in neighbours if neighbour.entry in self._records]
        if not known:
            return Decision(False, "nothing_near")
        best = max(self._candidates(question, known), key=lambda evidence: evidence.score)
        belief = self._boundary.belief(best.features)
        if best.veto:
            return Decision(False, best.veto, best, belief.probability, belief.lower)
        if best.score < self._controller.cut:
            return Decision(False, "unsure", best, belief.probability, belief.lower, verify=True)
        if not self.switch.on:
            return Decision(False, "off", best, belief.probability, belief.lower, verify=True)
        verify = chance < self._settings.shadow_share
        return Decision(True, "served", best, belief.probability, belief.lower, verify)

    def enter(self, entry: str, question: Sketch, nearest: float) -> None:
        """A new entry, after a miss. `nearest` is the similarity of the nearest neighbour it had, 0 if none."""
        self.forget(entry)
        self._records[entry] = _Record(question, nearest, _Group(entry))
        self._vocabulary.add(question.words)

    def learn(self, verified: Verified) -> None:
        """Take in a verified outcome."""
        evidence, correct = verified.evidence, verified.correct
        self._boundary.learn(evidence.features, correct)
        served = not verified.entered
        weight = 1.0 / max(self._settings.shadow_share, 1e-3) if served else 1.0
        would_serve = evidence.score >= self._controller.cut
        self._controller.observe(Outcome(evidence.score, correct, weight))
        if served:
            self.switch = self.switch.hit(correct)
        elif would_serve:
            self.switch = self.switch.would_have_hit(correct)
        record = self._records.get(evidence.entry)
        if record is None:
            return
        for owner in (record, record.group):
            owner.right += correct
            owner.wrong += not correct
        entered = self._records.get(verified.entered)
        if correct and entered is not None:
            self._link(record.group, entered.group)

    def forget(self, entry: str) -> None:
        """The entry has left the cache."""
        record = self._records.pop(entry, None)
        if record is not None:
            record.group.entries.discard(entry)

    def _link(self, group: _Group, other: _Group) -> None:
        if group is other:
            return
        if len(group.entries) < len(other.entries):
            group, other = other, group
        for entry in other.entries:
            self._records[entry].group = group
        group.entries |= other.entries
        group.right += other.right
        group.wrong += other.wrong

    def _candidates(self, question: Sketch, known: Sequence[Neighbour]) -> list[Evidence]:
        """The nearest entry of each of the answers with the most votes."""
        nearest = known[0].similarity
        votes: dict[int, float] = {}
        first: dict[int, Neighbour] = {}
        for neighbour in known:
            group = id(self._records[neighbour.entry].group)
            votes[group] = votes.get(group, 0.0) + math.exp((neighbour.similarity - nearest) / _REACH)
            first.setdefault(group, neighbour)
        total = sum(votes.values())
        chosen = sorted(votes, key=lambda group: -votes[group])[:_CANDIDATES]
        evidence = []
        for group in chosen:
            others = (candidate.similarity for other, candidate in first.items() if other != group)
            candidate = first[group]
            features = self._features(question, candidate, max(others, default=_FAR), votes[group] / total)
            cached = self._records[candidate.entry].sketch
            score = self._boundary.belief(features).score
            evidence.append(Evidence(candidate.entry, candidate.similarity, veto(question, cached), features, score))
        return evidence

    def _features(self, question: Sketch, candidate: Neighbour, rival: float, share: float) -> tuple[float, ...]:
        record = self._records[candidate.entry]
        group, cached = record.group, record.sketch
        words = differences(question, cached, self._vocabulary.weight)
        near = closeness(candidate.similarity)
        return (
            1.0,
            near,
            near - closeness(rival),
            share,
            words.lost,
            words.gained,
            words.heaviest,
            float(words.substituted),
            float(words.asked_otherwise),
            float(min(words.names, 2)),
            float(words.reordered),
            1.0 / (1.0 + min(len(question.content), len(cached.content))),
            math.log(len(group.entries)),
            (group.right - group.wrong) / (group.right + group.wrong + 2.0),
            near - closeness(record.nearest or _FAR),
            (record.right - record.wrong) / (record.right + record.wrong + 1.0),
        )
