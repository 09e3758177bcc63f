"""What real providers have sent passes unchanged and is understood, in whatever pieces it arrives."""

from __future__ import annotations

import json
import random
import re

import pytest

from headgate.types import Route, Usage
from headgate.wire import openai
from headgate.wire.openai import CallHeaders
from headgate.wire.openai_stream import StreamReader
from tests.golden.exchanges import Exchange, load, look
from tests.wire.chunking import cut

EXCHANGES = load()
ROUTES = {"chat.completions": Route.CHAT, "completions": Route.COMPLETIONS, "embeddings": Route.EMBEDDINGS}
LICENCES = {"MIT", "Apache-2.0"}
STREAMS = [exchange for exchange in EXCHANGES if exchange.response_text is not None]
ANSWERS = [exchange for exchange in EXCHANGES if exchange.response_text is None and exchange.status == 200]
ERRORS = [exchange for exchange in EXCHANGES if exchange.status != 200]


def each(exchanges: list[Exchange]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("exchange", exchanges, ids=[exchange.name for exchange in exchanges])


def read(data: bytes, *, strip_usage: bool = False, seed: int = 0) -> tuple[StreamReader, bytes]:
    """The reader after a stream in random pieces, and all it forwarded."""
    reader, forwarded = StreamReader(strip_usage=strip_usage), b""
    for piece in cut(data, random.Random(seed), pieces=30):
        if reader.failure is None:
            forwarded += reader.feed(piece)
    reader.finish()
    return reader, forwarded + (reader.tail if reader.failure is None else b"")


def agrees(usage: Usage | None, recorded: dict[str, int] | None) -> bool:
    """Whether the prompt's tokens, and what the total has beside them, are those recorded."""
    if usage is None or not recorded:
        return usage is None and not recorded
    tokens_in, tokens_out = recorded["prompt_tokens"], recorded.get("completion_tokens") or 0
    return (usage.input, usage.output) == (tokens_in, max(tokens_out, (recorded.get("total_tokens") or 0) - tokens_in))


def test_the_selection_covers_what_it_should() -> None:
    assert len({exchange.provider for exchange in STREAMS}) >= 9
    assert len({exchange.provider for exchange in EXCHANGES}) >= 12
    assert {exchange.api for exchange in EXCHANGES} == set(ROUTES)
    assert any("error_in_stream" in exchange.tags for exchange in STREAMS)
    assert {exchange.source["licence"] for exchange in EXCHANGES} <= LICENCES


@each(STREAMS)
def test_every_byte_of_a_complete_stream_is_forwarded(exchange: Exchange) -> None:
    assert exchange.response_text is not None
    data, seen = exchange.response_text.encode(), look(exchange.response_text)
    for seed in range(5):
        reader, forwarded = read(data, seed=seed)
        assert (reader.failure is None) == seen.complete
        assert forwarded == data if seen.complete else data.startswith(forwarded)
        assert reader.committed
        assert agrees(reader.usage, seen.usage)


@each(STREAMS)
def test_without_the_usage_chunk_nothing_else_is_missing(exchange: Exchange) -> None:
    assert exchange.response_text is not None
    expected, seen = exchange.response_text, look(exchange.response_text)
    for frame in seen.usage_frames:
        expected = expected.replace(frame, "", 1)
    reader, forwarded = read(exchange.response_text.encode(), strip_usage=True)
    assert forwarded == expected.encode() if seen.complete else expected.encode().startswith(forwarded)
    assert agrees(reader.usage, seen.usage)


@each(STREAMS)
def test_a_stream_cut_anywhere_is_complete_only_if_every_choice_had_finished(exchange: Exchange) -> None:
    assert exchange.response_text is not None
    chance, data = random.Random(exchange.id), exchange.response_text.encode()
    boundaries = [found.end() for found in re.finditer(rb"\n\n|\r\n\r\n", data)]
    places = {0, *chance.sample(boundaries, min(20, len(boundaries))), *boundaries[-4:]}
    for place in places:
        reader, forwarded = read(data[:place])
        assert (reader.failure is None) == look(data[:place].decode()).complete
        assert data.startswith(forwarded)
    for place in chance.sample(
        range(len(data)), 20
    ):  # inside an event, which an onlooker cannot parse unless it is whole
        if read(data[:place])[0].failure is None:
            assert look(data[:place].decode()).complete


@each(ANSWERS)
def test_json_answers_are_understood(exchange: Exchange) -> None:
    found = openai.read_answer(ROUTES[exchange.api], json.dumps(exchange.response).encode())
    assert (found.empty, found.failed) == (False, "")
    assert agrees(found.usage, exchange.response.get("usage"))


@each(ERRORS)
def test_errors_are_passed_on_in_the_providers_words(exchange: Exchange) -> None:
    said = openai.error_message(json.dumps(exchange.response).encode())
    assert said and said != "no message"
    assert json.dumps(exchange.response, ensure_ascii=False).find(json.dumps(said, ensure_ascii=False)[1:-1]) >= 0


@each(EXCHANGES)
def test_requests_go_upstream_as_they_came(exchange: Exchange) -> None:
    request = {**exchange.request, "model": exchange.request.get("model") or "in-the-url"}
    call = openai.parse_call(ROUTES[exchange.api], json.dumps(request).encode(), "req_1", CallHeaders())
    sent = openai.upstream_body(call, request["model"], max_output_tokens=None, ask_usage=False)
    assert json.loads(sent) == request
    assert call.stream == (exchange.stream and exchange.api != "embeddings")
    used = openai.features(call)
    assert used.tools == bool(request.get("tools") or request.get("functions"))
    assert used.images == ('"image_url"' in json.dumps(request.get("messages", "")))
