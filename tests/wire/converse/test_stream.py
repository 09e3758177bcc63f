"""ConverseStream: what each event means, whatever is missing, doubled, out of step or an error."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import StreamFailed
from headgate.types import Counted, Usage
from headgate.wire.chunks import (
    Cited,
    Ended,
    Finished,
    Metered,
    PartDone,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolCallDelta,
    ToolCallStarted,
)
from headgate.wire.converse.dialect import PROVIDER
from headgate.wire.converse.stream import StreamListener
from headgate.wire.folding import fold
from headgate.wire.neutral import Citation, Finish, Image, Opaque, Text, Thinking, ToolCall
from tests.wire.chunking import cuts
from tests.wire.converse.events import (
    METADATA,
    PADDING,
    START,
    delta,
    error,
    event,
    exception,
    listen,
    message_stop,
    stop,
    tool_start,
)

USAGE = Usage(input=10, output=5, counted=Counted.REPORTED)
AGENT = b"".join(
    [
        START,
        delta(0, reasoningContent={"text": "The user asks "}),
        delta(0, reasoningContent={"text": "for two towns."}),
        delta(0, reasoningContent={"signature": "EqkB"}),
        stop(0),
        delta(1, text="Let me "),
        delta(1, text="look 🌦."),
        stop(1),
        tool_start(2, "tooluse_1", "weather"),
        delta(2, toolUse={"input": ""}),
        delta(2, toolUse={"input": '{"town": "Par'}),
        delta(2, toolUse={"input": 'is"}'}),
        stop(2),
        tool_start(3, "tooluse_2", "now"),
        delta(3, toolUse={"input": ""}),
        stop(3),
        message_stop("tool_use"),
        METADATA,
    ]
)


def test_an_agents_turn() -> None:
    chunks, listener = listen(AGENT)
    assert chunks == [
        Started("", ""),
        ThinkingDelta("The user asks "),
        ThinkingDelta("for two towns."),
        ThinkingSigned("EqkB", origin="bedrock"),
        TextDelta("Let me "),
        TextDelta("look 🌦."),
        ToolCallStarted(0, "tooluse_1", "weather"),
        ToolCallDelta(0, '{"town": "Par'),
        ToolCallDelta(0, 'is"}'),
        ToolCallStarted(1, "tooluse_2", "now"),
        ToolCallDelta(1, "{}"),  # a tool without arguments gets none, and clients want JSON
        Finished(Finish.TOOL_CALLS),
        Metered(USAGE),
        Ended(),
    ]
    assert listener.missing() == ""
    assert fold(chunks).choices[0].parts == (
        Thinking("The user asks for two towns.", signature="EqkB", origin="bedrock"),
        Text("Let me look 🌦."),
        ToolCall("tooluse_1", "weather", '{"town": "Paris"}'),
        ToolCall("tooluse_2", "now", "{}"),
    )


@given(cuts(st.just(AGENT)))
def test_the_chunking_changes_nothing(case: tuple[bytes, list[bytes]]) -> None:
    assert listen(*case)[0] == listen(AGENT)[0]


def test_split_at_every_byte() -> None:
    assert listen(AGENT, [AGENT[place : place + 1] for place in range(len(AGENT))])[0] == listen(AGENT)[0]


def test_texts_of_several_blocks_are_told_apart() -> None:
    said = b"".join([delta(0, text="a"), stop(0), delta(1, text="b"), delta(1, text="c"), stop(1), delta(2, text="d")])
    assert listen(said)[0] == [
        TextDelta("a"),
        TextDelta("b", starts_part=True),
        TextDelta("c"),
        TextDelta("d", starts_part=True),
    ]


def test_a_text_that_is_announced_and_an_empty_delta_say_nothing() -> None:
    announced = event("contentBlockStart", {"contentBlockIndex": 0, "start": {}})
    assert listen(announced + delta(0, text="") + delta(0) + stop(0))[0] == []


def test_interleaved_tool_calls() -> None:
    chunks, _ = listen(
        tool_start(4, "a", "f")
        + tool_start(7, "b", "g")
        + delta(7, toolUse={"input": "[]"})
        + delta(4, toolUse={"input": "{}"})
        + message_stop("tool_use")
    )
    assert chunks[2:4] == [ToolCallDelta(1, "[]"), ToolCallDelta(0, "{}")]


def test_a_tool_call_that_is_never_closed_still_has_arguments() -> None:
    chunks, _ = listen(tool_start(0, "a", "f") + message_stop("tool_use"))
    assert chunks[1:] == [ToolCallDelta(0, "{}"), Finished(Finish.TOOL_CALLS)]


def test_arguments_of_no_tool_call_are_malformed() -> None:
    with pytest.raises(ValueError, match="has not begun"):
        listen(delta(0, toolUse={"input": "{}"}))


@pytest.mark.parametrize("end", [stop(0), delta(1, text="Hi"), tool_start(1, "a", "f"), message_stop("end_turn")])
def test_the_proof_of_a_thought_comes_when_the_thought_is_over(end: bytes) -> None:
    chunks, _ = listen(
        delta(0, reasoningContent={"signature": "Eq"}) + delta(0, reasoningContent={"signature": "kB"}) + end
    )
    assert chunks[0] == ThinkingSigned("EqkB", origin="bedrock")


def test_redacted_thoughts_are_put_together() -> None:
    pieces = [b64encode(piece).decode() for piece in (b"secret", b"thoughts!")]
    chunks, _ = listen(
        b"".join(delta(0, reasoningContent={"redactedContent": piece}) for piece in pieces)
        + stop(0)
        + delta(1, reasoningContent={"redactedContent": pieces[0]})
        + stop(1)
    )
    whole = b64encode(b"secretthoughts!").decode()
    assert chunks == [
        ThinkingSigned(redacted=whole, origin="bedrock"),
        ThinkingSigned(redacted=pieces[0], origin="bedrock"),
    ]


def test_thoughts_of_two_blocks_are_told_apart() -> None:
    chunks, _ = listen(
        delta(0, reasoningContent={"text": "a"})
        + delta(0, reasoningContent={"signature": "s"})
        + delta(1, reasoningContent={"text": "b"})
        + stop(1)
    )
    assert chunks == [ThinkingDelta("a"), ThinkingSigned("s", origin="bedrock"), ThinkingDelta("b", starts_part=True)]


def test_citations() -> None:
    place = {"documentChar": {"documentIndex": 0, "start": 58, "end": 96}}
    cited = {"title": "policy", "sourceContent": [{"text": "Ask your "}, {"text": "manager."}], "location": place}
    web = {"source": "s", "location": {"web": {"url": "https://example.com/a", "domain": "example.com"}}}
    chunks, _ = listen(delta(0, text="Ask.") + delta(0, citation=cited) + delta(0, citation=web) + stop(0))
    assert chunks == [
        TextDelta("Ask."),
        Cited(Citation(title="policy", cited_text="Ask your manager.")),
        Cited(Citation(url="https://example.com/a")),
    ]


def test_an_image_comes_whole() -> None:
    begun = event("contentBlockStart", {"contentBlockIndex": 0, "start": {"image": {"format": "png"}}})
    pieces = [b64encode(piece).decode() for piece in (b"\x89PNG", b"....")]
    chunks, _ = listen(begun + b"".join(delta(0, image={"source": {"bytes": piece}}) for piece in pieces) + stop(0))
    assert chunks == [PartDone(Image("image/png", b64encode(b"\x89PNG....").decode()))]


def test_a_tool_that_the_provider_runs_is_not_the_clients() -> None:
    start = {"toolUse": {"toolUseId": "t", "name": "nova_code_interpreter", "type": "server_tool_use"}}
    begun = event("contentBlockStart", {"contentBlockIndex": 0, "start": start})
    chunks, _ = listen(begun + delta(0, toolUse={"input": "{}"}) + stop(0) + message_stop("end_turn"))
    [done, finished] = chunks
    assert isinstance(done, PartDone) and isinstance(done.part, Opaque)
    assert (done.part.dialect, done.part.kind) == ("converse", "toolUse") and b"nova_code_interpreter" in done.part.raw
    assert finished == Finished(Finish.STOP)


FINISHES = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "guardrail_intervened": Finish.CONTENT_FILTER,
    "content_filtered": Finish.CONTENT_FILTER,
    "tool_use": Finish.TOOL_CALLS,
    "reason_of_tomorrow": Finish.STOP,
}


@pytest.mark.parametrize("reason", FINISHES)
def test_stop_reasons(reason: str) -> None:
    assert listen(message_stop(reason))[0] == [Finished(FINISHES[reason])]


def test_a_stop_reason_of_tomorrow_after_tool_calls_waits_for_them() -> None:
    assert listen(tool_start(0, "a", "f") + message_stop("tools_please"))[0][-1] == Finished(Finish.TOOL_CALLS)


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use", "error", "aborted"])
def test_a_model_that_gave_up_is_a_failure(reason: str) -> None:
    with pytest.raises(StreamFailed, match=reason):
        listen(message_stop(reason))


@pytest.mark.parametrize(
    "fields", [{"stop_sequence": "END"}, {"delta": {"stop_sequence": "END"}}, {"delta": None, "stop_sequence": "END"}]
)
def test_the_stop_sequence_that_was_met(fields: object) -> None:
    [finished] = listen(message_stop("stop_sequence", additionalModelResponseFields=fields))[0]
    assert finished == Finished(Finish.STOP_SEQUENCE, stop_sequence="END")


@pytest.mark.parametrize("fields", [None, {}, [], "x", {"stop_sequence": None}, {"stop_sequence": 5}, {"delta": 1}])
def test_other_fields_of_a_model_do_not_matter(fields: object) -> None:
    assert listen(message_stop("end_turn", additionalModelResponseFields=fields))[0] == [Finished(Finish.STOP)]


def test_a_stream_is_complete_with_its_stop_reason_and_usage_may_be_missing() -> None:
    listener = StreamListener()
    assert listener.missing() == "a stop reason"
    assert listener.read(METADATA) == (Metered(USAGE),)  # no end before the stop reason
    assert listener.missing()
    listener.read(message_stop("end_turn"))
    assert listener.missing() == ""
    assert listener.read(event("metadata", {"metrics": {"latencyMs": 1}})) == (Ended(),)
    assert listener.read(METADATA) == (Metered(USAGE),)  # it ends once
    assert listener.read(event("metadata", {"metrics": {}, "usage": None})) == ()


def test_events_of_tomorrow_say_nothing() -> None:
    assert listen(event("somethingNew", {"a": 1}) + event("initial-response", b""))[0] == []


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (exception("throttlingException", {"message": "Too many tokens."}), "throttlingException.*Too many tokens."),
        (exception("internalServerException", {"message": "Sorry."}), "internalServerException.*Sorry."),
        (
            exception(
                "modelStreamErrorException",
                {"message": "The model failed.", "originalStatusCode": 424, "originalMessage": "CUDA error"},
            ),
            "The model failed. CUDA error",
        ),
        (exception("validationException", b"not JSON"), "not JSON"),
        (exception("serviceUnavailableException", b""), "no message"),
        (error("InternalError", "An internal server error occurred"), "InternalError.*An internal server error"),
        (event("throttlingException", {"message": "Slow down."}), "Slow down."),
    ],
)
def test_an_error_in_the_stream_is_a_failure_in_the_providers_words(frame: bytes, words: str) -> None:
    listener = StreamListener()
    listener.read(delta(0, text="Hal"))
    with pytest.raises(StreamFailed, match=words):
        listener.read(frame)


@pytest.mark.parametrize(
    "frame",
    [
        event("contentBlockDelta", b"{"),
        event("contentBlockDelta", b'{"delta": {"text": 5}}'),
        event("contentBlockDelta", b"[]"),
        event("contentBlockDelta", b'{"delta": {"text": "\xff"}}'),
        event("contentBlockDelta", b'{"x":' + b"[" * 100_000),
        event("messageStop", b"{}"),
        event("metadata", {"usage": {"inputTokens": "many"}}),
        b"",
        b"garbage",
    ],
)
def test_what_is_no_event_is_malformed(frame: bytes) -> None:
    with pytest.raises(ValueError):
        StreamListener().read(frame)


def test_a_character_that_is_cut_in_two_events_is_put_together() -> None:
    halves = [
        b'{"contentBlockIndex":0,"delta":{"text":"Hi \\ud83d"}}',
        b'{"contentBlockIndex":0,"delta":{"text":"\\ude00!"}}',
    ]
    chunks, _ = listen(b"".join(event("contentBlockDelta", half) for half in halves))
    assert chunks == [TextDelta("Hi "), TextDelta("😀!")]


def test_padding_is_no_content() -> None:
    assert PADDING not in repr(listen(AGENT)[0])
    assert PROVIDER.listener().missing() and PROVIDER.splitter().take_rest() == b""
