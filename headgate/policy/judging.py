"""How a judge is asked which of two answers is better, and what it said. It does not know who gave which. And how a
model is asked whether one answer will do."""

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
_COMPARED = re.compile(r"\b(?:than|over|to|not|and|or)\s+\W*[AB]\W*$", re.IGNORECASE)  # "B is better than A" is no A
_SHORT_CHARACTERS = 40  # of an answer in which an A is no article


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
    """The judge's word, the last one if it says more; None if there is none, or if the last one is what the better
    answer is compared with."""
    words = _WORD.findall(said.upper() if len(said) < _SHORT_CHARACTERS else said)
    if len(set(words)) > 1 and _COMPARED.search(said):
        return None
    return Better(words[-1]) if words else None


def outcome(better: Better, *, weak_first: bool) -> WeakOutcome:
    """How the weak model's answer did, which stood first or second."""
    if better is Better.TIE:
        return WeakOutcome.TIE
    return WeakOutcome.WIN if (better is Better.FIRST) == weak_first else WeakOutcome.LOSE


CHECK_TASK = """\
You check an answer before it is shown. Answer with one word: YES if it answers the question and you see nothing wrong \
in it, NO if it does not answer it, is wrong, or contradicts itself."""
_YES_OR_NO = re.compile(r"\b(YES|NO)\b")


def check(asked: str, answer: str) -> str:
    """What a model is asked after `CHECK_TASK`."""
    return f"<question>\n{asked[:MOST_CHARACTERS]}\n</question>\n<answer>\n{answer[:MOST_CHARACTERS]}\n</answer>"


def read_check(said: str) -> bool | None:
    """Whether the answer will do; None if that was not said."""
    words = _YES_OR_NO.findall(said.upper() if len(said) < _SHORT_CHARACTERS else said)
    return words[-1] == "YES" if words else None
