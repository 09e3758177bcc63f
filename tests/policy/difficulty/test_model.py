"""The difficulty model: what a score is made of, and files that are no models."""

from __future__ import annotations

import struct
from math import exp

import msgspec
import pytest

from headgate.policy.difficulty.model import FORMAT, Difficulty, Head, Part, Tree, Weights
from headgate.policy.difficulty.signals import NAMES, Kind, Signals, signals_of

LENGTH = NAMES.index("length")
SHORT, LONG = signals_of("Hi"), signals_of("Hi " * 200)


def part(signals: dict[int, float], embedding: tuple[float, ...] = (), trees: tuple[Tree, ...] = ()) -> Part:
    weights = tuple(signals.get(number, 0.0) for number in range(len(NAMES)))
    head = Head(intercept=0.5, signals=weights, embedding=embedding, usual=0.25 if embedding else 0.0, trees=trees)
    return Part((head,) * len(Kind), 0.1, 0.5, 1.0, -3.0, (-1.0, 0.0, 1.0, 2.0))


def model(plain: Part, embedded: Part | None = None) -> Weights:
    count = len(NAMES)
    return Weights(FORMAT, {"here": 7}, "", "test", 2, (4.0,) * count, (2.0,) * count, embedded, plain)


def vector(*coordinates: float) -> bytes:
    return struct.pack(f"<{len(coordinates)}f", *coordinates)


def test_a_score_is_a_sum() -> None:
    difficulty = Difficulty(model(part({LENGTH: 0.5}), part({}, (1.0, -1.0))))
    total = 0.5 + 0.5 * (SHORT.values[LENGTH] - 4) / 2
    score = difficulty.score(SHORT)
    assert score.probability == pytest.approx(1 / (1 + exp(-1 + 3 * total)))
    assert score.expected_loss == pytest.approx(0.1 + 0.5 * total)
    assert not score.embedded
    with_vector = difficulty.score(SHORT, vector(0.75, 0.25))
    assert with_vector.expected_loss == pytest.approx(0.1 + 0.5 * (0.5 + 0.75 - 0.25 - 0.25))
    assert with_vector.embedded


def test_harder_means_less_likely_and_harder_than_more() -> None:
    difficulty = Difficulty(model(part({LENGTH: 0.5})))
    easy, hard = difficulty.score(SHORT), difficulty.score(LONG)
    assert easy.probability > hard.probability
    assert easy.expected_loss < hard.expected_loss
    assert easy.easier_than > hard.easier_than


def test_far_from_all_examples_is_not_extrapolated() -> None:
    difficulty = Difficulty(model(part({LENGTH: 0.01})))
    far = Signals(Kind.OPEN, tuple(1e9 for _ in NAMES))
    assert difficulty.score(far).expected_loss == pytest.approx(0.1 + 0.5 * (0.5 + 0.01 * 3))


def test_trees_ask_twice() -> None:
    other = LENGTH + 1
    tree = Tree((LENGTH, other, other), (3.0, 0.9, 0.9), (0.01, 0.02, 0.04, 0.08))
    difficulty = Difficulty(model(part({}, trees=(tree,))))

    def leaf(length: float, words: float) -> float:
        values = [0.0] * len(NAMES)
        values[LENGTH], values[other] = length, words
        return (difficulty.score(Signals(Kind.OPEN, tuple(values))).expected_loss - 0.1) / 0.5 - 0.5

    assert [leaf(3, 0), leaf(3, 1), leaf(4, 0), leaf(4, 1)] == pytest.approx([0.01, 0.02, 0.04, 0.08])


def test_a_vector_of_another_length_is_not_used() -> None:
    difficulty = Difficulty(model(part({}), part({}, (1.0, -1.0))))
    assert not difficulty.score(SHORT, vector(1, 2, 3)).embedded
    assert not Difficulty(model(part({}))).score(SHORT, vector(1, 2)).embedded


def test_reasons_name_what_moved_it_most() -> None:
    difficulty = Difficulty(model(part({LENGTH: 1.0}), part({LENGTH: 0.01}, (5.0, 0.0))))
    assert difficulty.score(LONG).reasons == ("kind: open", "- length")
    assert difficulty.score(SHORT).reasons == ("kind: short", "+ length")
    assert difficulty.score(SHORT, vector(1, 0)).reasons[1] == "- meaning"


def test_what_is_written_is_read() -> None:
    weights = model(part({LENGTH: 0.5}))
    assert Difficulty.decode(msgspec.json.encode(weights)).weights == weights


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no difficulty model"),
        (b"[]", "no difficulty model"),
        (msgspec.json.encode(msgspec.structs.replace(model(part({})), format=99)), "format 99"),
        (msgspec.json.encode(msgspec.structs.replace(model(part({})), means=(1.0,))), "each of the"),
        (msgspec.json.encode(msgspec.structs.replace(model(part({})), deviations=(0.0,) * len(NAMES))), "each of the"),
        (msgspec.json.encode(model(part({}, (1.0,)))), "do not belong together"),
        (
            msgspec.json.encode(model(part({}, trees=(Tree((0, 1, len(NAMES)), (0, 0, 0), (0, 0, 0, 0)),)))),
            "do not belong together",
        ),
    ],
)
def test_a_file_that_is_no_model(content: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Difficulty.decode(content)
