"""What guards need to know of a question: read once, kept with the entry, compared in microseconds.

A sketch holds no sentence: stems, numbers, names and the like, each as a small set or sequence. It can be stored and
sent to other replicas as it is.
"""

from __future__ import annotations

import re

from headgate.policy.semantic.stems import stem
from headgate.policy.semantic.words import (
    ASKING,
    DATE_SHORT,
    DATE_WORDS,
    DIRECTIONS,
    FUNCTION_WORDS,
    LANGUAGES,
    MANNER_NOUNS,
    MEASURES,
    MULTIPLES,
    NEGATIONS,
    NUMBER_WORDS,
    ORDINALS,
    PERIODS,
    REASON_NOUNS,
    RELATIVE,
    SIGNS,
    TIME_NOUNS,
    UNITS,
    YES_OR_NO,
)
from headgate.types import Frozen

_MOST_CHARACTERS = 4_000  # of a question that are looked at
_MOST_TOKENS = 200
_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|[$€£₹¥%]")
_MIXED = re.compile(r"\b(?=\w*\d)(?=\w*[^\W\d_])[\w-]+\b")  # ZX110A, v2, mp3: letters and digits in one word
_CODE = re.compile(
    r"`[^`]+`|\b\w+\([^()]*\)|(?<![\w.])\w++(?:\.\w++)++\(|[{};]|[=!<>]=|::|->|=>|</?\w+>"  # calls, operators, tags
    r"|\b[a-z]+_[a-z_]+\b|\b[a-z]+[A-Z]\w+\b|\b[A-Z]+_[A-Z_]+\b|(?<!\w)--?\w[\w-]*"  # names as code has them, options
)
_IDEOGRAMS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_SCRIPTS = (("greek", "\u0370", "\u03ff"), ("cyrillic", "\u0400", "\u052f"), ("hebrew", "\u0590", "\u05ff"),
            ("arabic", "\u0600", "\u06ff"), ("indic", "\u0900", "\u0dff"), ("thai", "\u0e00", "\u0e7f"),
            ("kana", "\u3040", "\u30ff"), ("han", "\u3400", "\u9fff"), ("hangul", "\uac00", "\ud7af"))  # fmt: skip
_SENTENCE_ENDS = '.?!:\n"“('


class Sketch(Frozen, frozen=True, gc=False):
    """One question, as guards see it. All words are lower case; content words are stems, in the order they were
    said."""

    content: tuple[str, ...]  # what it is about: no function words, no numbers
    function: frozenset[str]  # the function words it has
    numbers: tuple[str, ...]  # sorted, "1,000" and "1000" alike
    units: frozenset[str]
    names: frozenset[str]  # stems of words written as names, and words of letters and digits
    negated: bool
    dates: frozenset[str]
    code: frozenset[str]
    language: str  # a script, or a language's code; "" if it cannot be said
    asking: str  # how it is asked: what, how many, yes or no ...; "" if it cannot be said
    order: tuple[str, ...]  # content words, numbers and units as they follow each other
    directions: frozenset[tuple[str, str]]  # what stands left and right of a word such as "to", "from", "than"
    length: int  # words in all

    @property
    def words(self) -> frozenset[str]:
        """The different content words."""
        return frozenset(self.content)


def sketch(text: str) -> Sketch:
    """Read a question. Takes some tens of microseconds; of a long text the beginning and the end count."""
    if len(text) > _MOST_CHARACTERS:
        text = f"{text[: _MOST_CHARACTERS // 2]} {text[-_MOST_CHARACTERS // 2 :]}"
    reading = _Reading(text)
    for match in _TOKEN.finditer(text):
        reading.take(match)
    words = reading.words
    return Sketch(
        content=tuple(reading.content[:_MOST_TOKENS]),
        function=frozenset(reading.function),
        numbers=tuple(sorted(reading.numbers)),
        units=frozenset(reading.units),
        names=frozenset(reading.names),
        negated=reading.negations % 2 == 1,
        dates=frozenset(reading.dates),
        code=frozenset(_CODE.findall(text)),
        language=_language(text, words),
        asking=_asking(words),
        order=tuple(reading.order[:_MOST_TOKENS]),
        directions=frozenset(reading.directions),
        length=len(words),
    )


