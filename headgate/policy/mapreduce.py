"""How many documents become one summary: where texts are cut, and the tree of summaries of summaries.

The tree follows from how many documents there are and from the rules, never from what is answered: a run that was
killed, one with failures and one without have the same nodes with the same names. Documents are summarized in shards;
what fails in one leaves the others as they are. Summaries are put together in waves: first within each shard, then
across them. Each document is in one node, each node in one of a later wave.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from headgate.policy.estimating import estimate_tokens
from headgate.types import Frozen

MARGIN = 0.15  # of a context window is left free, as no two vocabularies agree
FRAME_TOKENS = 24  # around each text: its name, its number, and what a provider puts between messages
MOST_INPUTS = 50  # of one summary: models lose what stands in the middle of longer lists
LEAST_CHUNK_TOKENS = 16
_BREAKS = ("\n\n", "\n", ". ", " ")  # where a text is cut, if there is one in the second half of what fits
_GUESSED_CHARACTERS_PER_TOKEN = 4


class TreeRules(Frozen, frozen=True, gc=False):
    """What the tree follows from. Tokens are those of texts; `context_tokens` are the reduce model's, prompt and answer
    together."""

    context_tokens: int
    prompt_tokens: int = 200  # of the instructions that stand before the summaries
    summary_tokens: int = 400  # at most, of one summary
    shard_documents: int = 100

    @property
    def fan_in(self) -> int:
        """How many summaries one request takes, so that even the longest of them fit; below 2 there is no tree."""
        room = int(self.context_tokens * (1 - MARGIN)) - self.prompt_tokens - self.summary_tokens
        return min(room // (self.summary_tokens + FRAME_TOKENS), MOST_INPUTS)


class Node(Frozen, frozen=True):
    """A summary of summaries. `inputs` are documents (d1, d2, ...) or nodes of the waves before."""

    id: str
    inputs: tuple[str, ...]


Wave = tuple[Node, ...]


def document_id(number: int) -> str:
    """What a document is called in the tree; its number counts from 1."""
    return f"d{number}"


def tree(documents: int, rules: TreeRules) -> tuple[Wave, ...]:
    """The waves, none for a single document. Nodes are called s2.1.3 (shard, wave in it, place) and t1.3 (above all
    shards). The last wave has one node. Raises ValueError if not even two summaries fit into the window."""
    if rules.fan_in < 2:
        raise ValueError(
            f"a context of {rules.context_tokens} tokens has no room for two summaries of {rules.summary_tokens} tokens"
        )
    size = rules.shard_documents
    shards = [
        [document_id(number) for number in range(first, min(first + size, documents + 1))]
        for first in range(1, documents + 1, size)
    ]
    waves: list[Wave] = []
    while any(len(members) > 1 for members in shards):
        prefix = [f"s{shard}.{len(waves) + 1}" for shard in range(1, len(shards) + 1)]
        steps = [_step(members, name, rules.fan_in) for members, name in zip(shards, prefix, strict=True)]
        shards = [members for members, _ in steps]
        waves.append(tuple(node for _, nodes in steps for node in nodes))
    tops, above = [members[0] for members in shards], 0
    while len(tops) > 1:
        above += 1
        tops, nodes = _step(tops, f"t{above}", rules.fan_in)
        waves.append(tuple(nodes))
    return tuple(waves)


def _step(members: Sequence[str], prefix: str, fan_in: int) -> tuple[list[str], list[Node]]:
    """One wave over neighbours: what is left, and the nodes that make it. Groups are as even as they can be."""
    count = -(-len(members) // fan_in)
    left: list[str] = []
    nodes: list[Node] = []
    for index in range(count):
        group = tuple(members[index * len(members) // count : (index + 1) * len(members) // count])
        if len(group) > 1:
            nodes.append(Node(f"{prefix}.{index + 1}", group))
        left.append(group[0] if len(group) == 1 else nodes[-1].id)
    return left, nodes


Place = tuple[str, int]  # a job and the number of its item


def inputs_of(node: Node, places: Mapping[str, Place]) -> tuple[Place, ...]:
    """Where the texts of a node are, without those that failed."""
    return tuple(places[name] for name in node.inputs if name in places)


def label(node: Node, inputs: Sequence[Place]) -> str:
    """What a node's item is called: the node, and of which texts it was made: it is made anew if those change."""
    digest = hashlib.sha256(repr(tuple(inputs)).encode()).hexdigest()[:10]
    return f"{node.id}:{digest}"


