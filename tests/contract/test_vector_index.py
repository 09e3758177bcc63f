"""What every vector index does, and that one which does not look at everything finds the same."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings

from headgate.ports import Vector
from headgate.stores.vectors_exact import ExactIndex
from headgate.stores.vectors_hnsw import HnswIndex
from headgate.vector_ports import VectorIndex

DIMENSIONS = 16
INDEXES = {
    "ExactIndex": lambda: ExactIndex(DIMENSIONS),
    "HnswIndex": lambda: HnswIndex(DIMENSIONS, exact_entries=0),
    "HnswIndex, moving": lambda: HnswIndex(DIMENSIONS, exact_entries=8),
    "HnswIndex, exact": lambda: HnswIndex(DIMENSIONS),
}
Make = Callable[[], VectorIndex]


@pytest.fixture(params=INDEXES.values(), ids=INDEXES.keys())
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


def unit(seed: int, dimensions: int = DIMENSIONS) -> npt.NDArray[np.float32]:
    numbers = np.random.default_rng(seed).standard_normal(dimensions).astype(np.float32)
    row: npt.NDArray[np.float32] = numbers / np.linalg.norm(numbers)
    return row


def vector(seed: int) -> Vector:
    return unit(seed).tobytes()


def test_the_nearest_come_first_with_their_similarity(make: Make) -> None:
    index = make()
    for seed in range(40):
        index.add("p", f"key {seed}", vector(seed))
    found = index.search("p", vector(7), 5)
    assert found[0].key == "key 7"
    assert found[0].similarity == pytest.approx(1, abs=1e-3)
    expected = sorted(((float(unit(seed) @ unit(7)), f"key {seed}") for seed in range(40)), reverse=True)[:5]
    assert [one.key for one in found] == [key for _, key in expected]
    assert [one.similarity for one in found] == pytest.approx([near for near, _ in expected], abs=1e-3)
    assert len(index.search("p", vector(7), 100)) == 40
    assert index.search("p", vector(7), 0) == []


def test_partitions_know_nothing_of_each_other(make: Make) -> None:
    index = make()
    for seed in range(30):
        index.add(f"partition {seed % 3}", "same key", vector(seed))
        index.add(f"partition {seed % 3}", f"key {seed}", vector(seed))
    for number in range(3):
        keys = {one.key for one in index.search(f"partition {number}", vector(0), 99)}
        assert keys == {"same key", *(f"key {seed}" for seed in range(number, 30, 3))}
    index.drop("partition 0")
    index.drop("nobody's")
    assert (index.entries("partition 0"), index.entries("partition 1"), index.entries()) == (0, 11, 22)
    assert index.search("partition 0", vector(0), 9) == []
    assert index.search("nobody's", vector(0), 9) == []


def test_what_is_removed_is_never_found_again(make: Make) -> None:
    index = make()
    for seed in range(50):
        index.add("p", f"key {seed}", vector(seed))
    for seed in range(0, 50, 2):
        index.remove("p", f"key {seed}")
        index.remove("p", f"key {seed}")
    index.remove("nobody's", "key 1")
    assert index.entries() == index.entries("p") == 25
    for seed in range(0, 50, 2):
        assert {one.key for one in index.search("p", vector(seed), 50)} == {f"key {odd}" for odd in range(1, 50, 2)}
    for seed in range(1, 50, 2):
        index.remove("p", f"key {seed}")
    assert index.entries() == 0
    assert index.search("p", vector(1), 5) == []
    assert index.size_bytes() <= make().size_bytes() + 5_000


def test_the_same_key_again_replaces(make: Make) -> None:
    index = make()
    for round_ in range(3):
        for seed in range(20):
            index.add("p", f"key {seed}", vector(100 * round_ + seed))
    assert index.entries("p") == 20
    found = index.search("p", vector(205), 20)
    assert 18 <= len({one.key for one in found}) == len(found) <= 20, "a graph may miss a far one"
    assert found[0].key == "key 5"
    assert found[0].similarity == pytest.approx(1, abs=1e-3)


def test_a_vector_of_another_length_is_refused(make: Make) -> None:
    index = make()
    index.add("p", "key", vector(1))
    for wrong in (unit(1, DIMENSIONS + 1).tobytes(), b"", b"abc"):
        with pytest.raises(ValueError, match=r"dimensions|buffer"):
            index.add("p", "other", wrong)
    assert index.entries() == 1


def test_its_size_grows_with_its_entries(make: Make) -> None:
    index = make()
    sizes = [index.size_bytes()]
    for seed in range(512):
        index.add("p", f"key {seed}", vector(seed))
        if seed in (0, 255, 511):
            sizes.append(index.size_bytes())
    assert sizes == sorted(set(sizes))
    assert sizes[-1] > 512 * DIMENSIONS * 2


COMMANDS = st.lists(
    st.tuples(st.sampled_from(["add", "add", "add", "remove", "search"]), st.integers(0, 1), st.integers(0, 25)),
    max_size=80,
)


@given(COMMANDS)
@settings(max_examples=60)
@pytest.mark.parametrize("name", ["HnswIndex", "HnswIndex, moving"])
def test_whatever_is_done_it_has_no_other_entries(name: str, commands: list[tuple[str, int, int]]) -> None:
    exact, other = ExactIndex(DIMENSIONS), INDEXES[name]()
    for step, (command, partition, seed) in enumerate(commands):
        for index in (exact, other):
            if command == "add":
                index.add(str(partition), f"key {seed}", vector(step))
            elif command == "remove":
                index.remove(str(partition), f"key {seed}")
        assert exact.entries(str(partition)) == other.entries(str(partition))
        if command == "search":
            found = [{one.key for one in index.search(str(partition), vector(seed), 99)} for index in (exact, other)]
            assert found[1] <= found[0], "never what was removed"
            assert len(found[1]) >= 0.7 * len(found[0]), "a graph may miss some"


def test_a_graph_finds_what_an_exact_search_finds() -> None:
    """Families of near texts, as paraphrases are; searched by another member of a family."""
    chance = np.random.default_rng(3)
    families = chance.standard_normal((300, 64)).astype(np.float32)
    rows = families[chance.integers(0, 300, 3_000)] + 0.4 * chance.standard_normal((3_000, 64)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    exact, graph = ExactIndex(64), HnswIndex(64, exact_entries=1_000)
    for number, row in enumerate(rows):
        for index in (exact, graph):
            index.add("p", str(number), row.tobytes())
    asked = families[:200] / np.linalg.norm(families[:200], axis=1, keepdims=True)
    same = [exact.search("p", row.tobytes(), 1)[0].key == graph.search("p", row.tobytes(), 1)[0].key for row in asked]
    assert sum(same) >= 0.97 * len(same)
