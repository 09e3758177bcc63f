"""How a judge is asked which of two answers is better, and what it said. It does not know who gave which."""

from __future__ import annotations

import re
from enum import StrEnum

from headgate.judgements import WeakOutcome

MOST_CHARACTERS = 12_000  # of a question or an answer that a judge is shown
TASK = """\
You compare two answers to the same question. Judge whether they are correct, complete and helpful; length and style \
alone do not count. Answer with one word: A if the first answer is better, B if the second one is, TIE if they are \
about as good."""
_WORD = re.compile(r"\b(TIE|A|B)\b")


class Better(StrEnum):
    """What a judge said."""

    FIRST = "A"
    SECOND = "B"
    TIE = "TIE"


def question(asked: str, first: str, second: str) -> str:
    """What the judge is asked, after `TASK`."""
    texts = [text[:MOST_CHARACTERS] for text in (asked, first, second)]
    return "<question>\n{}\n</question>\n<answer A>\n{}\n</answer A>\n<answer B>\n{}\n</answer B>".format(*texts)


def read(said: str) -> Better | None:
    """The judge's word, the last one if it says more; None if there is none."""
    words = _WORD.findall(said.upper() if len(said) < 40 else said)
    return Better(words[-1]) if words else None


def outcome(better: Better, *, weak_first: bool) -> WeakOutcome:
    """How the weak model's answer did, which stood first or second."""
    if better is Better.TIE:
        return WeakOutcome.TIE
    return WeakOutcome.WIN if (better is Better.FIRST) == weak_first else WeakOutcome.LOSE
