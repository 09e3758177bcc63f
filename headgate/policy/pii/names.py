"""Names by configuration: of people, customers, projects. Found as whole words, however they are capitalised."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from headgate.policy.pii.findings import Finding, PiiClass
from headgate.types import Frozen

_WORD = re.compile(r"\w+")

Pattern = tuple[str, ...]  # the words of a name, in lower case; one that ends in * may go on


class Names(Frozen, frozen=True):
    """Names by the first word, or by how it begins."""

    by_word: Mapping[str, Sequence[Pattern]] = {}
    by_beginning: Mapping[str, Sequence[Pattern]] = {}
    beginnings: tuple[int, ...] = ()  # their lengths


NO_NAMES = Names()


def read_names(written: Sequence[str]) -> Names:
    """Of names as they are configured: words, each of which may end in `*` for any ending."""
    by_word: dict[str, list[Pattern]] = {}
    by_beginning: dict[str, list[Pattern]] = {}
    for name in written:
        words = tuple(re.findall(r"\w+\*?", name.lower()))
        if words and words[0].endswith("*"):
            by_beginning.setdefault(words[0][:-1], []).append(words)
        elif words:
            by_word.setdefault(words[0], []).append(words)
    return Names(by_word, by_beginning, tuple(sorted({len(beginning) for beginning in by_beginning})))


def find_names(text: str, names: Names) -> Iterator[Finding]:
    """Every occurrence of a name. What is between its words does not matter."""
    if not names.by_word and not names.by_beginning:
        return
    spans = [match.span() for match in _WORD.finditer(text)]
    words = [text[start:end].lower() for start, end in spans]
    for index, word in enumerate(words):
        candidates = [*names.by_word.get(word, ())]
        for length in names.beginnings:
            candidates += names.by_beginning.get(word[:length], ())
        lengths = [len(pattern) for pattern in candidates if _fits(pattern, words, index)]
        if lengths:
            yield Finding(PiiClass.NAME, spans[index][0], spans[index + max(lengths) - 1][1])


def _fits(pattern: Pattern, words: Sequence[str], index: int) -> bool:
    if index + len(pattern) > len(words):
        return False
    return all(
        word.startswith(wanted[:-1]) if wanted.endswith("*") else word == wanted
        for wanted, word in zip(pattern, words[index : index + len(pattern)], strict=True)
    )
