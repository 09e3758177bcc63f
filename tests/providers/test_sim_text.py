"""What the simulated model says is as long as it claims to be."""

from __future__ import annotations

import math

import pytest

from headgate.providers import sim_text

toktok = pytest.importorskip("toktok", reason="needs headgate[tokenizers]")


def counted(text: str) -> int:
    return int(toktok.batch_count([text], "o200k_base")[0])


def test_every_word_of_the_book_is_one_token_of_o200k() -> None:
    words = sorted({*sim_text.BOOK, *sim_text.passage(0, 9)})
    assert dict(zip(words, toktok.batch_count(words, "o200k_base"), strict=True)) == dict.fromkeys(words, 1)


@pytest.mark.parametrize("tokens", [1, 2, 7, 8, 9, 100, 5000])
@pytest.mark.parametrize("sentence", [0, 1, sim_text.SENTENCES - 1, sim_text.SENTENCES + 3])
def test_a_passage_has_exactly_as_many_tokens_as_asked_for(sentence: int, tokens: int) -> None:
    text = "".join(sim_text.passage(sentence, tokens))
    assert counted(text) == tokens
    assert text.endswith("." if tokens > 1 else "")
    assert not text.startswith(" ")


def test_a_passage_reads_like_sentences() -> None:
    assert (
        "".join(sim_text.passage(1, 16))
        == "One old wheel waits behind the hill. Every bright stone rises above the house."
    )


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("äöü", 2), (b"12345678", 2)]
)
def test_prompts_are_counted_by_their_bytes(text: str | bytes, tokens: int) -> None:
    assert sim_text.text_tokens(text) == tokens


@pytest.mark.parametrize("dimensions", [1, 2, 8, 1536])
def test_embeddings_have_length_one_and_repeat_themselves(dimensions: int) -> None:
    vector = sim_text.embedding(1, b"the mill", dimensions)
    assert len(vector) == dimensions
    assert math.sqrt(sum(value * value for value in vector)) == pytest.approx(1.0, abs=1e-5)
    assert vector == sim_text.embedding(1, b"the mill", dimensions)


def test_another_text_or_seed_has_another_embedding() -> None:
    vectors = [sim_text.embedding(seed, text, 8) for seed in (1, 2) for text in (b"the mill", b"the wheel")]
    assert len({vector.tobytes() for vector in vectors}) == 4
