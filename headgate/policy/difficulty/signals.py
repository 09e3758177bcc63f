"""What can be seen of a prompt without understanding it: its kind, and some fifty numbers.

Takes about 30 us for a question, and 200 us for pages, however many.

The numbers are chosen to mean the same in any language that is written with spaces; the words counted are English
ones, so that elsewhere those signals are zero and the embedding has to do.
"""

from __future__ import annotations

import re
from enum import IntEnum
from math import log1p

from headgate.policy.difficulty.lexicon import SIGNS, Sign
from headgate.types import Frozen

HEAD_CHARACTERS, TAIL_CHARACTERS = 1_500, 1_000  # of a long text are looked at; its length is that of the whole
LONG_WORD_LETTERS = 9
FEWEST_OPTIONS = 3
SHORT_CHARACTERS = 160
WORD_PROBLEM_CHARACTERS = 1_500

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")  # of ASCII texts in lower case
_WORD_OF_ANY_SCRIPT = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")
_CAPITAL = re.compile(r"[A-Z]")
_OPTION = re.compile(r"^[ \t]*\(?([A-Ha-h])[.):][ \t]+(.*)$", re.MULTILINE)
_OPERATOR = re.compile(r"[=+*/^<>≤≥∑∫√π×÷]")
_FORMULA = re.compile(r"\\[a-z]+|\$[^$\n]{1,200}\$|[=^]\s?[-(a-z0-9]")
# Substrings, not expressions: to look for one takes a tenth of a microsecond.
_CODE_MARKS = (
    "```", "->", "=>", "==", "()", ";\n", "{\n", "}\n", "\ndef ", "\nclass ", "import ", "#include", "</", "select ",
)  # fmt: skip
_ASKS_A_NUMBER = (
    "how many", "how much", "how long", "how far", "how old", "how fast", "how tall", "how often", "calculate",
    "compute", "solve", "simplify", "find the", "determine", "what is", "what are", "what was", "what percent",
    "what fraction", "in total", "in all",
)  # fmt: skip
_ASKS_AT_LENGTH = (
    "why ", "list ", "how do", "how can", "how to", "how did", "how would", "how should", "give me", "help me",
    "tell me", "act as", "you are",
)  # fmt: skip


class Kind(IntEnum):
    """What sort of prompt: hard means something else in each."""

    CHOICE = 0  # one of several options
    CODE = 1
    MATHS = 2  # word problems and formulas
    SHORT = 3  # a short question about facts
    OPEN = 4  # everything else: writing, explaining, conversation


# In the order of `Signals.values`. A change needs a new `model.FORMAT`: what was trained fits no more.
NAMES = (
    "length", "words", "sentences", "lines", "sentence length", "word length", "long words", "distinct words",
    "numbers", "share of numbers", "digits", "decimals", "operators", "formulas", "code marks", "options",
    "option length", "options with numbers", "question length", "question marks", "capitals", "commas", "brackets",
    "quotes", "dollars", "percents", "blanks", "other scripts", "ends as a question", "turns",
    "question words", "tasks to make", "tasks to explain", "constraints", "conditions", "quantities", "number words",
    "maths words", "code words", "negations", "persons", "articles", "roles",
    "begins with what", "begins with which", "begins with how", "begins with why", "begins with who",
    "begins with an article", "kind",
)  # fmt: skip
_OPENERS = ("what", "which", "how", "why", "who")
_LOGARITHMIC = frozenset(
    (Sign.QUESTION, Sign.CONSTRAINT, Sign.CONDITION, Sign.QUANTITY, Sign.NUMBER, Sign.MATHS, Sign.CODE)
)


class Signals(Frozen, frozen=True, gc=False):
    """The kind of a prompt, and one number for each of `NAMES`."""

    kind: Kind
    values: tuple[float, ...]


