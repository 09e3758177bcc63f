"""The ports of look-ups by meaning, which are made in memory and kept in step between replicas. More of `ports.py`."""

from __future__ import annotations

from typing import Protocol

from headgate.cache_types import Neighbour
from headgate.ports import Vector


class VectorIndex(Protocol):
    """Entries by their vectors, in partitions that know nothing of each other. In memory and synchronous: no look-up
    waits for a network, and every call is short enough for the event loop."""

    def add(self, partition: str, key: str, vector: Vector) -> None:
        """Enter a vector, in the place of the key's earlier one. Raises ValueError if it has another length."""

    def remove(self, partition: str, key: str) -> None:
        """Forget an entry, if it is there."""

    def drop(self, partition: str) -> None:
        """Forget a partition, if it is there."""

    def search(self, partition: str, vector: Vector, most: int) -> list[Neighbour]:
        """The entries of a partition that are nearest to a vector, the nearest first, at most so many."""

    def entries(self, partition: str | None = None) -> int:
        """How many there are, in a partition or altogether."""

    def size_bytes(self) -> int:
        """What vectors and index take, near enough."""


class EntryLog(Protocol):
    """What replicas tell each other of entries they look up in memory: notes in one order, the same for all.

    Every note reaches the function that the adapter was made with, in this process as in the others, also notes that
    were written before it was there, as many as are kept. While a store is away notes reach this process alone.
    """

    healthy: bool  # whether others are reached
    is_current: bool  # whether what is heard now is new; else it was written before this process was there

    def write(self, note: bytes) -> None:
        """Tell all. Never raises and never waits."""

    async def aclose(self) -> None:
        """Tell and hear nothing any more. May be repeated."""
