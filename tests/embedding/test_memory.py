"""The memory of recent texts, and how much of a text counts."""

from __future__ import annotations

from headgate.embedding import prepared
from headgate.embedding.memory import MOST_CHARACTERS, RecentVectors, readable


def test_what_was_unused_for_longest_is_forgotten() -> None:
    memory = RecentVectors(most_texts=2)
    memory.put("a", b"1")
    memory.put("b", b"2")
    assert memory.get("a") == b"1"
    memory.put("c", b"3")
    assert (memory.get("a"), memory.get("b"), memory.get("c")) == (b"1", None, b"3")


def test_long_texts_are_not_remembered() -> None:
    memory = RecentVectors()
    memory.put("x" * (MOST_CHARACTERS + 1), b"1")
    assert memory.get("x" * (MOST_CHARACTERS + 1)) is None


def test_half_a_pair_can_be_written_and_a_book_is_cut() -> None:
    assert readable("half a \ud83d pair") == "half a ? pair"
    assert len(readable("x" * 1_000_000)) == prepared.MAX_CHARACTERS
