"""Vectors of the texts that came last: people ask the same within minutes."""

from __future__ import annotations

from collections import OrderedDict

from headgate.embedding import prepared
from headgate.ports import Vector

MOST_TEXTS = 1024  # 2 MB at 384 dimensions
MOST_CHARACTERS = 1_000  # longer texts are not remembered


class RecentVectors:
    """A bounded memory; what was unused for longest is forgotten first."""

    def __init__(self, most_texts: int = MOST_TEXTS) -> None:
        self._most_texts = most_texts
        self._vectors: OrderedDict[str, Vector] = OrderedDict()

    def get(self, text: str) -> Vector | None:
        vector = self._vectors.get(text)
        if vector is not None:
            self._vectors.move_to_end(text)
        return vector

    def put(self, text: str, vector: Vector) -> None:
        if len(text) <= MOST_CHARACTERS:
            self._vectors[text] = vector
            if len(self._vectors) > self._most_texts:
                self._vectors.popitem(last=False)


def readable(text: str) -> str:
    """As much of a text as is looked at, with a question mark for half a surrogate pair."""
    return text[: prepared.MAX_CHARACTERS].encode("utf-8", "replace").decode()
