"""How much a word says: learned from the questions of a partition, without anybody's verdict on them."""

from __future__ import annotations

import math
from collections.abc import Iterable

_MOST_WORDS = 20_000
_PRIOR_QUESTIONS = 50.0  # what is assumed before the first question: a word is in one of fifty


class Vocabulary:
    """In how many questions each content word was. Bounded: when it is full, words seen least are forgotten."""

    def __init__(self, most_words: int = _MOST_WORDS) -> None:
        self._most_words = most_words
        self._counts: dict[str, int] = {}
        self._questions = 0

    def add(self, words: Iterable[str]) -> None:
        """Count the different content words of one question."""
        self._questions += 1
        for word in words:
            self._counts[word] = self._counts.get(word, 0) + 1
        if len(self._counts) > self._most_words:
            kept = sorted(self._counts.items(), key=lambda item: -item[1])[: self._most_words * 3 // 4]
            self._counts = dict(kept)

    def weight(self, word: str) -> float:
        """Between 0 (in every question) and 1 (in none): the inverse document frequency, over its greatest value."""
        total = self._questions + _PRIOR_QUESTIONS
        return math.log(total / (self._counts.get(word, 0) + 1.0)) / math.log(total)
