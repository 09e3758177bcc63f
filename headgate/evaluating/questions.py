"""Files of questions whose answers are known to be the same or not, read as one stream.

Three shapes, told apart by their rows: clusters of paraphrases (`cluster`, `questions`), questions with an intent
(`text`, `intent`; the intent `oos` is out of scope, so that no answer is right for it), and pairs (`a`, `b`, `dup`),
whose duplicates, and duplicates of duplicates, share an answer.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from headgate.errors import FileInvalid
from headgate.evaluating.rows import read_rows
from headgate.types import Frozen

OUT_OF_SCOPE = "oos"


class Question(Frozen, frozen=True, gc=False):
    """A question, and which answer is right for it: questions with the same `answer` share it, None has none."""

    text: str
    answer: str | None


class Row(Frozen, frozen=True, gc=False):
    """A row of any of the shapes."""

    cluster: int | str | None = None
    questions: tuple[str, ...] = ()
    text: str | None = None
    intent: str | None = None
    a: str | None = None
    b: str | None = None
    dup: int | bool | None = None


def read_questions(path: str) -> list[Question]:
    """All questions of a file, in its order. Raises FileInvalid or MissingExtra."""
    rows = read_rows(path, Row)
    if all(row.cluster is not None and row.questions for row in rows):
        return [Question(text, str(row.cluster)) for row in rows for text in row.questions]
    if all(row.text is not None and row.intent is not None for row in rows):
        return [
            Question(row.text or "", None if row.intent == OUT_OF_SCOPE else row.intent)
            for row in rows
        ]  # fmt: skip
    if all(row.a is not None and row.b is not None and row.dup is not None for row in rows):
        return _of_pairs((row.a or "", row.b or "", bool(row.dup)) for row in rows)
    words = "cluster and questions, or text and intent, or a, b and dup"
    raise FileInvalid(f"{path}: the rows have no shape that is known here. Each needs {words}.")


def shuffled(questions: list[Question], limit: int | None, seed: int) -> list[Question]:
    """The first `limit` questions (None: all) of an order that the seed decides."""
    order = list(questions)
    random.Random(seed).shuffle(order)
    return order[:limit]


def _of_pairs(pairs: Iterable[tuple[str, str, bool]]) -> list[Question]:
    """Each different question once; the answer is named after one question that has it."""
    parent: dict[str, str] = {}

    def root(text: str) -> str:
        while (above := parent.setdefault(text, text)) != text:
            parent[text] = parent[above]
            text = above
        return text

    for first, second, same in pairs:
        ours, theirs = root(first), root(second)
        if same:
            parent[theirs] = ours
    return [Question(text, root(text)) for text in list(parent)]
