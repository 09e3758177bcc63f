"""The cut: that the hits together keep the bound, in long streams and short ones, however sure the boundary is."""

from __future__ import annotations

import random

from headgate.policy.semantic.boundary import sigmoid
from headgate.policy.semantic.confidence import wilson
from headgate.policy.semantic.controller import NEVER, Controller, Outcome
from headgate.policy.semantic.partition import Settings

CAUTION = Settings().caution
BOUND, SHADOW_SHARE = 0.05, 0.05
LENGTHS = (400,) * 10 + (1_000,) * 7 + (2_500,) * 3  # questions of a stream


class World:
    """Candidates whose score is too sure by so many logits, and of which a share is wrong whatever its score says."""

    def __init__(self, seed: int, too_sure: float, noise: float) -> None:
        self.chance = random.Random(seed)
        self.too_sure = too_sure
        self.noise = noise

    def score(self) -> float:
        return self.chance.gauss(1.0, 2.5)

    def doubt(self, score: float) -> float:
        """The true probability that an answer with this score is wrong."""
        return 1.0 - (1.0 - self.noise) * sigmoid(score - self.too_sure)

    def right(self, score: float) -> bool:
        return self.chance.random() >= self.doubt(score)


def stream(world: World, questions: int) -> tuple[int, int]:
    """Hits and false hits of a stream: what is served is seldom verified, what is not always."""
    controller, hits, false = Controller(BOUND, CAUTION), 0, 0
    for _ in range(questions):
        score = world.score()
        right = world.right(score)
        if score < controller.cut:
            controller.observe(Outcome(score, right, 1.0))
            continue
        hits, false = hits + 1, false + (not right)
        if world.chance.random() < SHADOW_SHARE:
            controller.observe(Outcome(score, right, 1.0 / SHADOW_SHARE))
    return hits, false


def test_the_realised_share_of_false_hits_keeps_the_bound() -> None:
    """Over 200 streams of four worlds. Tolerance: a tenth of the bound for all hits of a world together, and one stream
    in twenty whose share is above the bound by more than chance explains (Wilson, 95 %)."""
    broken = streams = 0
    for too_sure, noise in ((0.0, 0.0), (0.7, 0.0), (0.0, 0.02), (0.5, 0.02)):
        total = totally_false = 0
        for seed in range(50):
            hits, false = stream(World(seed, too_sure, noise), LENGTHS[seed % len(LENGTHS)])
            total, totally_false = total + hits, totally_false + false
            broken += wilson(false, hits).low > BOUND
            streams += 1
        assert totally_false <= 1.1 * BOUND * total, (too_sure, noise)
        assert total > 2_000, "it keeps the bound by serving, not by refusing"
    assert streams == 200 and broken <= 10


def of_one_world(too_sure: float) -> tuple[float, float]:
    """What a controller that has seen everything serves wrongly, and its lowest cut, over several worlds."""
    shares, cuts = [], []
    for seed in range(8):
        world, controller = World(seed, too_sure, 0.0), Controller(BOUND, CAUTION)
        assert controller.cut == NEVER
        scores = [world.score() for _ in range(3_000)]
        for score in scores:
            controller.observe(Outcome(score, world.right(score), 1.0))
        doubts = [world.doubt(score) for score in scores if score >= controller.cut]
        shares.append(sum(doubts) / len(doubts))
        cuts.append(controller.cut)
    return sum(shares) / len(shares), min(cuts)


def test_the_cut_is_where_the_hits_together_keep_the_bound() -> None:
    share, cut = of_one_world(too_sure=0.0)
    assert 0.03 < share <= BOUND
    assert sigmoid(cut) < 0.95, "the least certain hit is less certain than the bound on all of them"


def test_a_boundary_that_is_too_sure_is_held_back() -> None:
    """Every score is a logit too high: the controller sees more false answers than it was promised."""
    share, _ = of_one_world(too_sure=1.0)
    assert 0.03 < share <= BOUND


def test_a_young_boundary_is_trusted_less() -> None:
    """The same outcomes, again and again: what they allow grows with their number alone."""
    chance, controller, cuts = random.Random(3), Controller(BOUND, CAUTION), []
    scores = [chance.gauss(1.0, 2.5) for _ in range(500)]
    outcomes = [Outcome(score, chance.random() < sigmoid(score), 1.0) for score in scores]
    for _ in range(6):
        for outcome in outcomes:
            controller.observe(outcome)
        cuts.append(controller.cut)
    assert cuts[0] > cuts[1] > cuts[5]
