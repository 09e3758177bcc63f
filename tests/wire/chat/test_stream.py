"""What a server's stream of chunks means."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import StreamFailed
from headgate.types import Counted, Usage
from headgate.wire.chat.dialect import PROVIDER
from headgate.wire.chunks import (
    Chunk,
    Cited,
    Ended,
    Finished,
    LogprobsDelta,
    Metered,
    PartDone,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolCallDelta,
    ToolCallStarted,
)
from headgate.wire.neutral import Citation, Finish, Image, Opaque
from tests.wire.chunking import cuts
from tests.wire.chunks import DONE, choice, chunk, event, stop, text, usage

Json = dict[str, Any]


def listen(stream: bytes) -> tuple[list[Chunk], str]:
    """The chunks of a stream, and what it lacks."""
    return listen_to([stream])


def listen_to(pieces: list[bytes]) -> tuple[list[Chunk], str]:
    splitter, listener = PROVIDER.splitter(), PROVIDER.listener()
    frames = [frame for piece in pieces for frame in splitter.feed(piece)]
    chunks = [heard for frame in frames for heard in listener.read(frame)]
    return chunks, listener.missing()


def heard(*deltas: Json, finish: str = "stop") -> list[Chunk]:
    """What these deltas of the first choice mean, without what every stream begins with."""
    chunks, missing = listen(b"".join(chunk(choice(delta)) for delta in deltas) + stop(finish) + DONE)
    assert missing == "" and isinstance(chunks[0], Started) and chunks[-1] == Ended()
    return chunks[1:-1]


def call(index: int | None = 0, **members: Any) -> Json:
    """A delta with one piece of a tool call; `id` and `type` are the call's, all others its function's."""
    piece: Json = {} if index is None else {"index": index}
    piece |= {name: members.pop(name) for name in ("id", "type", "extra_content") if name in members}
    return {"tool_calls": [{**piece, "function": members}]}


def member(name: str) -> ThinkingSigned:
    return ThinkingSigned(name, origin="chat")


STOPPED = Finished(Finish.STOP)
CALLED = Finished(Finish.TOOL_CALLS)


def test_a_stream() -> None:
    stream = (
        chunk(choice({"role": "assistant", "content": ""}), model="m1", created=7)
        + text("Hi")
        + stop()
        + usage()
        + DONE
    )
    assert listen(stream) == (
        [
            Started("c1", "m1", 7),
            TextDelta("Hi"),
            STOPPED,
            Metered(Usage(7, 0, 3, counted=Counted.REPORTED)),
            Ended(),
        ],
        "",
    )


def test_azures_preamble_is_no_start() -> None:
    preamble = event({"id": "", "model": "", "created": 0, "choices": [], "prompt_filter_results": [{}]})
    chunks, _ = listen(preamble + text("Hi"))
    assert chunks == [Started("c1", ""), TextDelta("Hi")]


@pytest.mark.parametrize(
    ("deltas", "chunks"),
    [
        ([{"content": "<think>"}], [TextDelta("<think>"), STOPPED]),
        ([{"content": None}, {"content": ""}, {}], [STOPPED]),
        ([{"refusal": "No."}], [RefusalDelta("No."), Finished(Finish.REFUSAL)]),
        (
            [{"reasoning_content": "H"}, {"reasoning_content": "m.", "content": None}, {"content": "a"}],
            [ThinkingDelta("H"), ThinkingDelta("m."), member("reasoning_content"), TextDelta("a"), STOPPED],
        ),
        (
            [{"reasoning": "Hm.", "content": ""}, {"content": "a"}],
            [ThinkingDelta("Hm."), member("reasoning"), TextDelta("a"), STOPPED],
        ),
        (
            [{"reasoning": "Hm.", "content": "a"}],
            [ThinkingDelta("Hm."), member("reasoning"), TextDelta("a"), STOPPED],
        ),
        ([{"reasoning_content": "Hm."}], [ThinkingDelta("Hm."), member("reasoning_content"), STOPPED]),
        (
            [
                {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]},
                {"content": [{"type": "text", "text": "a"}]},
            ],
            [ThinkingDelta("Hm."), member("thinking"), TextDelta("a"), STOPPED],
        ),
        (
            [{"content": [{"type": "reference", "reference_ids": [1]}]}],
            [PartDone(Opaque("chat", "reference", b'{"type": "reference", "reference_ids": [1]}')), STOPPED],
        ),
        (
            [{"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}]}],
            [PartDone(Image(media_type="image/png", data="QUJD")), STOPPED],
        ),
        ([{"audio": {"data": "QUJD"}}], [PartDone(Opaque("chat", "audio", b'{"data": "QUJD"}')), STOPPED]),
        (
            [{"annotations": [{"type": "url_citation", "url_citation": {"url": "https://a", "end_index": 3}}]}],
            [Cited(Citation("https://a", start=0, end=3)), STOPPED],
        ),
    ],
)
def test_deltas(deltas: list[Json], chunks: list[Chunk]) -> None:
    assert heard(*deltas) == chunks


# --- tool calls ---

FIRST = ToolCallStarted(0, "a", "f")
SECOND = ToolCallStarted(1, "b", "g")


@pytest.mark.parametrize(
    ("deltas", "chunks"),
    [
        # OpenAI: the name first, then arguments in pieces
        (
            [call(id="a", type="function", name="f", arguments=""), call(arguments='{"x"'), call(arguments=":1}")],
            [FIRST, ToolCallDelta(0, '{"x"'), ToolCallDelta(0, ":1}")],
        ),
        # Groq, xAI: the whole call at once
        ([call(id="a", name="f", arguments="{}")], [FIRST, ToolCallDelta(0, "{}")]),
        # interleaved
        (
            [call(0, id="a", name="f"), call(1, id="b", name="g"), call(0, arguments="1"), call(1, arguments="2")],
            [FIRST, SECOND, ToolCallDelta(0, "1"), ToolCallDelta(1, "2")],
        ),
        # Alibaba: an empty id in every piece; others: the same id and name in every piece
        ([call(id="a", name="f"), call(id="", arguments="1")], [FIRST, ToolCallDelta(0, "1")]),
        ([call(id="a", name="f"), call(id="a", name="f", arguments="1")], [FIRST, ToolCallDelta(0, "1")]),
        # a new id in every piece
        ([call(id="a", name="f"), call(id="z", arguments="1")], [FIRST, ToolCallDelta(0, "1")]),
        # all calls have index 0
        (
            [call(0, id="a", name="f"), call(0, arguments="1"), call(0, id="b", name="g"), call(0, arguments="2")],
            [FIRST, ToolCallDelta(0, "1"), SECOND, ToolCallDelta(1, "2")],
        ),
        # Ollama, Mistral: no index
        (
            [call(None, id="a", name="f", arguments="1"), call(None, id="b", name="g", arguments="2")],
            [FIRST, ToolCallDelta(0, "1"), SECOND, ToolCallDelta(1, "2")],
        ),
        ([call(None, id="a", name="f"), call(None, arguments="1")], [FIRST, ToolCallDelta(0, "1")]),
        # indices that do not begin at 0
        ([call(1, id="a", name="f"), call(1, arguments="1")], [FIRST, ToolCallDelta(0, "1")]),
        # Mistral's GLM: an empty name later on; the name after the arguments
        ([call(id="a", name="f"), call(name="", arguments="1")], [FIRST, ToolCallDelta(0, "1")]),
        ([call(id="a", arguments="1"), call(name="f", arguments="2")], [FIRST, ToolCallDelta(0, "12")]),
        # arguments that are JSON
        ([call(id="a", name="f", arguments={"x": 1})], [FIRST, ToolCallDelta(0, '{"x":1}')]),
        # Gemini: no id, but a signature
        (
            [call(id="", name="f", extra_content={"google": {"thought_signature": "s"}})],
            [ToolCallStarted(0, "call_c1_0_0", "f", "s", "chat")],
        ),
        # functions of old
        (
            [{"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": "1"}}],
            [ToolCallStarted(0, "call_c1_0_0", "f"), ToolCallDelta(0, "1")],
        ),
    ],
)
def test_tool_calls(deltas: list[Json], chunks: list[Chunk]) -> None:
    assert heard(*deltas, finish="tool_calls") == [*chunks, CALLED]


def test_who_stops_after_a_call_waits_for_the_tool() -> None:
    assert heard(call(id="a", name="f"), finish="stop") == [FIRST, CALLED]


def test_a_call_without_a_name_is_malformed() -> None:
    with pytest.raises(ValueError, match="no name"):
        heard(call(id="a", arguments="{}"))


# --- OpenRouter's details ---


def detail(**members: Any) -> Json:
    return {
        "content": "",
        "reasoning": members.get("text"),
        "reasoning_details": [{"type": "reasoning.text", **members}],
    }


def proof(chunks: list[Chunk]) -> list[Json]:
    return [json.loads(chunk.signature or chunk.redacted) for chunk in chunks if isinstance(chunk, ThinkingSigned)]


def test_the_signature_of_a_thought_ends_it() -> None:
    chunks = heard(
        detail(text="H", index=0, format="anthropic-claude-v1"),
        detail(text="m.", index=0, format="anthropic-claude-v1"),
        detail(signature="s", index=0, format="anthropic-claude-v1"),
        {"content": "a"},
    )
    assert [type(chunk) for chunk in chunks] == [ThinkingDelta, ThinkingDelta, ThinkingSigned, TextDelta, Finished]
    assert proof(chunks) == [{"type": "reasoning.text", "signature": "s", "format": "anthropic-claude-v1", "index": 0}]


def test_thoughts_are_told_apart_by_their_index() -> None:
    chunks = heard(
        detail(text="Hm.", index=0),
        detail(signature="s", index=0),
        detail(text="Oh.", index=1),
        detail(signature="t", index=1),
    )
    assert [type(chunk) for chunk in chunks] == [ThinkingDelta, ThinkingSigned, ThinkingDelta, ThinkingSigned, Finished]
    assert [signed["signature"] for signed in proof(chunks)] == ["s", "t"]


def test_a_hidden_thought_is_one_of_its_own() -> None:
    hidden = {"type": "reasoning.encrypted", "data": "d", "index": 0, "id": "rs_1", "format": "openai-responses-v1"}
    summary = {"type": "reasoning.summary", "summary": "Hm.", "index": 0}
    chunks = heard({"reasoning_details": [summary]}, {"reasoning_details": [hidden]})
    assert chunks[:2] == [ThinkingDelta("Hm."), member("reasoning")]
    assert isinstance(chunks[2], ThinkingSigned) and json.loads(chunks[2].redacted) == hidden


# --- the frame around ---


def test_several_choices() -> None:
    chunks, missing = listen(text("a") + text("b", index=1) + stop("length", index=1) + stop())
    assert chunks[1:] == [TextDelta("a"), TextDelta("b", 1), Finished(Finish.LENGTH, 1), STOPPED]
    assert missing == ""


@pytest.mark.parametrize(
    ("stream", "missing"),
    [
        (b"", "any choice"),
        (usage(), "any choice"),
        (text("a"), "a finish reason"),
        (text("a") + stop() + text("b", index=1), "a finish reason"),
        (text("a") + stop(), ""),
    ],
)
def test_what_is_missing(stream: bytes, missing: str) -> None:
    assert listen(stream)[1] == missing


@pytest.mark.parametrize(
    ("frame", "chunks"),
    [
        (b": OPENROUTER PROCESSING\n\n", []),
        (b"data:\n\n", []),
        (b"event: ping\n\n", []),
        (b'data: {"type":"tomorrow"}\n\n', []),
        (b'data: {"choices":[]}\n\n', []),
        (b'data: {"choices":null,"usage":null}\r\n\r\n', []),
        (b"data: [DONE]\r\n\r\n", [Ended()]),
        (b"data:[DONE] \n\n", [Ended()]),
    ],
)
def test_frames_that_say_little(frame: bytes, chunks: list[Chunk]) -> None:
    assert list(PROVIDER.listener().read(frame)) == chunks


def test_a_finish_reason_counts_once() -> None:
    chunks, _ = listen(text("a") + stop("") + stop() + stop() + DONE)
    assert chunks.count(STOPPED) == 1


def test_usage_in_every_chunk_and_in_groqs_member() -> None:
    counts = {"prompt_tokens": 7, "completion_tokens": 3}
    chunks, _ = listen(
        chunk(choice({"content": "a"}), usage=counts) + chunk(choice({}, "stop"), x_groq={"usage": counts})
    )
    assert chunks.count(Metered(Usage(7, 0, 3, counted=Counted.REPORTED))) == 2


def test_perplexitys_sources_are_told_once() -> None:
    sources = {"citations": ["https://a"], "search_results": [{"url": "https://a", "title": "A"}]}
    chunks, _ = listen(chunk(choice({"content": "a"}), **sources) + chunk(choice({}, "stop"), **sources))
    assert chunks[1:] == [TextDelta("a"), Cited(Citation("https://a", "A")), STOPPED]


def test_logprobs() -> None:
    logprobs = b'{"content":[{"token":"a","logprob":-0.5}]}'
    frame = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"logprobs":' + logprobs + b"}]}\n\n"
    assert listen(frame)[0][1:] == [TextDelta("a"), LogprobsDelta(msgspec.Raw(logprobs))]


@pytest.mark.parametrize("finish", ["error", "abort", "insufficient_system_resource"])
def test_a_model_that_gave_up_has_failed(finish: str) -> None:
    with pytest.raises(StreamFailed, match=finish):
        listen(text("a") + stop(finish))


@pytest.mark.parametrize(
    "frame",
    [
        event({"error": {"message": "Token limit reached", "code": 400}}),
        b"event: error\n" + event({"error": {"message": "Token limit reached"}}),
        chunk(choice({"content": ""}), error={"message": "Token limit reached"}),
        event({"error": "Token limit reached"}),
    ],
)
def test_an_error_in_the_stream(frame: bytes) -> None:
    with pytest.raises(StreamFailed, match="Token limit reached"):
        listen(frame)


@pytest.mark.parametrize(
    "data", [b"<html>", b"{", b"[]", b'{"choices":[5]}', b'{"choices":[{"delta":{"content":"\xff"}}]}', b"[" * 100_000]
)
def test_what_is_no_chunk(data: bytes) -> None:
    with pytest.raises(ValueError):
        PROVIDER.listener().read(b"data: " + data + b"\n\n")


def test_a_character_in_two_events_is_whole_again() -> None:
    halves = [b'data: {"choices":[{"delta":{"content":"' + half + b'"}}]}\n\n' for half in (b"a\\ud83d", b"\\ude00b")]
    chunks, _ = listen(b"".join(halves))
    assert "".join(chunk.text for chunk in chunks if isinstance(chunk, TextDelta)) == "a😀b"


# --- cut anywhere ---

SAID = st.sampled_from(
    [
        text("Grüße \u2028 😀"),
        text("b", index=1),
        chunk(choice({"reasoning_content": "Hm."})),
        chunk(choice(call(id="a", name="f", arguments='{"x"'))),
        chunk(choice(call(id="a", name="f", arguments=":1}"))),
        b": a comment\n\n",
        usage().replace(b"\n", b"\r\n"),
        text("c").replace(b"\n", b"\r"),
    ]
)
streams = st.lists(SAID, min_size=1, max_size=8).map(lambda frames: b"".join(frames) + stop() + stop(index=1) + DONE)


@given(cuts(streams))
def test_a_stream_means_the_same_wherever_it_is_cut(cut: tuple[bytes, list[bytes]]) -> None:
    data, pieces = cut
    assert listen_to(pieces) == listen(data)
    assert listen_to([data[index : index + 1] for index in range(len(data))]) == listen(data)