def chunks(text: str, most_tokens: int) -> Iterator[str]:
    """A text in pieces that together are the text, each estimated at no more tokens than that; cut between paragraphs
    if possible, else between lines, sentences or words. A character is never cut, however many tokens it has."""
    most_tokens = max(most_tokens, LEAST_CHUNK_TOKENS)
    start, per_token = 0, float(_GUESSED_CHARACTERS_PER_TOKEN)
    while start < len(text):
        end = _end(text, start, most_tokens, per_token)
        piece = text[start:end]
        per_token = max(1.0, len(piece) / max(1, estimate_tokens(piece)))
        start = end
        yield piece


def _end(text: str, start: int, most_tokens: int, per_token: float) -> int:
    """Where the piece that begins at `start` ends: the guess is widened while there is room, then cut until it fits."""
    size = max(1, int(most_tokens * per_token))
    tokens = estimate_tokens(text[start : start + size])
    while tokens < most_tokens * 0.8 and start + size < len(text):
        size = max(size + 1, int(size * min(2.0, 0.9 * most_tokens / max(1, tokens))))
        tokens = estimate_tokens(text[start : start + size])
    while True:
        if tokens <= most_tokens or size <= 1:
            end = min(start + size, len(text))
            cut = end if end == len(text) else _break(text, start, end)
            if cut == end or estimate_tokens(text[start:cut]) <= most_tokens:
                return cut
        size = max(1, min(size - 1, int(size * max(0.3, 0.95 * most_tokens / max(1, tokens)))))
        tokens = estimate_tokens(text[start : start + size])


def _break(text: str, start: int, end: int) -> int:
    middle = start + (end - start) // 2
    for mark in _BREAKS:
        at = text.rfind(mark, middle, end)
        if at >= 0:
            return at + len(mark)
    return end


class Load(Frozen, frozen=True, gc=False):
    """What there is to summarize: documents, the requests they are read with, and the tokens of their texts."""

    documents: int
    requests: int  # chunks, and putting long documents together
    text_tokens: int


class Share(Frozen, frozen=True, gc=False):
    """What one of the models has to do, at most: answers are counted at their full length."""

    requests: int
    input_tokens: int
    output_tokens: int


def map_requests(chunk_count: int, fan_in: int) -> int:
    """Requests for one document: one for each chunk, and putting those together."""
    requests, left = chunk_count, chunk_count
    while left > 1:
        left = -(-left // fan_in)
        requests += left
    return requests


def shares(load: Load, map_prompt_tokens: int, rules: TreeRules) -> tuple[Share, Share]:
    """What the map model and the reduce model have to do."""
    combined = load.requests - load.documents  # chunks of long documents come back as summaries
    mapped = Share(
        load.requests,
        load.text_tokens + load.requests * (map_prompt_tokens + FRAME_TOKENS) + combined * rules.summary_tokens,
        load.requests * rules.summary_tokens,
    )
    nodes = [node for wave in tree(load.documents, rules) for node in wave]
    inputs = sum(len(node.inputs) for node in nodes)
    reduced = Share(
        len(nodes),
        len(nodes) * rules.prompt_tokens + inputs * (rules.summary_tokens + FRAME_TOKENS),
        len(nodes) * rules.summary_tokens,
    )
    return mapped, reduced
