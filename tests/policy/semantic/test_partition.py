"""The decision as a whole: what is served, what is learned, and that the bound on the hits is kept."""

from __future__ import annotations

import math
import random

import pytest

from headgate.policy.semantic.boundary import Boundary, sigmoid
from headgate.policy.semantic.evidence import FEATURES, Neighbour, closeness
from headgate.policy.semantic.partition import Decision, Partition, Settings, Verified
from headgate.policy.semantic.sketch import sketch
from headgate.policy.semantic.vocabulary import Vocabulary

TOPICS = [
    f"{verb} my {thing}" for verb in ("cancel", "renew", "track", "insure") for thing in ("order", "card", "phone")
]
FORMS = ["how do I {}", "please {}", "I want to {} today", "can you {} for me", "where can I {}"]


class World:
    """Questions on a few topics. Right answers are near, and so is now and then a wrong one."""

    def __init__(self, seed: int, settings: Settings, noise: float = 0.15) -> None:
        self.chance = random.Random(seed)
        self.partition = Partition(settings)
        self.noise = noise
        self.entries: list[int] = []  # the topic of each
        self.hits = self.false = self.verified = 0

    def ask(self) -> Decision:
        topic = self.chance.randrange(len(TOPICS))
        question = sketch(self.chance.choice(FORMS).format(TOPICS[topic]))
        nearest = sorted(
            (self._similarity(topic, other), str(entry)) for entry, other in enumerate(self.entries)
        )[-10:][::-1]  # fmt: skip
        decision = self.partition.decide(
            question, [Neighbour(entry, near) for near, entry in nearest], self.chance.random()
        )
        evidence = decision.evidence
        right = evidence is not None and self.entries[int(evidence.entry)] == topic
        self.verified += decision.verify
        if decision.serve:
            self.hits += 1
            self.false += not right
            if decision.verify and evidence is not None:
                self.partition.learn(Verified(evidence, right))
        else:
            entry = str(len(self.entries))
            self.entries.append(topic)
            self.partition.enter(entry, question, nearest[0][0] if nearest else 0.0)
            if decision.verify and evidence is not None:
                self.partition.learn(Verified(evidence, right, entered=entry))
        return decision

    def _similarity(self, topic: int, other: int) -> float:
        same = topic == other or self.chance.random() < self.noise / 10
        return min(1.0, max(0.0, self.chance.gauss(0.9 if same else 0.6, 0.05)))


def test_it_serves_nothing_before_it_has_learned_and_keeps_the_bound_after() -> None:
    world = World(2, Settings(bound=0.05, shadow_share=0.1))
    assert not any(world.ask().serve for _ in range(50))
    for _ in range(650):
        world.ask()
    assert world.hits > 200
    assert world.false / world.hits <= 0.05


def test_what_cannot_be_told_apart_is_not_served() -> None:
    """Right and wrong answers are equally near: nothing is learned from similarity, so the bound forbids to serve."""
    chance, partition = random.Random(7), Partition(Settings(bound=0.02, shadow_share=0.1))
    served = 0
    for number in range(300):
        question = sketch(f"{chance.choice(FORMS).format('pay')}")
        neighbours = [Neighbour(str(entry), 0.97) for entry in range(max(0, number - 5), number)]
        decision = partition.decide(question, neighbours, chance.random())
        served += decision.serve
        partition.enter(str(number), question, 0.97)
        if decision.verify and decision.evidence is not None:
            partition.learn(Verified(decision.evidence, chance.random() < 0.5, entered=str(number)))
    assert served < 4


def test_a_failed_guard_is_a_miss_with_its_name_until_it_is_shown_to_be_harmless() -> None:
    world = World(1, Settings(bound=0.05, shadow_share=0.1))
    for _ in range(400):
        world.ask()
    partition = world.partition
    partition.enter("ticket", sketch("cancel my order 17"), 0.5)
    near = [Neighbour("ticket", 0.99)]
    assert partition.decide(sketch("cancel my order 17"), near, 0.99).reason in ("served", "unsure")
    reasons = {partition.decide(sketch("cancel my order 18"), near, 0.99).reason for _ in range(5)}
    assert reasons <= {"numbers", "unsure"}


ANSWERS = 24


def guarded(partition: Partition, answer: int) -> Decision:
    """A question that but for its number has an answer in the cache."""
    question = sketch(f"{TOPICS[answer % len(TOPICS)]} 18")
    return partition.decide(question, [Neighbour(f"ticket {answer}", 0.99)], 0.99)


