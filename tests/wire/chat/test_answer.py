"""Whole answers: what a server's mean, and what a client is answered."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from headgate.errors import StreamFailed
from headgate.types import Counted, Usage
from headgate.wire.chat.dialect import CLIENT, PROVIDER
from headgate.wire.neutral import (
    Answer,
    Choice,
    Citation,
    Finish,
    Image,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from tests.wire.chat.bodies import Json, context, decoded

MISTRALS = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Yes."}]
SAYS_MORE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, "cost": 0.5}


def body(message: Json, finish: str | None = "stop", **members: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return json.dumps({"id": "c1", "model": "m1", "created": 7, "choices": [choice], **members}).encode()


def read(message: Json, finish: str | None = "stop", **members: Any) -> Choice:
    (choice,) = PROVIDER.read_answer(body(message, finish, **members)).choices
    return choice


def shown(*parts: Part, finish: Finish = Finish.STOP, **members: Any) -> Json:
    """The one choice that a client is answered."""
    answer = Answer("c1", "m1", (Choice(parts, finish),))
    (choice,) = decoded(CLIENT.write_answer(answer, context(**members)))["choices"]
    assert isinstance(choice, dict)
    return choice


# --- a server's ---


def test_an_answer() -> None:
    answer = PROVIDER.read_answer(body({"content": "Hi"}, usage={"prompt_tokens": 9, "completion_tokens": 3}))
    assert answer == Answer(
        "c1", "m1", (Choice((Text("Hi"),), Finish.STOP),), Usage(9, 0, 3, counted=Counted.REPORTED), 7
    )


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ({"content": None}, ()),
        ({"content": ""}, ()),
        ({"content": "<think>Hm.</think>Yes."}, (Text("<think>Hm.</think>Yes."),)),
        ({"content": "a", "reasoning_content": "H"}, (Thinking("H", "reasoning_content", origin="chat"), Text("a"))),
        ({"content": "Yes.", "reasoning": "Hm."}, (Thinking("Hm.", "reasoning", origin="chat"), Text("Yes."))),
        ({"content": MISTRALS}, (Thinking("Hm.", "thinking", origin="chat"), Text("Yes."))),
        (
            {"content": [{"type": "text", "text": "a"}, {"type": "reference", "reference_ids": [1]}]},
            (Text("a"), Opaque("chat", "reference", b'{"type": "reference", "reference_ids": [1]}')),
        ),
        ({"content": None, "refusal": "No."}, (Refusal("No."),)),
        (
            {"content": None, "images": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
                {"type": "image_url", "image_url": {"url": "https://a/b.png"}},
            ]},
            (Image(media_type="image/png", data="QUJD"), Image(url="https://a/b.png")),
        ),
        ({"content": None, "audio": {"id": "a1"}}, (Opaque("chat", "audio", b'{"id": "a1"}'),)),
        (
            {"content": None, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                {"id": "", "function": {"name": "g", "arguments": {"b": 2}}},
            ]},
            (ToolCall("c1", "f", '{"a":1}'), ToolCall("call_c1_0_1", "g", '{"b":2}')),
        ),
        ({"content": None, "function_call": {"name": "f", "arguments": "{}"}}, (ToolCall("call_c1_0_0", "f", "{}"),)),
        (
            {"tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": "{}"},
                             "extra_content": {"google": {"thought_signature": "s"}}}]},
            (ToolCall("c1", "f", "{}", "s", "chat"),),
        ),
        (
            {"tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "sql", "input": "select"}}]},
            (Opaque("chat", "custom", b'{"id":"c1","type":"custom","custom":{"name": "sql", "input": "select"}}'),),
        ),
    ],
)  # fmt: skip
def test_messages(message: Json, parts: tuple[Part, ...]) -> None:
    assert read(message).parts == parts


def test_openrouters_details_are_kept_to_be_sent_back() -> None:
    details = [
        {"type": "reasoning.text", "text": "Hm.", "signature": "s", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "d", "index": 1, "id": "rs_1"},
    ]
    signed, hidden, text = read({"content": "Yes.", "reasoning": "Hm.", "reasoning_details": details}).parts
    assert isinstance(signed, Thinking) and isinstance(hidden, Thinking) and text == Text("Yes.")
    assert (signed.text, signed.origin, hidden.text, hidden.origin) == ("Hm.", "chat", "", "chat")
    assert json.loads(signed.signature) == {name: value for name, value in details[0].items() if name != "text"}
    assert json.loads(hidden.redacted) == details[1]


def test_details_without_a_proof_are_plain_thoughts() -> None:
    details = [{"type": "reasoning.text", "text": "Hm.", "format": "unknown", "index": 0}]
    message = {"content": "Yes.", "reasoning": "Hm.", "reasoning_details": details}
    assert read(message).parts[0] == Thinking("Hm.", "reasoning", origin="chat")


@pytest.mark.parametrize(
    ("finish", "message", "means"),
    [
        ("stop", {"content": "a"}, Finish.STOP),
        ("eos", {"content": "a"}, Finish.STOP),
        ("end_turn", {"content": "a"}, Finish.STOP),
        ("a word of tomorrow", {"content": "a"}, Finish.STOP),
        (None, {"content": "a"}, Finish.STOP),
        ("length", {"content": "a"}, Finish.LENGTH),
        ("max_tokens", {"content": "a"}, Finish.LENGTH),
        ("MAX_TOKENS", {"content": "a"}, Finish.LENGTH),
        ("model_length", {"content": "a"}, Finish.LENGTH),
        ("tool_calls", {"content": "a"}, Finish.TOOL_CALLS),
        ("tool_use", {"content": "a"}, Finish.TOOL_CALLS),
        ("function_call", {"content": "a"}, Finish.TOOL_CALLS),
        ("stop", {"tool_calls": [{"id": "c", "function": {"name": "f"}}]}, Finish.TOOL_CALLS),
        ("length", {"tool_calls": [{"id": "c", "function": {"name": "f"}}]}, Finish.LENGTH),
        ("stop", {"refusal": "No."}, Finish.REFUSAL),
        ("content_filter", {"content": "a"}, Finish.CONTENT_FILTER),
        ("SAFETY", {"content": "a"}, Finish.CONTENT_FILTER),
        ("recitation", {"content": "a"}, Finish.CONTENT_FILTER),
        ("sensitive", {"content": "a"}, Finish.CONTENT_FILTER),
    ],
)
def test_finish_reasons(finish: str | None, message: Json, means: Finish) -> None:
    assert read(message, finish).finish is means


@pytest.mark.parametrize("finish", ["error", "abort", "insufficient_system_resource", "network_error", "cancelled"])
def test_a_model_that_gave_up_has_failed(finish: str) -> None:
    with pytest.raises(StreamFailed, match=finish):
        read({"content": "a"}, finish)


@pytest.mark.parametrize(("member", "matched"), [("stop_reason", "END"), ("matched_stop", "END"), ("stop_reason", 2)])
def test_the_stop_sequence_that_some_servers_name(member: str, matched: object) -> None:
    answer = decoded(body({"content": "a"}))
    answer["choices"][0][member] = matched
    (choice,) = PROVIDER.read_answer(json.dumps(answer).encode()).choices
    expected = (Finish.STOP_SEQUENCE, "END") if matched == "END" else (Finish.STOP, "")
    assert (choice.finish, choice.stop_sequence) == expected


def test_citations() -> None:
    cited = {"url": "https://a", "title": "A", "content": "a", "start_index": 0, "end_index": 3}
    placeless = {"url": "https://b", "title": "B", "start_index": 0, "end_index": 0}
    annotations = [{"type": "url_citation", "url_citation": citation} for citation in (cited, placeless)]
    assert read({"content": "Yes.", "annotations": annotations}).parts == (
        Text("Yes.", (Citation("https://a", "A", "a", 0, 3), Citation("https://b", "B"))),
    )


def test_perplexitys_sources() -> None:
    results = [{"url": "https://a", "title": "A", "snippet": "a", "date": "2026-01-01"}]
    (text,) = read({"content": "Yes[1]."}, citations=["https://a"], search_results=results).parts
    assert text == Text("Yes[1].", (Citation("https://a", "A", "a"),))
    (text,) = read({"content": "Yes[1]."}, citations=["https://a"]).parts
    assert text == Text("Yes[1].", (Citation("https://a"),))


def test_usage_beyond_our_classes_is_kept() -> None:
    usage = PROVIDER.read_answer(body({"content": "a"}, usage=SAYS_MORE)).usage
    assert usage is not None
    assert json.loads(usage.raw) == SAYS_MORE
    assert (usage.input, usage.output) == (9, 3)


def test_thoughts_that_are_counted_beside_the_completion() -> None:
    usage = PROVIDER.read_answer(
        body({"content": "a"}, usage={"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 20})
    ).usage
    assert usage is not None and (usage.output, usage.reasoning) == (11, 8)


def test_an_error_inside_a_200() -> None:
    with pytest.raises(StreamFailed, match="Token limit reached"):
        PROVIDER.read_answer(b'{"error":{"message":"Token limit reached","code":400}}')
    choice = {"message": {"content": ""}, "finish_reason": "error", "error": {"message": "Overloaded"}}
    with pytest.raises(StreamFailed, match="Overloaded"):
        PROVIDER.read_answer(json.dumps({"choices": [choice]}).encode())


def test_nothing_is_no_choice() -> None:
    assert PROVIDER.read_answer(b'{"choices":[]}').choices == ()


@pytest.mark.parametrize("data", [b"", b"<html>", b"[]", b"{", b'{"choices":5}', b'{"choices":' + b"[" * 100_000])
def test_what_is_no_answer(data: bytes) -> None:
    with pytest.raises(ValueError):
        PROVIDER.read_answer(data)


def test_half_a_character_does_not_cost_the_answer() -> None:
    (choice,) = PROVIDER.read_answer(b'{"choices":[{"message":{"content":"a\\ud83d"},"finish_reason":"stop"}]}').choices
    assert choice.parts == (Text("a\ufffd"),)


# --- a client's ---


def test_what_a_client_is_answered() -> None:
    usage = Usage(9, 4, 3, 2, Counted.REPORTED, cache_write=3, cache_write_1h=1)
    answer = Answer("c1", "m1", (Choice((Text("Hi"),), Finish.STOP),), usage, created=7)
    assert decoded(CLIENT.write_answer(answer, context())) == {
        "id": "c1",
        "object": "chat.completion",
        "created": 7,
        "model": "m1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 3,
            "total_tokens": 12,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
    }


def test_what_a_provider_does_not_say_is_filled_in() -> None:
    value = decoded(CLIENT.write_answer(Answer("", "", (Choice((), Finish.STOP),)), context()))
    assert (value["id"], value["model"], value["created"]) == ("chatcmpl-req_1", "m", 5)
    assert "usage" not in value


def test_calls_and_their_signatures() -> None:
    choice = shown(ToolCall("c1", "f", '{"a":1}', "s", "gemini"), finish=Finish.TOOL_CALLS)
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "f", "arguments": '{"a":1}'},
                "extra_content": {"google": {"thought_signature": "gemini:s"}},
            }
        ],
    }


def test_callers_of_functions_are_answered_with_a_function_call() -> None:
    choice = shown(ToolCall("c1", "f", "{}"), finish=Finish.TOOL_CALLS, functions=[{"name": "f"}])
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert "tool_calls" not in choice["message"]


def test_thoughts_are_shown_and_can_be_sent_back() -> None:
    thoughts = (
        Thinking("Hm.", "s", origin="anthropic"),
        Thinking(redacted="r", origin="anthropic"),
        Thinking("Oh.", "t", origin="anthropic"),
    )
    message = shown(*thoughts, Text("Yes."))["message"]
    assert message["reasoning_content"] == "Hm.\n\nOh."
    assert message["reasoning_details"] == [
        {
            "type": "reasoning.text",
            "text": "Hm.",
            "signature": "anthropic:s",
            "format": "anthropic-claude-v1",
            "index": 0,
        },
        {"type": "reasoning.encrypted", "data": "anthropic:r", "format": "anthropic-claude-v1", "index": 1},
        {
            "type": "reasoning.text",
            "text": "Oh.",
            "signature": "anthropic:t",
            "format": "anthropic-claude-v1",
            "index": 2,
        },
    ]
    sent_back = CLIENT.read_request({"messages": msgspec.Raw(msgspec.json.encode([message]))})
    assert sent_back.messages[0].parts == (*thoughts, Text("Yes."))


def test_a_thought_without_a_proof_is_only_shown() -> None:
    message = shown(Thinking("Hm."), Text("Yes."))["message"]
    assert (message["reasoning_content"], "reasoning_details" in message) == ("Hm.", False)


def test_citations_count_from_the_beginning_of_all_text() -> None:
    told = Text("So it is.", (Citation("https://a", "A", start=3, end=5),))
    untold = Text("Yes.", (Citation("https://b", "B", "quoted"),))
    message = shown(Text("Well. "), told, untold)["message"]
    assert message["content"] == "Well. So it is.Yes."
    assert [annotation["url_citation"] for annotation in message["annotations"]] == [
        {"url": "https://a", "title": "A", "start_index": 9, "end_index": 11},
        {"url": "https://b", "title": "B", "start_index": 15, "end_index": 19, "content": "quoted"},
    ]


@pytest.mark.parametrize(
    ("finish", "parts", "word"),
    [
        (Finish.STOP, (Text("a"),), "stop"),
        (Finish.STOP_SEQUENCE, (Text("a"),), "stop"),
        (Finish.LENGTH, (Text("a"),), "length"),
        (Finish.CONTENT_FILTER, (Text("a"),), "content_filter"),
        (Finish.REFUSAL, (Refusal("No."),), "stop"),
        (Finish.REFUSAL, (Text("a"),), "content_filter"),
        (Finish.PAUSE, (Text("a"),), "stop"),
    ],
)
def test_finish_words(finish: Finish, parts: tuple[Part, ...], word: str) -> None:
    assert shown(*parts, finish=finish)["finish_reason"] == word


def test_logprobs_pass_as_they_are() -> None:
    logprobs = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]}
    answer = decoded(body({"content": "a"}))
    answer["choices"][0]["logprobs"] = logprobs
    read_answer = PROVIDER.read_answer(json.dumps(answer).encode())
    assert decoded(CLIENT.write_answer(read_answer, context()))["choices"][0]["logprobs"] == logprobs


# --- both ---

words = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
thoughts = st.builds(Thinking, words, st.just("reasoning_content"), origin=st.just("chat"))
texts = st.builds(
    Text,
    words,
    st.lists(st.builds(Citation, words, words, words, st.just(0), st.integers(1, 9)), max_size=2).map(tuple),
)
pictures = st.builds(Image, media_type=st.just("image/png"), data=st.just("QUJD"))
calls = st.lists(st.tuples(words, words), max_size=3).map(
    lambda named: [ToolCall(f"c{index}", name, arguments) for index, (name, arguments) in enumerate(named)]
)
parts = st.tuples(
    st.lists(thoughts, max_size=1), st.lists(texts, max_size=1), st.lists(pictures, max_size=1), calls
).map(lambda groups: tuple(part for group in groups for part in group))


@st.composite
def choices(draw: st.DrawFn) -> tuple[Choice, ...]:
    drawn = draw(st.lists(parts, min_size=1, max_size=2))
    finishes = [
        Finish.TOOL_CALLS if any(isinstance(part, ToolCall) for part in said) else Finish.LENGTH for said in drawn
    ]
    return tuple(Choice(said, finish, index) for index, (said, finish) in enumerate(zip(drawn, finishes, strict=True)))


@given(st.builds(Answer, words, words, choices(), st.just(Usage(9, 4, 3, 2, Counted.REPORTED)), st.integers(1, 2**31)))
def test_what_is_written_is_read_as_it_was_meant(answer: Answer) -> None:
    data = CLIENT.write_answer(answer, context())
    ChatCompletion.model_validate_json(data)
    # A chat client is not shown in which member a server had its thoughts: it is `reasoning_content` for everybody.
    without_details = decoded(data)
    for choice in without_details["choices"]:
        choice["message"].pop("reasoning_details", None)
    assert PROVIDER.read_answer(json.dumps(without_details).encode()) == answer
