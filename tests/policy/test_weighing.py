"""The weights of bytes against real vocabularies, on text of every kind and on text made to deceive them."""

from __future__ import annotations

import base64
import json
import random
import string
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.policy.preflight import MARGIN
from headgate.policy.weighing import PIECE_BYTES, WHOLE_BYTES, weigh

toktok = pytest.importorskip("toktok", reason="needs headgate[tokenizers]")

VOCABULARIES = ("o200k_base", "cl100k_base", "qwen3.5")
SHORT_BY_AT_MOST = 0.1  # docs/tokens.md
DECEIVED_AT_MOST = 4
ROUNDING_TOKENS = 8  # of a text of a few characters
CHANCE = random.Random(11)

PROSE = (
    "The gate decides how much water enters the mill race. When the river is high it stays half closed, and the miller "
    "walks down twice a day to look at the marks on the post, because nobody trusts a gate that was never tried. "
)
CODE = 'def settle(self, hold: Hold) -> int:\n    """Book it."""\n    if hold.id in self._booked:\n        return 0\n'
ROWS = '{"id": 4711, "name": "mill race", "open": true, "levels_mm": [812, 815, 901], "note": null}\n'
CHINESE = "水闸决定有多少水进入磨坊的水渠。河水上涨时，它半开着，磨坊主每天两次走下去看柱子上的刻度。"


def most_tokens(text: str) -> int:
    """Of the vocabularies at hand."""
    return max(toktok.batch_count([text], vocabulary, threads=1)[0] for vocabulary in VOCABULARIES)


def as_json(text: str, *, ascii_only: bool = False) -> bytes:
    return json.dumps(text, ensure_ascii=ascii_only).encode()[1:-1]


def held(raw: bytes, seed: str = "req_1") -> float:
    return weigh(raw, seed) * (1 + MARGIN)


def random_text(characters: str, length: int = 600) -> str:
    return "".join(CHANCE.choice(characters) for _ in range(length))


SPAM = {
    "digits": random_text(string.digits),
    "numbers": " ".join(str(CHANCE.randrange(10**6)) for _ in range(100)),
    "base64": base64.b64encode(CHANCE.randbytes(450)).decode(),
    "hex": CHANCE.randbytes(300).hex(),
    "lower-case letters": random_text(string.ascii_lowercase),
    "upper-case letters": random_text(string.ascii_uppercase),
    "letters of both cases": random_text(string.ascii_letters),
    "punctuation": random_text(string.punctuation),
    "anything printable": random_text(string.printable[:95]),
    "single letters": " ".join(random_text(string.ascii_lowercase, 300)),
    "emoji": "".join(chr(CHANCE.randrange(0x1F300, 0x1F650)) for _ in range(150)),
    "rare characters": "".join(chr(CHANCE.randrange(0x3400, 0x4DB0)) for _ in range(150)),
    "white space": "".join(CHANCE.choice([" ", "\n", "\t", "    "]) for _ in range(300)),
}


@pytest.mark.parametrize("text", SPAM.values(), ids=SPAM)
def test_spam_of_every_kind_is_held_in_full(text: str) -> None:
    assert held(as_json(text)) >= most_tokens(text) * (1 - SHORT_BY_AT_MOST)


@pytest.mark.parametrize("text", [PROSE * 4, CODE * 6, ROWS * 6, CHINESE * 8], ids=["prose", "code", "rows", "Chinese"])
@pytest.mark.parametrize("ascii_only", [False, True], ids=["UTF-8", "escaped"])
def test_what_people_write_is_bounded_closely(text: str, ascii_only: bool) -> None:
    ratio = held(as_json(text, ascii_only=ascii_only)) / most_tokens(text)
    assert 1.0 <= ratio <= 1.7


def test_prose_is_held_at_about_a_quarter_more() -> None:
    assert 1.0 <= held(as_json(PROSE * 40)) / most_tokens(PROSE * 40) <= 1.35


def test_two_characters_that_take_turns() -> None:
    texts = [(first + second) * 150 for first, second in product(string.printable[:95:3], repeat=2)]
    worst = min(held(as_json(text)) / most_tokens(text) for text in texts)
    assert worst >= 0.9


@given(st.text(min_size=1, max_size=400))
def test_any_text_is_within_the_margin_for_deceit(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    assert held(as_json(text)) + ROUNDING_TOKENS >= most_tokens(text) / DECEIVED_AT_MOST


@given(
    st.lists(
        st.sampled_from(["a", "  ", "l", "\n", "tu", "'`", "\\", "ny", " ad", "é", "ㄅ", "क", "0", "Q"]), min_size=1
    )
)
def test_cheap_pieces_put_together(pieces: list[str]) -> None:
    text = "".join(pieces) * 10
    assert held(as_json(text)) + ROUNDING_TOKENS >= most_tokens(text) / DECEIVED_AT_MOST


def test_a_long_text_is_weighed_by_pieces() -> None:
    raw = as_json((PROSE + ROWS + CODE) * 400)
    whole = sum(weigh(raw[start : start + WHOLE_BYTES], "") for start in range(0, len(raw), WHOLE_BYTES))
    assert weigh(raw, "req_7") == pytest.approx(whole, rel=0.15)


def test_nobody_can_know_which_pieces() -> None:
    """Half digits, half prose, in blocks as long as a stride: no seed sees the prose alone."""
    count = 64
    raw = (as_json(PROSE * 20)[:2000] + b"7319" * 500) * (count // 2)
    truth = weigh(as_json(PROSE * 20)[:700], "") / 700 * len(raw) / 2 + len(raw) / 2
    seen = [weigh(raw, f"req_{number}") for number in range(50)]
    assert min(seen) > truth * 0.75
    assert len(set(seen)) > 40


@pytest.mark.parametrize("raw", [b"", b"[", b"\\u", b"\\ud83d", "\\u4e2d é".encode(), b"\xe4\xb8"])
def test_broken_ends_weigh_something_and_never_fail(raw: bytes) -> None:
    assert 0 <= weigh(raw * 400, "req_1") <= 3 * len(raw) * 400 + PIECE_BYTES
    assert 0 <= weigh(raw, "req_1") <= 3 * len(raw) + 3