def tell(partition: Partition, decision: Decision, correct: bool) -> None:
    assert decision.evidence is not None
    partition.learn(Verified(decision.evidence, correct, entered="" if decision.serve else "not kept"))


@pytest.fixture
def numbered() -> Partition:
    """A partition that is sure of what is near, with answers to questions that have a number."""
    world = World(1, Settings(bound=0.05, shadow_share=0.1))
    for _ in range(500):
        world.ask()
    for answer in range(ANSWERS):
        world.partition.enter(f"ticket {answer}", sketch(f"{TOPICS[answer % len(TOPICS)]} 17"), 0.5)
    return world.partition


def test_a_guard_is_lifted_by_many_answers_and_comes_back(numbered: Partition) -> None:
    for number in range(2 * ANSWERS):
        decision = guarded(numbered, number % ANSWERS)
        if not decision.serve:
            assert decision.reason == "numbers"
            tell(numbered, decision, True)
    assert guarded(numbered, 0).serve
    wrong = 0
    while guarded(numbered, wrong).serve:
        tell(numbered, guarded(numbered, wrong), False)
        wrong += 1
    assert wrong <= 6 and guarded(numbered, wrong).reason in ("numbers", "unsure")


def test_who_repeats_one_question_lifts_no_guard_for_the_others(numbered: Partition) -> None:
    """A poisoner has one answer compared again and again that does not depend on its number."""
    for number in range(300):
        decision = guarded(numbered, number % 3)
        assert decision.reason == "numbers"
        tell(numbered, decision, True)
    assert guarded(numbered, 5).reason == "numbers"


def test_the_same_calls_make_the_same_decisions() -> None:
    first, second = World(3, Settings(bound=0.05)), World(3, Settings(bound=0.05))
    for _ in range(150):
        assert first.ask() == second.ask()


def test_what_has_left_is_passed_over() -> None:
    partition = Partition(Settings())
    assert partition.decide(sketch("hello"), [], 0.5).reason == "nothing_near"
    partition.enter("a", sketch("how do I cancel"), 0.0)
    partition.enter("b", sketch("how do I cancel it"), 0.9)
    decision = partition.decide(sketch("how do I cancel"), [Neighbour("a", 0.99), Neighbour("b", 0.98)], 0.5)
    assert decision.reason == "unsure" and decision.verify and 0.0 <= decision.lower <= decision.probability <= 1.0
    assert decision.evidence is not None and len(decision.evidence.features) == len(FEATURES)
    partition.learn(Verified(decision.evidence, True, entered="b"))
    partition.forget("a")
    partition.learn(Verified(decision.evidence, True, entered="gone"))  # an outcome that comes late harms nothing
    assert len(partition) == 1
    partition.forget("b")
    assert partition.decide(sketch("how do I cancel"), [Neighbour("a", 0.99)], 0.5).reason == "nothing_near"


def test_the_boundary_finds_the_weights_of_a_logistic_world() -> None:
    found = []
    for seed in range(5):
        chance, boundary = random.Random(seed), Boundary([0.0, 0.0], [2.0, 2.0])
        before = boundary.belief((1.0, 1.0))
        for _ in range(2_000):
            value = chance.gauss(0.0, 1.5)
            boundary.learn((1.0, value), chance.random() < sigmoid(-1.0 + 2.0 * value))
        after = boundary.belief((1.0, 1.0))
        assert after.probability - after.lower < before.probability - before.lower
        found.append(boundary.means)
    assert sum(bias for bias, _ in found) / 5 == pytest.approx(-1.0, abs=0.2)
    assert sum(weight for _, weight in found) / 5 == pytest.approx(2.0, abs=0.2)


def test_what_nobody_would_serve_teaches_little() -> None:
    """The same surprise moves the boundary more where answers are probable."""

    def moved(bias: float) -> float:
        boundary = Boundary([bias], [1.0])
        boundary.learn((1.0,), bias < 0)
        return abs(boundary.means[0] - bias)

    assert moved(1.0) > 4 * moved(-1.0) > 0


def test_rare_words_weigh_more_and_memory_is_bounded() -> None:
    vocabulary = Vocabulary(most_words=100)
    for number in range(300):
        vocabulary.add({"card", f"word{number}"})
    assert vocabulary.weight("card") < 0.05 < 0.7 < vocabulary.weight("word299")
    assert vocabulary.weight("never seen") == 1.0


def test_closeness_grows_towards_identity() -> None:
    assert closeness(0.0) == pytest.approx(0.0, abs=0.03)
    assert closeness(1.0) == pytest.approx(-math.log(0.02))
    assert closeness(0.99) - closeness(0.98) > closeness(0.5) - closeness(0.49)
