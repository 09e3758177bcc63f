"""Training: each part finds what is there, and the file says the same as what was fitted."""

from __future__ import annotations

import numpy as np
import pytest

from headgate.judgements import Judgement, WeakOutcome
from headgate.policy.difficulty.model import Difficulty
from headgate.policy.difficulty.signals import signals_of
from headgate.training import boosting, linear
from headgate.training.examples import Examples, examples_of
from headgate.training.exporting import encode, train
from headgate.training.marks import marks_of, seen
from headgate.training.recipe import centred, fit, folds_of, source_weights

LOSE, TIE, WIN = WeakOutcome.LOSE, WeakOutcome.TIE, WeakOutcome.WIN


def judgement(prompt: str, outcome: WeakOutcome, source: str = "s") -> Judgement:
    return Judgement(prompt, "small", "large", outcome, source)


def examples(count: int = 400) -> Examples:
    """Long prompts are lost, except the questions about one topic, which only the vector shows."""
    chance = np.random.default_rng(1)
    lengths, topics = chance.integers(1, 100, count), chance.integers(0, 2, count)
    rows = [
        judgement(f"Tell me about {number} {'more ' * int(length)}", LOSE if length > 50 and topic else TIE)
        for number, (length, topic) in enumerate(zip(lengths, topics, strict=True))
    ]
    plain = examples_of(rows)
    vectors = np.column_stack([topics, 1 - topics, chance.normal(size=(count, 2)) / 4]).astype("<f4")
    return Examples(plain.texts, plain.sources, plain.kinds, plain.signals, plain.losses, vectors)


@pytest.fixture(scope="module")
def trained() -> Difficulty:
    return Difficulty.decode(encode(train(examples(), "test", 4)))


def test_a_prompt_judged_often_is_one_example_in_each_source() -> None:
    rows = [judgement("a", LOSE), judgement("a", TIE), judgement("a", WIN, "t"), judgement("b", WIN)]
    few = examples_of(rows)
    assert list(zip(few.sources, few.texts, few.losses, strict=True)) == [
        ("s", "a", 0.5),
        ("t", "a", -1),
        ("s", "b", -1),
    ]
    assert few.counts() == {"s": 2, "t": 1}
    followed = Judgement("a", "small", "large", LOSE, "s", followup="And now?")
    assert examples_of([followed]).texts == ["a\n\nAnd now?"]


def test_sources_are_compared_within_themselves_and_count_by_the_root_of_their_size() -> None:
    rows = [judgement(f"a{number}", LOSE) for number in range(16)] + [judgement(f"b{n}", WIN, "t") for n in range(4)]
    few = examples_of(rows)
    assert centred(few) == pytest.approx(np.zeros(20))
    weights = source_weights(few)
    assert weights[:16].sum() == pytest.approx(2 * weights[16:].sum())


def test_a_prompt_is_in_the_same_fold_in_every_source() -> None:
    few = examples_of([judgement(f"p{n}", LOSE, source) for source in "st" for n in range(50)])
    folds = folds_of(few)
    assert folds[:50].tolist() == folds[50:].tolist()
    assert set(folds.tolist()) == set(range(5))


def test_ridge_regression_is_exact() -> None:
    """Compared with one large system of equations, of the shared weights and of each kind's own."""
    chance = np.random.default_rng(2)
    columns, losses, weights = chance.normal(size=(60, 3)), chance.normal(size=60), chance.uniform(0.5, 2, 60)
    kinds = chance.integers(0, 2, 60)
    found = linear.fit(columns, losses, weights, kinds, penalty=5.0, count=3)
    wide = np.hstack([columns, np.full((60, 1), linear.CONSTANT)])
    all_columns = np.hstack([linear.SHARED * wide, *(wide * (kinds == kind)[:, None] for kind in range(3))])
    system = all_columns.T @ (all_columns * weights[:, None]) + 5.0 * np.eye(all_columns.shape[1])
    solved = np.linalg.solve(system, all_columns.T @ (losses * weights)).reshape(4, 4)
    expected = solved[1:] + linear.SHARED * solved[0]
    expected[:, -1] *= linear.CONSTANT
    assert found == pytest.approx(expected)


def test_trees_find_what_is_no_line() -> None:
    chance = np.random.default_rng(3)
    signals = chance.uniform(size=(2_000, 4))
    losses = ((signals[:, 0] > 0.5) != (signals[:, 2] > 0.3)).astype(float)
    trees = boosting.fit(signals, losses, np.ones(2_000), boosting.Settings(trees=60, share=1.0, rate=0.1))
    assert np.corrcoef(boosting.predict(trees, signals), losses)[0, 1] > 0.9


def test_the_file_says_what_was_fitted(trained: Difficulty) -> None:
    many = examples()
    assert many.vectors is not None
    fitted = fit(many)
    scores = [
        trained.score(signals_of(text), vector.tobytes()) for text, vector in zip(many.texts, many.vectors, strict=True)
    ]
    losses = np.array([score.expected_loss for score in scores])
    assert np.corrcoef(losses, fitted.sums(many))[0, 1] > 0.9999
    assert all(score.embedded for score in scores)


def test_a_model_is_better_with_what_vectors_show_and_says_what_it_means(trained: Difficulty) -> None:
    many = examples()
    assert many.vectors is not None
    lost = many.losses > 0
    both = [
        (trained.score(signals_of(text), vector.tobytes()), trained.score(signals_of(text)))
        for text, vector in zip(many.texts, many.vectors, strict=True)
    ]
    with_vector, without = (np.array([pair[place].probability for pair in both]) for place in (0, 1))
    assert with_vector[~lost].mean() - with_vector[lost].mean() > without[~lost].mean() - without[lost].mean() > 0.1
    assert with_vector.mean() == pytest.approx(1 - lost.mean(), abs=0.05)
    assert np.mean([pair[0].easier_than for pair in both]) == pytest.approx(0.5, abs=0.05)


def test_marks_tell_what_was_seen() -> None:
    marks = marks_of(["a", "b", "a"])
    assert seen(marks, ["a", "b", "c"]).tolist() == [True, True, False]
    assert seen("", ["a"]).tolist() == [False]
