"""How hard a question looks by its words alone: for routers without a trained model.

Every sign is cheap and explains itself. The weights are set by hand: what is long, has code, mathematics or several
parts, or asks for reasons and plans, is where small models fall behind; greetings, look-ups and rewordings are not.
"""

from __future__ import annotations

import math
import re

from headgate.route_types import Signals
from headgate.types import Frozen

SHORT_CHARACTERS = 60  # a follow-up such as "why?" is as hard as what it follows
_CODE = re.compile(
    r"```|\bdef \w+\(|\bclass \w+[:({]|[;{]\s*\n|\bfunction\b|SELECT .+ FROM|#include|\bTraceback\b|</\w+>"
)
_MATHS = re.compile(
    r"\\(frac|int|sum|sqrt|begin)|[=<>]\s*-?\d|\d\s*[-+*/^=]\s*\d|\b(prove|proof|theorem|integral|derivative|equation"
    r"|probability|solve for|how many|how much|percent)\b",
    re.I,
)
_THINKING = re.compile(
    r"\b(why|explain|compare|analy[sz]e|design|plan|debug|optimi[sz]e|implement|trade-?offs?|step by step|strategy"
    r"|argue|critique|derive|refactor|architecture)\b",
    re.I,
)
_EASY = re.compile(
    r"^\s*(hi|hello|hey|thanks|thank you|ok|yes|no)\b|\b(translate|rephrase|reword|summari[sz]e|capital of|spell"
    r"|synonym|what time|what day|define)\b",
    re.I,
)
_PARTS = re.compile(r"^\s*(\d+[.)]|[-*]) ", re.M)
_SCRIPTS = ((0x0400, "cyrillic"), (0x0590, "hebrew"), (0x0600, "arabic"), (0x0900, "indic"), (0x2E80, "cjk"))
_LOOKED_AT = 4_000  # characters
_BIAS = -1.1


class Difficulty(Frozen, frozen=True, gc=False):
    """`score`: how likely it is that a cheap model would not do as well, in [0, 1]. `signs` are what spoke for it."""

    score: float
    signs: tuple[str, ...]


def by_signs(signals: Signals) -> Difficulty:
    """The score of a question by the signs of its words: a logistic sum."""
    text = _judged(signals)
    length = len(text)
    code = bool(_CODE.search(text))
    weights = {
        "long": 0.5 * math.log10(1 + length / 100),
        "code": 0.9 * code,
        "maths": 1.0 * (not code and bool(_MATHS.search(text))),
        "thinking": 0.9 * bool(_THINKING.search(text)),
        "parts": 0.4 * (len(_PARTS.findall(text)) >= 3),
        "tools": 0.5 * signals.tools,
        "schema": 0.2 * signals.json_schema,
        "deep": 0.1 * min(signals.turn - 1, 5),
        "other_script": 0.4 * (script(text) != "latin"),
        "easy": -1.2 * bool(_EASY.search(text[:200])),
    }
    score = 1 / (1 + math.exp(-(_BIAS + sum(weights.values()))))
    return Difficulty(score, tuple([name for name, weight in weights.items() if abs(weight) >= 0.1]))


def script(text: str) -> str:
    """The script of most letters that are not Latin, if they are more than a tenth of a text's beginning."""
    if text.isascii():
        return "latin"
    head = text[:400]
    counts: dict[str, int] = {}
    for letter in head:
        code = ord(letter)
        if code >= _SCRIPTS[0][0]:
            name = next(name for start, name in reversed(_SCRIPTS) if code >= start)
            counts[name] = counts.get(name, 0) + 1
    most = max(counts, key=lambda name: counts[name], default="latin")
    return most if counts.get(most, 0) * 10 > len(head) else "latin"


def _judged(signals: Signals) -> str:
    """What is asked now, or, if that is only a word or two, what was asked before it."""
    if len(signals.text) < SHORT_CHARACTERS and len(signals.prior_text) > len(signals.text):
        return signals.prior_text[:_LOOKED_AT]
    return signals.text[:_LOOKED_AT]
