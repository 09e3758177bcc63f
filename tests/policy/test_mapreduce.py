"""Trees of summaries: every document once, the same names always, and nothing larger than the window."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.policy.estimating import estimate_tokens
from headgate.policy.mapreduce import (
    FRAME_TOKENS,
    LEAST_CHUNK_TOKENS,
    Load,
    Node,
    TreeRules,
    chunks,
    document_id,
    inputs_of,
    label,
    map_requests,
    shares,
    tree,
)

RULES = st.builds(
    TreeRules,
    context_tokens=st.integers(2_000, 200_000),
    summary_tokens=st.integers(50, 450),
    shard_documents=st.integers(1, 150),
)
TEXTS = st.lists(
    st.sampled_from(
        ["word ", "Another sentence. ", "line\n", "paragraph\n\n", "漢字仮名", "🜁🜂", "x" * 90, "{}[]();", "\u2028"]
    ),
    max_size=400,
).map("".join)


@given(st.integers(0, 3000), RULES)
def test_every_document_is_in_one_node_and_every_node_in_one_other(documents: int, rules: TreeRules) -> None:
    waves = tree(documents, rules)
    used = Counter(name for wave in waves for node in wave for name in node.inputs)
    assert all(count == 1 for count in used.values())
    made = [node.id for wave in waves for node in wave]
    assert len(made) == len(set(made))
    everything = {document_id(number) for number in range(1, documents + 1)} | set(made)
    assert everything - set(used) == ({made[-1]} if made else everything)  # but for the last, which is the summary
    assert len(everything) <= 1 or len(waves[-1]) == 1


@given(st.integers(2, 3000), RULES)
def test_no_node_is_larger_than_the_window(documents: int, rules: TreeRules) -> None:
    for wave in tree(documents, rules):
        for node in wave:
            assert 2 <= len(node.inputs) <= rules.fan_in
            longest = (
                rules.prompt_tokens + (len(node.inputs) + 1) * rules.summary_tokens + len(node.inputs) * FRAME_TOKENS
            )
            assert longest <= rules.context_tokens * 0.85


@given(st.integers(2, 1000), RULES)
def test_inputs_come_from_earlier_waves_and_shards_stay_apart_until_each_is_one(
    documents: int, rules: TreeRules
) -> None:
    known = {document_id(number) for number in range(1, documents + 1)}
    shard_of = {document_id(number): (number - 1) // rules.shard_documents + 1 for number in range(1, documents + 1)}
    for wave in tree(documents, rules):
        for node in wave:
            assert set(node.inputs) <= known
            if node.id.startswith("s"):
                (shard_of[node.id],) = {shard_of[name] for name in node.inputs}
                assert node.id.startswith(f"s{shard_of[node.id]}.")
        known |= {node.id for node in wave}


def test_the_tree_is_the_same_each_time_and_reads_as_it_should() -> None:
    rules = TreeRules(context_tokens=2_000, summary_tokens=200, shard_documents=6)
    assert rules.fan_in == 5
    waves = tree(13, rules)
    assert waves == tree(13, rules)
    assert [[node.id for node in wave] for wave in waves] == [
        ["s1.1.1", "s1.1.2", "s2.1.1", "s2.1.2"], ["s1.2.1", "s2.2.1"], ["t1.1"],
    ]  # fmt: skip
    assert waves[0][0].inputs == ("d1", "d2", "d3") and waves[-1][0].inputs == ("s1.2.1", "s2.2.1", "d13")


def test_a_window_for_less_than_two_summaries_makes_no_tree() -> None:
    with pytest.raises(ValueError, match="no room for two summaries of 400 tokens"):
        tree(5, TreeRules(context_tokens=1000))


def test_what_failed_is_left_out_and_names_the_node_anew() -> None:
    node = Node("s1.1.1", ("d1", "d2", "d3"))
    places = {"d1": ("job_1-map", 1), "d3": ("job_1-map", 3)}
    whole = {**places, "d2": ("job_1-map", 2)}
    assert inputs_of(node, places) == (("job_1-map", 1), ("job_1-map", 3))
    first, second = label(node, inputs_of(node, whole)), label(node, inputs_of(node, places))
    assert first != second and first.split(":")[0] == second.split(":")[0] == "s1.1.1"
    assert first == label(node, inputs_of(node, dict(reversed(whole.items()))))


@given(TEXTS, st.integers(1, 400))
def test_chunks_are_the_text_and_fit(text: str, most_tokens: int) -> None:
    pieces = list(chunks(text, most_tokens))
    assert "".join(pieces) == text and all(pieces)
    most = max(most_tokens, LEAST_CHUNK_TOKENS)
    assert all(estimate_tokens(piece) <= most or len(piece) == 1 for piece in pieces)
    assert pieces == list(chunks(text, most_tokens))


def test_chunks_are_cut_between_paragraphs_and_not_needlessly_small() -> None:
    text = "\n\n".join(f"Paragraph {number} says a few words about a thing." for number in range(400))
    pieces = list(chunks(text, 200))
    assert all(piece.endswith("\n\n") for piece in pieces[:-1])
    assert len(pieces) <= 1.6 * estimate_tokens(text) / 200


def test_a_long_text_takes_time_in_proportion() -> None:
    text = "Some words of a very long book, one after the other.\n" * 40_000
    pieces = list(chunks(text, 3000))
    assert len(pieces) < 2 * estimate_tokens(text) / 3000


def test_what_there_is_to_do() -> None:
    rules = TreeRules(context_tokens=2_000, summary_tokens=200, shard_documents=6)
    assert [map_requests(count, 5) for count in (1, 2, 5, 6, 26)] == [1, 3, 6, 9, 35]
    mapped, reduced = shares(Load(documents=13, requests=15, text_tokens=10_000), 100, rules)
    assert (mapped.requests, mapped.output_tokens) == (15, 3000)
    assert mapped.input_tokens == 10_000 + 15 * 124 + 2 * 200
    assert (reduced.requests, reduced.output_tokens) == (7, 1400)
    assert reduced.input_tokens == 7 * 200 + (12 + 4 + 3) * 224
