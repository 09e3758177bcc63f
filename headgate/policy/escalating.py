"""Whether an answer is good enough to be shown, or the next better model of the router is asked first.

Only what can be seen of an answer itself is judged: that it is there, is no refusal, was not cut, is the JSON that was
asked for, and how sure the model was of its words. Whether it is right needs another model (`check_with`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import StrEnum

from headgate.types import Frozen

LOOKED_AT_CHARACTERS = 160  # a refusal is said at once
_OPENERS = (
    "i'm sorry", "i am sorry", "sorry", "i apologize", "i can't", "i cannot", "i can not", "i'm unable", "i am unable",
    "i'm not able", "i am not able", "i won't", "i will not", "as an ai", "unfortunately", "i don't have",
    "i do not have", "i'm afraid", "i must decline",
)  # fmt: skip
_DECLINES = re.compile(
    r"\b(can't|cannot|can not|unable|not able|won't|will not|don't have (access|the ability|enough)|do not have (access"
    r"|the ability|enough)|must decline|not allowed|not comfortable|as an ai)\b"
)


class Doubt(StrEnum):
    """What may be wrong with an answer."""

    REFUSAL = "refusal"
    EMPTY = "empty"
    TRUNCATED = "truncated"  # though the caller set no limit
    INVALID_JSON = "invalid_json"  # where JSON was asked for
    LOW_LOGPROBS = "low_logprobs"  # where they were asked for
    CHECK = "check"  # another model does not think that it answers the question


class Given(Frozen, frozen=True, gc=False):
    """What is known of an answer. Of a stream that is not held there is only the beginning of the text."""

    text: str
    is_whole: bool = True
    refuses: bool = False  # as its API says it
    truncated: bool = False
    calls_tools: bool = False
    mean_logprob: float | None = None  # of its tokens; None: not told


class Standard(Frozen, frozen=True, gc=False):
    """What an answer must be. `min_logprob` is a mean over its tokens."""

    doubts: frozenset[Doubt] = frozenset({Doubt.REFUSAL, Doubt.EMPTY, Doubt.TRUNCATED, Doubt.INVALID_JSON})
    min_logprob: float | None = None

    @property
    def needs_beginning(self) -> bool:
        """Whether the first words of a stream say something."""
        return Doubt.REFUSAL in self.doubts


def doubt(given: Given, standard: Standard, *, wants_json: bool, may_be_cut: bool) -> tuple[Doubt, str] | None:
    """What is wrong with an answer, with a sentence, or None. `may_be_cut`: the caller set a limit to its length."""
    found = _doubts(given, standard, wants_json=wants_json, may_be_cut=may_be_cut)
    return next((one for one in found if one[0] in standard.doubts), None)


def _doubts(given: Given, standard: Standard, *, wants_json: bool, may_be_cut: bool) -> Iterator[tuple[Doubt, str]]:
    """All that is wrong, what says most first."""
    if given.calls_tools:
        return
    if given.refuses or is_refusal(given.text):
        yield Doubt.REFUSAL, "the answer was a refusal"
    if not given.is_whole:
        return
    if not given.text.strip():
        yield Doubt.EMPTY, "the answer was empty"
    if given.truncated and not may_be_cut:
        yield Doubt.TRUNCATED, "the answer was cut at the model's own limit"
    if wants_json and not given.truncated and not _is_json(given.text):
        yield Doubt.INVALID_JSON, "the answer was not the JSON that was asked for"
    least, mean = standard.min_logprob, given.mean_logprob
    if least is not None and mean is not None and mean < least:
        yield Doubt.LOW_LOGPROBS, f"its tokens had a mean logprob of {mean:.2f}, below {least:g}"


def is_refusal(text: str) -> bool:
    """Whether an answer begins as refusals do, and says in its first words that it will not."""
    head = _plain(text)
    return head.startswith(_OPENERS) and _DECLINES.search(head) is not None


def is_undecided(text: str) -> bool:
    """Whether a text that goes on may yet turn out to be a refusal: only such a stream is held back."""
    head = _plain(text)
    if len(head) >= LOOKED_AT_CHARACTERS:
        return False
    return head.startswith(_OPENERS) or any(opener.startswith(head) for opener in _OPENERS)


def _plain(text: str) -> str:
    """The first words in lower case; the letter that typesetters put for an apostrophe is one."""
    return text[: 2 * LOOKED_AT_CHARACTERS].lstrip().replace("\u2019", "'").lower()[:LOOKED_AT_CHARACTERS]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
