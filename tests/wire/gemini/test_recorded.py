"""What Gemini and Vertex really sent means what a plain reading of it says."""

from __future__ import annotations

import json

import pytest

from headgate.wire.chunks import Chunk
from headgate.wire.folding import fold
from headgate.wire.gemini.answer import read_answer
from headgate.wire.gemini.dialect import PROVIDER
from headgate.wire.neutral import Answer, Citation, Finish, Opaque, Text, Thinking, ToolCall
from tests.wire.gemini.recorded import Recording, recordings

ALL = recordings()
ARGUMENTS_IN_PIECES = "google-stream-no-args-tool-call"
FINISHES = {
    "871e879ff121": Finish.TOOL_CALLS,
    "6fe121e5ec4c": Finish.TOOL_CALLS,
    "cf2014d54749": Finish.TOOL_CALLS,
    ARGUMENTS_IN_PIECES: Finish.TOOL_CALLS,
    "c4f51662a6f1": Finish.LENGTH,
    "dfe16821638b": Finish.CONTENT_FILTER,
    "b8d88197d506": Finish.CONTENT_FILTER,
}


def read(recording: Recording) -> Answer:
    return fold(read_stream(recording.body)) if recording.stream else read_answer(recording.body)


def read_stream(body: bytes, *, cut_at: int = 0) -> list[Chunk]:
    splitter, listener = PROVIDER.splitter(), PROVIDER.listener()
    chunks: list[Chunk] = []
    for piece in (body[:cut_at], body[cut_at:]):
        for frame in splitter.feed(piece):
            chunks += listener.read(frame)
    assert splitter.take_rest() == b""
    assert listener.missing() == ""
    return chunks


@pytest.mark.parametrize("recording", ALL.values(), ids=ALL)
def test_every_recording_is_read_without_loss(recording: Recording) -> None:
    answer, reading = read(recording), recording.reading()
    (choice,) = answer.choices
    parts = choice.parts
    assert "".join(part.text for part in parts if isinstance(part, Text)) == reading.text
    assert "".join(part.text for part in parts if isinstance(part, Thinking)) == reading.thoughts
    calls = [(part.name, json.loads(part.arguments)) for part in parts if isinstance(part, ToolCall)]
    if recording.id != ARGUMENTS_IN_PIECES:
        assert calls == reading.calls
    signed = [part for part in parts if isinstance(part, Thinking | ToolCall) and part.signature]
    assert [part.signature for part in signed] == reading.signatures
    assert {part.origin for part in signed} <= {"gemini"}
    assert choice.finish is FINISHES.get(recording.id, Finish.STOP)
    assert (answer.id, answer.model) == (recording.events()[0]["responseId"], recording.events()[0]["modelVersion"])
    if reading.input:
        assert answer.usage is not None
        assert (answer.usage.input, answer.usage.output) == (reading.input, reading.output)
        assert answer.usage.reasoning == reading.reasoning
    else:
        assert answer.usage is None


@pytest.mark.parametrize("name", [ARGUMENTS_IN_PIECES, "f2f4baf43abf"])
def test_where_the_network_cuts_a_stream_makes_no_difference(name: str) -> None:
    body = ALL[name].body
    whole = read_stream(body)
    for place in range(0, len(body), 7):
        assert read_stream(body, cut_at=place) == whole


def test_calls_without_ids_get_the_same_ones_whenever_they_are_read() -> None:
    first, second = (read(ALL["cf2014d54749"]).choices[0].parts for _ in range(2))
    assert first == second
    ids = [part.id for part in first if isinstance(part, ToolCall)]
    assert ids == ["call_XZCkaLWWF8qm1dkP7rOm6AM_0", "call_XZCkaLWWF8qm1dkP7rOm6AM_1"]


def test_arguments_in_pieces_are_put_together() -> None:
    calls = [part for part in read(ALL[ARGUMENTS_IN_PIECES]).choices[0].parts if isinstance(part, ToolCall)]
    assert [(call.name, call.arguments) for call in calls] == [
        ("read_theme", "{}"),
        ("read_screen", '{"id":"A"}'),
        ("read_screen", '{"id":"B"}'),
        ("read_screen", '{"id":"C"}'),
    ]
    assert len({call.id for call in calls}) == len(calls)


def test_cached_tokens_are_part_of_the_input() -> None:
    usage = read(ALL["6fe121e5ec4c"]).usage
    assert usage is not None
    assert (usage.input, usage.cached_input) == (557, 330)


def test_what_googles_own_tools_read_is_input_and_kept_raw() -> None:
    usage = read(ALL["2023d722a417"]).usage
    assert usage is not None
    assert usage.input == 332 + 643
    assert json.loads(usage.raw)["toolUsePromptTokenCount"] == 643


def test_plain_usage_is_not_kept_raw() -> None:
    usage = read(ALL["871e879ff121"]).usage
    assert usage is not None
    assert usage.raw == b""


def test_googles_own_tool_calls_stay_whole() -> None:
    opaque = [part for part in read(ALL["2023d722a417"]).choices[0].parts if isinstance(part, Opaque)]
    assert [(part.dialect, part.kind) for part in opaque] == [("gemini", "toolCall"), ("gemini", "toolResponse")]
    assert json.loads(opaque[0].raw) == ALL["2023d722a417"].events()[0]["candidates"][0]["content"]["parts"][0]


def test_citations_name_their_places_in_characters() -> None:
    recording = ALL["9350e2ee9a5b"]
    (text,) = [part for part in read(recording).choices[0].parts if isinstance(part, Text)]
    supports = recording.events()[-1]["candidates"][0]["groundingMetadata"]["groundingSupports"]
    segments = {support["segment"]["text"] for support in supports}
    assert not text.text.isascii()
    assert {text.text[citation.start : citation.end] for citation in text.citations} == segments
    assert all(citation.url.startswith("https://") and citation.title for citation in text.citations)


def test_a_looked_up_text_is_what_a_citation_cites() -> None:
    (text,) = [part for part in read(ALL["2023d722a417"]).choices[0].parts if isinstance(part, Text)]
    cited = "Paris is the capital of France. The Eiffel Tower is a famous landmark in Paris.\n"
    assert text.citations == (Citation(cited_text=cited, start=0, end=49),)


def test_logprobs_are_in_the_shape_of_chat_completions() -> None:
    (choice,) = read(ALL["26540df413b0"]).choices
    assert choice.logprobs is not None
    content = json.loads(bytes(choice.logprobs))["content"]
    assert "".join(entry["token"] for entry in content) == "2 + 2 = 4"
    assert content[1] | {"top_logprobs": []} == {
        "token": " +",
        "logprob": -0.006128676,
        "bytes": [32, 43],
        "top_logprobs": [],
    }
    assert [top["token"] for top in content[0]["top_logprobs"]] == ["2", "4", "Four", "$", "**"]


def test_a_blocked_prompt_is_an_answer() -> None:
    answer = read(ALL["dfe16821638b"])
    assert [(choice.parts, choice.finish) for choice in answer.choices] == [((), Finish.CONTENT_FILTER)]