class _Reading:
    """What has been found while going through a text once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._shouted = text.isupper()
        self._titled = _is_title(text)
        self._mixed = {match.start(): match.group().lower() for match in _MIXED.finditer(text)}
        self._mixed_until = 0
        self.words: list[str] = []
        self.content: list[str] = []
        self.function: list[str] = []
        self.numbers: list[str] = []
        self.units: list[str] = []
        self.names: list[str] = []
        self.dates: list[str] = []
        self.order: list[str] = []
        self.directions: list[tuple[str, str]] = []
        self.negations = 0
        self._left = ""  # what stood before a direction whose other side is still to come

    def take(self, match: re.Match[str]) -> None:
        if match.start() < self._mixed_until:
            return
        if (mixed := self._mixed.get(match.start())) is not None:
            self._mixed_until = match.start() + len(mixed)
            self._mixed_word(mixed)
            return
        raw = match.group()
        if raw in SIGNS:
            self._unit(SIGNS[raw])
        elif raw[0].isdigit():
            self._number(raw)
        elif _IDEOGRAMS.search(raw):
            for character in raw:
                self._content(character, False)
        else:
            self._word(raw, match.start())

    def _mixed_word(self, word: str) -> None:
        number = re.fullmatch(r"(\d+)([a-z]+)", word)
        if number and (unit := UNITS.get(number.group(2))):  # 10km
            self._number(number.group(1))
            self._unit(unit)
        elif number and (zeros := MULTIPLES.get(number.group(2))):  # 60k
            self._number(number.group(1) + zeros)
        elif number and number.group(2) in ORDINALS:
            self._number(number.group(1))
        else:
            self.words.append(word)
            self._content(word, True)

    def _number(self, raw: str) -> None:
        self.words.append(raw)
        plain = raw.replace(",", "") if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", raw) else raw.replace(",", ".")
        if "." in plain and plain.count(".") == 1:
            plain = plain.rstrip("0").rstrip(".")
        self.numbers.append(plain)
        self._follow(plain)

    def _unit(self, unit: str) -> None:
        self.units.append(unit)
        self._follow(unit)

    def _word(self, raw: str, start: int) -> None:
        word = raw.lower().replace("’", "'")
        word = word[:-2] if word.endswith("'s") else word
        plain = word.replace("'", "")
        self.words.append(plain)
        if plain in DIRECTIONS and self.order:
            self._left = self.order[-1]
        if plain in NEGATIONS:
            self.negations += len(self.words) < 2 or self.words[-2] != "or"  # "or not" negates nothing
        elif plain in NUMBER_WORDS and (plain != "one" or self._counts(start)):
            self.numbers.append(NUMBER_WORDS[plain])
            self._follow(NUMBER_WORDS[plain])
        elif plain in UNITS and plain not in ("may", "second"):
            self._dated(plain)
            self._unit(UNITS[plain])
        elif plain in DATE_WORDS or (plain in DATE_SHORT and raw[0].isupper() and not self._starts(start)):
            self.dates.append(plain[:3] if plain not in ("today", "tonight", "weekend") else plain)
            self.content.append(plain)
        elif plain in FUNCTION_WORDS:
            self.function.append(plain)
        else:
            self._dated(plain)
            self._content(stem(plain), self._is_name(raw, start))

    def _content(self, word: str, name: bool) -> None:
        self.content.append(word)
        self._follow(word)
        if name:
            self.names.append(word)

    def _follow(self, word: str) -> None:
        if self._left:
            self.directions.append((self._left, word))
            self._left = ""
        self.order.append(word)

    def _dated(self, word: str) -> None:
        if word in PERIODS and len(self.words) > 1 and self.words[-2] in RELATIVE:
            self.dates.append(f"{self.words[-2]} {word}")

    def _counts(self, start: int) -> bool:
        """`one` is a number only before a unit: "the right one" counts nothing."""
        following = _TOKEN.search(self._text, start + 3)
        return following is not None and following.group().lower() in UNITS

    def _starts(self, start: int) -> bool:
        before = self._text[:start].rstrip(" '‘")
        return not before or before[-1] in _SENTENCE_ENDS

    def _is_name(self, raw: str, start: int) -> bool:
        if self._shouted or not raw[0].isupper():
            return False
        if len(raw) > 1 and raw.isupper():
            return True  # an acronym
        return not self._titled and not self._starts(start)


def _is_title(text: str) -> bool:
    """Whether Most Words Are Written Like This, so that a capital says nothing."""
    words = [word for word in text.split() if len(word) > 3 and word[0].isalpha()]
    return len(words) > 3 and sum(word[0].isupper() for word in words) > 0.7 * len(words)


def _language(text: str, words: list[str]) -> str:
    for script, first, last in () if text.isascii() else _SCRIPTS:
        if sum(first <= character <= last for character in text) * 3 > len(text):
            return script
    if len(words) < 3:
        return ""
    scores = {language: sum(word in common for word in words) for language, common in LANGUAGES.items()}
    best = max(scores, key=lambda language: scores[language])
    others = max(score for language, score in scores.items() if language != best)
    return best if scores[best] >= 2 and scores[best] >= 2 * others else ""


def _asking(words: list[str]) -> str:
    for place, word in enumerate(words):
        kind = ASKING.get(word)
        following = words[place + 1 : place + 5]
        if kind == "how" and following:
            return MEASURES.get(following[0], "how")
        if kind == "what" and following:
            if following[0] in TIME_NOUNS:
                return "when"
            if any(noun in REASON_NOUNS for noun in following):
                return "why"
            return "how" if any(noun in MANNER_NOUNS for noun in following) else "what"
        if kind:
            return kind
    if words and words[0] in YES_OR_NO:
        return "yes or no"
    return "statement" if words else ""
