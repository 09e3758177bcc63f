"""What one partition of the semantic cache remembers besides answers, and the decision made from it.

A partition is whatever the cache keeps apart: tenant, model, prompt version and context. It holds a sketch and a record
for each entry, never a question or an answer. Entries whose answers were verified to be the same are linked, so that
they vouch for each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from headgate.policy.semantic.boundary import Belief, Boundary
from headgate.policy.semantic.controller import Controller, Outcome
from headgate.policy.semantic.evidence import FEATURES, Evidence, Neighbour, around, closeness, weigh
from headgate.policy.semantic.groups import Group, Record
from headgate.policy.semantic.sketch import Sketch
from headgate.policy.semantic.switch import switched_on
from headgate.policy.semantic.vocabulary import Vocabulary
from headgate.types import Frozen

NEIGHBOURS = 10  # how many the index should find
_CANDIDATES = 3  # different answers that are weighed
_REACH = 0.05  # cosine over which a neighbour's vote falls to 1/e
_HOPELESS = 0.03  # a probability below which a miss is seldom worth a comparison
_SELDOM = 0.1
_LIFTING_OUTCOMES = 30  # verified outcomes that a partition must have seen before a guard may be lifted in it
_LIFTING_TOLERANCE = 3.0  # and the false share among them, in bounds
_LIFTING_EACH = 2  # right outcomes of one answer that count: who repeats one question lifts nothing for the others


class Settings(Frozen, frozen=True, gc=False):
    """What the operator states."""

    bound: float = 0.01  # the share of false answers among the hits that is accepted
    shadow_share: float = 0.02  # of the hits that are verified
    caution: float = 0.25  # standard errors kept between the estimated false share and the bound


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


class Partition:
    """One partition's memory. The same calls in the same order make the same memory."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._records: dict[str, Record] = {}
        self._vocabulary = Vocabulary()
        self._boundary = Boundary([mean for _, mean, _ in FEATURES], [deviation for _, _, deviation in FEATURES])
        self._controller = Controller(settings.bound, settings.caution)
        self._guards: dict[str, tuple[int, int]] = {}  # outcomes that but for a guard were sure enough: right, wrong
        self.switch = switched_on(settings.bound)

    def __len__(self) -> int:
        return len(self._records)

    def entries(self) -> list[str]:
        """The entries that are known."""
        return list(self._records)

    def decide(self, question: Sketch, neighbours: Sequence[Neighbour], chance: float) -> Decision:
        """Whether one of the neighbours (nearest first, unknown entries are passed over) answers the question."""
        known = [neighbour for neighbour in neighbours if neighbour.entry in self._records]
        if not known:
            return Decision(False, "nothing_near")
        best, belief = self._best(question, known)
        served, reason = False, "served"
        if best.score < self._controller.cut:
            reason = "unsure"
            verify = belief.probability >= _HOPELESS or chance < _SELDOM
        elif best.veto and not self._lifted(best.veto):
            reason, verify = best.veto, True
        elif not self.switch.on:
            reason, verify = "off", True
        else:
            served, verify = True, chance < self._settings.shadow_share
        return Decision(served, reason, best, belief.probability, belief.lower, verify)

    def enter(self, entry: str, question: Sketch, nearest: float) -> None:
        """A new entry, after a miss. `nearest` is the similarity of the nearest neighbour it had, 0 if none."""
        self.forget(entry)
        self._records[entry] = Record(entry, question, nearest)
        self._vocabulary.add(question.words)

    def learn(self, verified: Verified) -> None:
        """Take in a verified outcome."""
        evidence, correct = verified.evidence, verified.correct
        would_serve = evidence.score >= self._controller.cut
        lifted = not evidence.veto or self._lifted(evidence.veto)
        self._boundary.learn(evidence.features, correct)
        if evidence.veto and (would_serve or not verified.entered):
            self._judge_guard(evidence, correct)
        if not verified.entered:
            weight = 1.0 / max(self._settings.shadow_share, 1e-3)
            self._controller.observe(Outcome(evidence.score, correct, weight))
            self.switch = self.switch.hit(correct)
        elif lifted:
            self._controller.observe(Outcome(evidence.score, correct, 1.0))
            if would_serve:
                self.switch = self.switch.would_have_hit(correct)
        self._remember(verified)

    def forget(self, entry: str) -> None:
        """The entry has left the cache."""
        record = self._records.pop(entry, None)
        if record is not None:
            record.group.leave(entry)

    def _remember(self, verified: Verified) -> None:
        """The outcome, with those it is about."""
        record, entered = self._records.get(verified.evidence.entry), self._records.get(verified.entered)
        if record is None:
            return
        record.right += verified.correct
        record.wrong += not verified.correct
        record.group.observe(closeness(verified.evidence.similarity), verified.correct)
        if entered is None:
            return
        if verified.correct:
            self._link(record.group, entered.group)
        else:
            record.group.differ(entered.group)

    def _link(self, group: Group, other: Group) -> None:
        if group is other:
            return
        if len(group.entries) < len(other.entries):
            group, other = other, group
        for entry in other.entries:
            self._records[entry].group = group
        group.absorb(other)

    def _judge_guard(self, evidence: Evidence, correct: bool) -> None:
        """Count an outcome that only a guard spoke against. It is counted as well once the guard is lifted, so that the
        guard comes back when it would have kept something wrong out."""
        right, wrong = self._guards.get(evidence.veto, (0, 0))
        record = self._records.get(evidence.entry)
        if not correct:
            self._guards[evidence.veto] = (right, wrong + 1)
        elif record is not None and record.group.vouch(evidence.veto, _LIFTING_EACH):
            self._guards[evidence.veto] = (right + 1, wrong)

    def _lifted(self, guard: str) -> bool:
        """Whether this partition has shown that a guard keeps nothing wrong out: a help desk's answers, for instance,
        often do not depend on the numbers in a question."""
        right, wrong = self._guards.get(guard, (0, 0))
        total = right + wrong
        return total >= _LIFTING_OUTCOMES and wrong + 1 <= self._settings.bound * _LIFTING_TOLERANCE * (total + 2)

    def _best(self, question: Sketch, known: Sequence[Neighbour]) -> tuple[Evidence, Belief]:
        """The likeliest candidate among the nearest entries of the answers with the most votes."""
        records = [self._records[neighbour.entry] for neighbour in known]
        closes = [closeness(neighbour.similarity) for neighbour in known]
        votes = [math.exp((neighbour.similarity - known[0].similarity) / _REACH) for neighbour in known]
        totals: dict[Group, float] = {}
        first: dict[Group, int] = {}
        for index, record in enumerate(records):
            totals[record.group] = totals.get(record.group, 0.0) + votes[index]
            first.setdefault(record.group, index)
        candidates = []
        for group in sorted(totals, key=lambda group: -totals[group])[:_CANDIDATES]:
            index = first[group]
            seen = around(index, closes, votes, records)
            failed, features = weigh(question, records[index], seen, self._vocabulary.weight)
            candidates.append((self._boundary.guess(features), index, failed, features))
        _, index, failed, features = max(candidates, key=lambda candidate: candidate[0])
        belief = self._boundary.belief(features)
        return Evidence(known[index].entry, known[index].similarity, failed, features, belief.score), belief
