"""How many tokens JSON text has, from its bytes alone: fast enough to be asked of every request.

Every ASCII character belongs to one of fourteen classes. The class of a character and that of the one before it have a
weight together, in 1/32 of a token: a vowel after a consonant costs little, a letter after a digit or a Q after an X
much, so that prose, code, base64, digits and gibberish are told apart. Characters beyond ASCII have a weight by their
first byte. The text goes through `bytes.translate`, which makes each character the hexadecimal digit of its class,
`unhexlify`, which makes a byte of two of them, `bytes.translate` again, and the sum that is a part of Adler-32: four
passes in C. Of a long text that is done to pieces, and there to every other pair.

The weights are a quantile regression (the 85th percentile of the relative error) to the largest count of three
vocabularies, o200k_base, cl100k_base and Qwen 3.5's, over 7,500 pieces of prose, code, JSON, agents' prompts, program
messages in 170 languages, random strings of every kind, and strings that were searched for because the weights of an
earlier round were too low for them. How far off they are is in `docs/tokens.md`.
"""

from __future__ import annotations

import zlib
from binascii import unhexlify

WHOLE_BYTES = 768  # a longer text is weighed by pieces of it
PIECE_BYTES = 256
FEWEST_PIECES = 3
BYTES_PER_PIECE = 2048  # one more for so many
MOST_PIECES = 64

_NEXT = b"piece"  # any bytes
_UNITS_PER_TOKEN = 32
_SUMMED_BYTES = 1280  # so many of a weight up to 51 are below Adler-32's modulus
_BACKSLASH, _ESCAPE = 0x5C, b"\\u"  # of a character, in JSON; to look for the first takes no time

_CLASSES = (
    b"e", b"aio", b"uy", b"tnsrl", b"hdcm", b"pgbf", b"wkvjxqz", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"0123456789",
    b" " + bytes(range(0x20)) + b"\x7f", b"\\", b"\"'`", b".,:;-_/", b"(){}[]<>=+*#&|!?@$%^~",
    bytes(range(0x80, 0xC0)), bytes(range(0xC0, 0x100)),
)  # fmt: skip

# A row for the class of the earlier character, a column for the later one's.
_PAIR_WEIGHTS = (
    39,  9, 14,  4,  4,  4,  4, 14, 14,  4, 29, 14,  4,  4, 14, 14,
    24, 16,  5,  4,  4,  4, 19, 51, 47, 47, 19, 14, 34, 29, 14,  0,
     4, 17, 42,  4, 18, 14, 51, 37, 48, 21, 21, 26, 29, 43, 14,  0,
     4,  4,  4,  4,  4,  6, 14, 14, 27,  4,  4, 11,  4,  6, 14, 11,
     4,  4, 18,  8, 19, 22, 21, 28, 29,  4, 51, 14, 12, 36, 14,  0,
     4,  4,  4,  5, 31, 24, 34, 26, 40,  4, 51, 14, 21, 19, 14, 51,
     4, 13, 23, 32, 29, 27, 30, 31, 36, 42, 14, 14, 28, 30, 14,  0,
    12,  9, 12, 22, 18, 21, 24, 19, 31, 19,  4, 14, 14, 23, 14, 14,
    46, 14, 24, 47, 22, 29, 32, 26, 32, 14, 31, 14, 29, 44, 14,  0,
     4,  4,  5,  4,  4,  4, 31,  4, 50,  1, 21, 39, 30, 32, 14,  0,
    14, 14, 14,  4, 14, 14,  4, 14, 14, 14,  4,  4, 14, 51, 14, 14,
    14, 26, 14, 19, 14, 12, 15, 15, 51,  4, 46,  4, 15,  4, 14, 51,
    28, 14, 24, 23, 14, 18, 18, 17, 33,  4,  4, 47, 14, 22, 14, 14,
    50, 32, 30, 39, 20, 35, 27, 31, 36,  4,  4, 23, 19, 25, 14,  0,
    14, 14, 14, 14,  0, 14,  0,  0, 14,  0,  0, 14, 14,  0,  0,  0,
    14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14,  0,  0,
)  # fmt: skip