def signals_of(text: str, turns: int = 1) -> Signals:
    """The signals of what the user asks; `turns` counts the user's messages in the conversation so far."""
    whole_length = len(text)
    if whole_length > HEAD_CHARACTERS + TAIL_CHARACTERS:
        text = f"{text[:HEAD_CHARACTERS]}\n{text[-TAIL_CHARACTERS:]}"
    lower = text.lower()
    words = (_WORD if lower.isascii() else _WORD_OF_ANY_SCRIPT).findall(lower)
    counts = [0] * len(Sign)
    for word in filter(SIGNS.__contains__, words):
        for sign in SIGNS[word]:
            counts[sign] += 1
    numbers = _NUMBER.findall(text)
    options = _OPTION.findall(text)
    formulas = len(_FORMULA.findall(lower))
    code_marks = sum(map(lower.count, _CODE_MARKS))
    kind = _kind(text, lower, _Counted(counts, len(numbers), _lettered(options), formulas, code_marks))
    count = max(1, len(words))
    lengths = list(map(len, words))
    sentences = max(1, len(_SENTENCE_END.findall(text)))
    first = words[0] if words else ""
    values = (
        log1p(whole_length),
        log1p(len(words)),
        log1p(sentences),
        log1p(text.count("\n")),
        log1p(count / sentences),
        sum(lengths) / count,
        sum(map(LONG_WORD_LETTERS.__le__, lengths)) / count,
        len(set(words)) / count**0.75,  # falls with the length, less than linearly
        log1p(len(numbers)),
        len(numbers) / count,
        float(max(map(len, numbers), default=0)),
        log1p(sum("." in number for number in numbers)),
        log1p(len(_OPERATOR.findall(text))),
        log1p(formulas),
        log1p(code_marks),
        *_option_values(text, options),
        float(text.count("?")),
        len(_CAPITAL.findall(text)) / count,
        text.count(",") / count,
        text.count("(") / count,
        log1p(text.count('"') + text.count("“")),
        log1p(text.count("$")),
        log1p(text.count("%")),
        float("__" in text),
        _other_scripts(text),
        float(text.rstrip().endswith("?")),
        log1p(turns),
        *_sign_values(counts, count),
        *(float(first == opener) for opener in _OPENERS),
        float(first in ("the", "a", "an")),
        float(kind),
    )  # fmt: skip
    return Signals(kind, values)


class _Counted(Frozen, frozen=True, gc=False):
    signs: list[int]
    numbers: int
    options: int
    formulas: int
    code_marks: int


def _kind(text: str, lower: str, counted: _Counted) -> Kind:
    signs = counted.signs
    if counted.options >= FEWEST_OPTIONS:
        return Kind.CHOICE
    if "```" in text or counted.code_marks + signs[Sign.CODE] >= 2:
        return Kind.CODE
    numbers = counted.numbers + signs[Sign.NUMBER]
    if counted.formulas >= 2 or (numbers >= 2 and len(text) < WORD_PROBLEM_CHARACTERS and _has(lower, _ASKS_A_NUMBER)):
        return Kind.MATHS
    at_length = signs[Sign.MAKING] + signs[Sign.EXPLAINING] > 0 or _has(lower, _ASKS_AT_LENGTH)
    return Kind.OPEN if at_length or len(text) >= SHORT_CHARACTERS else Kind.SHORT


def _has(text: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in text for phrase in phrases)


def _lettered(options: list[tuple[str, str]]) -> int:
    """How many options there are, if they begin with A and B: initials of names are none."""
    letters = {letter.upper() for letter, _ in options}
    return len(options) if {"A", "B"} <= letters else 0


def _option_values(text: str, options: list[tuple[str, str]]) -> tuple[float, float, float, float]:
    """How many, how long, how many with numbers, and how long the question before them is."""
    if not options:
        return 0.0, 0.0, 0.0, log1p(len(text))
    lengths = [len(option) for _, option in options]
    first = _OPTION.search(text)
    with_numbers = sum(any(map(str.isdigit, option)) for _, option in options)
    asked = first.start() if first is not None else len(text)
    return float(min(len(options), 8)), log1p(sum(lengths) / len(lengths)), float(min(with_numbers, 8)), log1p(asked)


def _sign_values(counts: list[int], words: int) -> list[float]:
    """Signs of a task by how many there are, the others by their share of the words."""
    return [
        log1p(count) if sign in _LOGARITHMIC else float(count > 0) if sign in _PRESENT else count / words
        for sign, count in enumerate(counts)
    ]


_PRESENT = frozenset((Sign.MAKING, Sign.EXPLAINING, Sign.ROLE, Sign.NEGATION))


def _other_scripts(text: str) -> float:
    """The share of characters beyond ASCII: another language, or symbols."""
    return 0.0 if text.isascii() else sum(character > "\x7f" for character in text) / len(text)
