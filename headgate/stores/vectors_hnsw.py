"""The vector index for large partitions: beyond 20,000 entries a graph of neighbours (HNSW, Malkov and Yashunin 2016).

Up to there a partition is a table that is searched exactly. A larger one moves into a graph a few entries at a time, so
that no single call is long; meanwhile both are searched. In the graph a coordinate has 2 bytes (an error of about 1e-4
in a product of two vectors), and an entry 1.0 kB at 384 dimensions with its links, besides 500 bytes for its key.

Imports numpy and usearch: raises MissingExtra without them.
"""

from __future__ import annotations

import numpy as np

from headgate.cache_types import Neighbour
from headgate.errors import MissingExtra
from headgate.ports import Vector
from headgate.stores.vectors_exact import ENTRY_BYTES, PARTITION_BYTES, ExactIndex, Row, Rows, read

try:
    from usearch.index import Index
except ImportError as error:
    raise MissingExtra("Looking up vectors needs usearch. Install headgate[embeddings].") from error

EXACT_ENTRIES = 20_000
MOVED_AT_ONCE = 2  # with every entry that is added
LINKS = 16
WIDTH = 64  # candidates that are kept in mind while searching, and while adding


class HnswIndex:
    """Implements `vector_ports.VectorIndex`."""

    def __init__(self, dimensions: int, exact_entries: int = EXACT_ENTRIES) -> None:
        """A partition is searched exactly up to `exact_entries`."""
        self._dimensions = dimensions
        self._exact_entries = exact_entries
        self._small = ExactIndex(dimensions)
        self._large: dict[str, _Graph] = {}

    def add(self, partition: str, key: str, vector: Vector) -> None:
        """As `vector_ports.VectorIndex`."""
        graph = self._large.get(partition)
        if graph is None and self._small.entries(partition) < self._exact_entries:
            self._small.add(partition, key, vector)
            return
        row = read(vector, self._dimensions)
        if graph is None:
            graph = self._large[partition] = _Graph(self._dimensions, self._small.detach(partition))
        graph.add(key, row)

    def remove(self, partition: str, key: str) -> None:
        """As `vector_ports.VectorIndex`."""
        graph = self._large.get(partition)
        if graph is None:
            self._small.remove(partition, key)
        else:
            graph.remove(key)
            if not len(graph):
                del self._large[partition]

    def drop(self, partition: str) -> None:
        """As `vector_ports.VectorIndex`."""
        self._small.drop(partition)
        self._large.pop(partition, None)

    def search(self, partition: str, vector: Vector, most: int) -> list[Neighbour]:
        """As `vector_ports.VectorIndex`; of a large partition nearly always the nearest."""
        graph = self._large.get(partition)
        if graph is None:
            return self._small.search(partition, vector, most)
        return graph.search(read(vector, self._dimensions), most)

    def entries(self, partition: str | None = None) -> int:
        """As `vector_ports.VectorIndex`."""
        if partition is None:
            return self._small.entries() + sum(map(len, self._large.values()))
        return len(self._large[partition]) if partition in self._large else self._small.entries(partition)

    def size_bytes(self) -> int:
        """As `vector_ports.VectorIndex`."""
        return self._small.size_bytes() + sum(graph.size_bytes for graph in self._large.values())


class _Graph:
    """The vectors of a large partition, and what is left of its table."""

    def __init__(self, dimensions: int, rows: Rows) -> None:
        self._rows = rows
        self._index = Index(
            ndim=dimensions,
            metric="ip",
            dtype="f16",
            connectivity=LINKS,
            expansion_add=WIDTH,
            expansion_search=WIDTH,
        )
        self._keys: dict[int, str] = {}  # by the number that the graph knows them by
        self._numbers: dict[str, int] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._rows) + len(self._keys)

    @property
    def size_bytes(self) -> int:
        known = 2 * ENTRY_BYTES * len(self._keys)
        return PARTITION_BYTES + self._rows.size_bytes + self._index.memory_usage + known

    def add(self, key: str, row: Row) -> None:
        self.remove(key)
        self._link(key, row)
        for _ in range(min(MOVED_AT_ONCE, len(self._rows))):
            self._link(*self._rows.take())

    def remove(self, key: str) -> None:
        number = self._numbers.pop(key, None)
        if number is None:
            self._rows.remove(key)
        else:
            del self._keys[number]
            self._index.remove(number)

    def search(self, row: Row, most: int) -> list[Neighbour]:
        found = self._rows.search(row, most)
        if most > 0 and self._keys:
            matches = self._index.search(row, min(most, len(self._keys)), threads=1)
            pairs = zip(matches.keys.tolist(), matches.distances.tolist(), strict=True)
            found += [Neighbour(self._keys[number], 1 - distance) for number, distance in pairs if number in self._keys]
            found.sort(key=lambda one: -one.similarity)
        return found[:most]

    def _link(self, key: str, row: Row) -> None:
        number, self._next = self._next, self._next + 1
        self._keys[number] = key
        self._numbers[key] = number
        self._index.add(number, np.ascontiguousarray(row), threads=1)
