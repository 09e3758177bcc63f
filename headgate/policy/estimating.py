"""How many tokens a text has, for models whose tokenizer is not at hand. Pure arithmetic on UTF-8 bytes.

Tokenizers of today agree more than they differ: a common word is one token, a long one two, a run of spaces one, a
Chinese character somewhat less than one. So every character is given a class, and the classes (and some pairs and runs
of them) have weights. The weights are a least-squares fit of the relative error to the mean of two vocabularies,
o200k_base and Qwen 3.5's, over half of some 10,000 pieces of prose, code, JSON and program messages in 28 languages.
How far off it is, on the other half and on vocabularies it was not fitted to, is in `docs/tokens.md`.
"""

from __future__ import annotations

SAMPLED_CHARACTERS = 65_536  # a longer text is estimated from so many of its characters
BODY_BYTES_PER_TOKEN = 4
CLAUDE_TOOL_TOKENS = 450

_PIECES = 16

# Weight of each class of characters, then of pairs and runs of classes that are dearer or cheaper than their parts.
_WEIGHTS = {
    b"a": 0.088,  # lower-case ASCII letter
    b"A": 0.613,  # upper-case
    b"0": 1.401,  # digit
    b".": 0.228,  # other printable ASCII
    b" ": 0.623,
    b"n": 1.815,  # line feed, carriage return, tab
    b"p": 2.027,  # punctuation and symbols outside ASCII
    b"l": 1.397,  # Latin letter with a diacritic
    b"g": 0.335,  # Greek
    b"c": 0.249,  # Cyrillic
    b"s": 0.298,  # Armenian, Hebrew, Arabic
    b"i": 0.446,  # scripts of India and South-East Asia
    b"k": 0.53,  # kana, CJK punctuation, the first Han characters
    b"h": 0.704,  # Han
    b"u": 0.526,  # Hangul
    b"o": 0.362,  # private use, full-width forms
    b"e": 2.0,  # beyond the basic plane: emoji
    b"aA": 0.79,  # a new word inside a name: camelCase
    b".a": 1.031,  # a new word after punctuation
    b"  ": -0.733,
    b"    ": -0.824,
    b"nn": -2.473,
    b"AA": -0.85,
    b"000": -1.619,
}

# The class of a character by the first byte of its UTF-8 form: the highest byte of each class, in order.
_CLASSES_UP_TO = (
    (0x08, b"."), (0x0A, b"n"), (0x0C, b"."), (0x0D, b"n"), (0x1F, b"."), (0x20, b" "), (0x2F, b"."), (0x39, b"0"),
    (0x40, b"."), (0x5A, b"A"), (0x60, b"."), (0x7A, b"a"), (0xC2, b"p"), (0xCB, b"l"), (0xCF, b"g"), (0xD3, b"c"),
    (0xDF, b"s"), (0xE1, b"i"), (0xE2, b"p"), (0xE3, b"k"), (0xE9, b"h"), (0xED, b"u"), (0xEF, b"o"), (0xFF, b"e"),
)  # fmt: skip
_CONTINUATION_BYTES = bytes(range(0x80, 0xC0))


def _class_table() -> bytes:
    table, first = b"", 0
    for last, name in _CLASSES_UP_TO:
        table += name * (last + 1 - first)
        first = last + 1
    return table


_TABLE = _class_table()


def estimate_tokens(text: str) -> int:
    """Tokens of a text, 0 only for the empty one. Takes at most about 1.5 ms."""
    if len(text) <= SAMPLED_CHARACTERS:
        sample = text
    else:
        size, stride = SAMPLED_CHARACTERS // _PIECES, len(text) // _PIECES
        sample = "".join([text[start : start + size] for start in range(0, stride * _PIECES, stride)])
    classes = sample.encode("utf-8", "replace").translate(_TABLE, _CONTINUATION_BYTES)
    weight = sum([classes.count(pattern) * weight for pattern, weight in _WEIGHTS.items()])
    # No vocabulary has words so long that a token is more than 16 characters on average.
    lowest = -(-len(sample) // 16)
    return round(max(weight, lowest) * len(text) / len(sample)) if sample else 0


def tool_prompt_tokens(upstream_model: str) -> int:
    """Tokens of the instructions that a provider puts before the tools of a request, beside their descriptions.

    Anthropic publishes 264 to 530 by model ("Tool use", pricing), to which it adds a frame for each tool; one number,
    the middle of what was measured, serves all of Claude. The others add little or do not say.
    """
    return CLAUDE_TOOL_TOKENS if "claude" in upstream_model.lower() else 0


def estimate_prompt_tokens(body_bytes: int) -> int:
    """Tokens of a request from the length of its JSON body alone: for comparing loads, never for billing.

    The names and quotes of JSON make up for what English has above four bytes a token; images count by their base64.
    """
    return -(-body_bytes // BODY_BYTES_PER_TOKEN)
