"""What the simulated model says, and how it counts: text of known token length, prompt tokens by a rule, vectors.

Pure. Knows nothing of requests, frames or time.
"""

from __future__ import annotations

import hashlib
import math
from array import array

# Every word, with its leading space, is one token of o200k_base, and so is the full stop; a test counts them. The
# numbers of words are coprime, so that picking number `i` of each list gives a new sentence 360,360 times over.
_FIRST = (" The", " One", " Every", " Some", " Another")
_ADJECTIVES = (" slow", " old", " bright", " quiet", " narrow", " heavy", " wooden")
_NOUNS = (
    " river", " wheel", " stone", " bridge", " farmer", " valley", " channel", " gate", " market", " garden", " season",
)  # fmt: skip
_VERBS = (
    " turns", " waits", " rises", " falls", " stands", " works", " rests", " grows", " moves", " shines", " sings",
    " returns", " changes",
)  # fmt: skip
_PREPOSITIONS = (" under", " behind", " above", " beside", " near", " with", " without", " against", " before")
_OBJECTS = (" water", " hill", " house", " forest", " field", " road", " moon", " rain")

SENTENCE_TOKENS = 8
SENTENCES = 512


def _write_book() -> tuple[str, ...]:
    lists = (_FIRST, _ADJECTIVES, _NOUNS, _VERBS, _PREPOSITIONS, (" the",), _OBJECTS, (".",))
    return tuple(words[number % len(words)] for number in range(SENTENCES) for words in lists)


BOOK = _write_book()


def passage(sentence: int, tokens: int) -> list[str]:
    """So many tokens of the book from the beginning of a sentence on, the last one a full stop."""
    start = sentence % SENTENCES * SENTENCE_TOKENS
    copies = 1 + (start + tokens) // len(BOOK)
    words = list((BOOK * copies)[start : start + tokens])
    if tokens % SENTENCE_TOKENS == 1 and tokens > 1:
        words[-2] = " again"  # two full stops in a row would be one token
    if tokens > 1:
        words[-1] = "."
    words[0] = words[0].lstrip()
    return words


BYTES_PER_TOKEN = 4
MESSAGE_TOKENS = 3  # what a chat message costs besides its text: role and separators
REPLY_TOKENS = 3  # the beginning of the reply, part of every chat prompt
IMAGE_TOKENS = 85  # OpenAI's price of an image in low detail


def text_tokens(text: str | bytes) -> int:
    """The estimate of a prompt's tokens: its UTF-8 bytes divided by four, rounded up.

    English prose has about 4.2 bytes to a token in o200k_base; a simulated model needs a rule that can be checked by
    hand more than it needs the exact number.
    """
    size = len(text) if isinstance(text, bytes) or text.isascii() else len(text.encode())
    return -(-size // BYTES_PER_TOKEN)


def embedding(seed: int, text: bytes, dimensions: int) -> array[float]:
    """A vector of length 1 in 32-bit floats, always the same for the same seed, text and number of dimensions.

    Its direction comes from a hash: texts that mean the same are no closer to each other than any others.
    """
    pseudorandom = array("H", hashlib.shake_256(b"%d:" % seed + text).digest(2 * dimensions))
    centred = [number - 32767.5 for number in pseudorandom]
    length = math.sqrt(sum(value * value for value in centred))
    return array("f", [value / length for value in centred])