# Of characters beyond ASCII, by the first byte of their UTF-8 form, in 1/16 of a token: the highest
# byte of each range, in order.
_FIRST_BYTE_WEIGHTS = (
    (0xBF, 0), (0xC2, 41), (0xCB, 22), (0xCF, 17), (0xD3, 12), (0xD5, 37), (0xD7, 19), (0xDA, 14), (0xDF, 34),
    (0xE0, 28), (0xE1, 48), (0xE2, 24), (0xE3, 48), (0xE9, 32), (0xED, 32), (0xEF, 20), (0xFF, 46),
)  # fmt: skip
# Kana and Chinese punctuation share a first byte with characters that no vocabulary has.
_KANA = (b"\xe3\x80", b"\xe3\x81", b"\xe3\x82", b"\xe3\x83")
_KANA_DISCOUNT = 70  # in 1/32

# A text of few different characters is no language: two or three that repeat can cost a token each.
_PROBED_BYTES = 24
_FEW_OTHERS = 0.06  # as a share of the text: characters that are not among those in its middle
_MONOTONOUS_TOKENS_PER_BYTE = 0.85


def _class_table() -> bytes:
    classes = {byte: number for number, members in enumerate(_CLASSES) for byte in members}
    return bytes(b"0123456789abcdef"[classes[byte]] for byte in range(256))


def _first_byte_table() -> bytes:
    table, first = b"\0" * 0x80, 0x80
    for last, weight in _FIRST_BYTE_WEIGHTS:
        table += bytes([weight]) * (last + 1 - first)
        first = last + 1
    return table


_DIGIT_OF = _class_table()
_PAIR_TABLE = bytes(_PAIR_WEIGHTS)
_FIRST_BYTE_TABLE = _first_byte_table()


def weigh(text: bytes, seed: str) -> float:
    """Estimated tokens of a piece of JSON, for the vocabulary that has the most of them.

    Of a text longer than WHOLE_BYTES, pieces are weighed whose places follow from `seed`. Nobody who does not know the
    seed can write a text that is cheap in those places and dear elsewhere.
    """
    length = len(text)
    if length <= WHOLE_BYTES:
        return _weight(text, every_pair=True)
    count = FEWEST_PIECES + length // BYTES_PER_PIECE
    if count > MOST_PIECES:
        count = MOST_PIECES
    stride = length // count
    room, state = stride - PIECE_BYTES + 1, zlib.crc32(seed.encode())
    pieces = []
    for start in range(0, count * stride, stride):
        state = zlib.crc32(_NEXT, state)
        at = start + state % room
        pieces.append(text[at : at + PIECE_BYTES])
    return _weight(b"".join(pieces), every_pair=False) * length / (count * PIECE_BYTES)


def _weight(sample: bytes, *, every_pair: bool) -> float:
    """Tokens of a sample, relative to its length before what is escaped in it was read."""
    if _BACKSLASH in sample and _ESCAPE in sample:
        sample = _unescaped(sample)
    digits = sample.translate(_DIGIT_OF) + b"0" * (2 + len(sample) % 2)
    if every_pair:  # those at even places, and after them those at odd ones
        units = _sum(unhexlify(digits + digits[1:-1]).translate(_PAIR_TABLE))
    else:
        units = 2 * _sum(unhexlify(digits).translate(_PAIR_TABLE))
    if not sample.isascii():
        units += 2 * _sum(sample.translate(_FIRST_BYTE_TABLE)) - _KANA_DISCOUNT * sum(map(sample.count, _KANA))
    tokens = units / _UNITS_PER_TOKEN
    middle = len(sample) // 2
    if len(sample.translate(None, sample[middle : middle + _PROBED_BYTES])) < len(sample) * _FEW_OTHERS:
        return max(tokens, len(sample) * _MONOTONOUS_TOKENS_PER_BYTE)
    return tokens


def _sum(values: bytes) -> int:
    """The sum of bytes: Adler-32's low half is one more, modulo 65,521 (RFC 1950)."""
    if len(values) <= _SUMMED_BYTES:
        return (zlib.adler32(values) & 0xFFFF) - 1
    total = 0
    for start in range(0, len(values), _SUMMED_BYTES):
        total += (zlib.adler32(values[start : start + _SUMMED_BYTES]) & 0xFFFF) - 1
    return total


def _unescaped(sample: bytes) -> bytes:
    """With JSON's escapes of characters (\\u4e2d) read, as they hide what is cheap and what is dear; others stay."""
    halves = sample.decode("raw_unicode_escape", "replace").encode("utf-16-le", "surrogatepass")
    return halves.decode("utf-16-le", "replace").encode()
