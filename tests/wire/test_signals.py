"""What a router sees of a call, the same in every dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.route_types import Signals
from headgate.types import Route
from headgate.wire.openai import CallHeaders
from headgate.wire.signals import MAX_TEXT_CHARACTERS, read_signals
from headgate.wire.speakers import speaker

JsonObject = dict[str, Any]
TALK = [("user", "How high is Mont Blanc?"), ("assistant", "4,806 m."), ("user", "And the Matterhorn?")]
PICTURE = "data:image/png;base64," + "A" * 2_000


def signals(route: Route, **body: Any) -> Signals:
    sent = json.dumps({"model": "auto", "max_tokens": 9, **body}).encode()
    return read_signals(speaker(route).parse_call(route, sent, "req_1", CallHeaders()))


def chat(**more: Any) -> Signals:
    messages = [{"role": "system", "content": "Be brief."}, *({"role": role, "content": text} for role, text in TALK)]
    return signals(Route.CHAT, messages=messages, **more)


def responses(**more: Any) -> Signals:
    kinds = {"user": "input_text", "assistant": "output_text"}
    items = [{"role": role, "content": [{"type": kinds[role], "text": text}]} for role, text in TALK]
    return signals(Route.RESPONSES, input=items, instructions="Be brief.", **more)


def messages(**more: Any) -> Signals:
    spoken = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in TALK]
    return signals(Route.MESSAGES, messages=spoken, system="Be brief.", **more)


def test_every_dialect_says_the_same() -> None:
    found = [chat(), responses(), messages()]
    assert found[0] == found[1] == found[2]
    said = found[0]
    assert (said.text, said.prior_text) == ("And the Matterhorn?", "How high is Mont Blanc?")
    assert (said.first_text, said.turn, said.characters) == ("How high is Mont Blanc?", 2, 50)


def test_a_text_alone() -> None:
    assert signals(Route.RESPONSES, input="hello").text == "hello"
    assert signals(Route.COMPLETIONS, prompt=["one", "two"]).text == "one two"


def test_a_conversation_is_known_by_how_it_began() -> None:
    begun = chat().beginning
    longer = [*TALK, ("assistant", "4,478 m."), ("user", "Thanks")]
    spoken = [{"role": "system", "content": "Be brief."}, *({"role": role, "content": text} for role, text in longer)]
    assert signals(Route.CHAT, messages=spoken).beginning == begun
    assert signals(Route.CHAT, messages=spoken[1:]).beginning != begun
    spoken[1]["content"] += " "
    assert signals(Route.CHAT, messages=spoken).beginning != begun


SCHEMA = {"type": "json_schema", "name": "n", "schema": {}}


@pytest.mark.parametrize(
    ("said", "wants_json", "schema"),
    [
        (chat(response_format={"type": "json_object"}), True, False),
        (chat(response_format={"type": "json_schema", "json_schema": {"name": "n"}}), True, True),
        (responses(text={"format": SCHEMA}), True, True),
        (messages(output_config={"format": SCHEMA}), True, True),
        (chat(response_format={"type": "text"}), False, False),
        (responses(text={"verbosity": "low"}), False, False),
    ],
)
def test_json_is_wanted(said: Signals, wants_json: bool, schema: bool) -> None:
    assert (said.wants_json, said.json_schema) == (wants_json, schema)


def test_tools_pictures_and_logprobs() -> None:
    assert chat(tools=[{"type": "function", "function": {"name": "f"}}]).tools and not chat(tools=[]).tools
    shown = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE}}, TEXT]}]
    seen = signals(Route.CHAT, messages=shown)
    assert seen.images and seen.text == "What is it?"
    assert chat(logprobs=True).logprobs and not chat(logprobs=False).logprobs
    assert responses(include=["message.output_text.logprobs"]).logprobs


TEXT = {"type": "text", "text": "What is it?"}


def test_what_tools_said_is_nobodys_question() -> None:
    spoken = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "tool_call_id": "1", "content": "rain"},
    ]
    said = signals(Route.CHAT, messages=spoken)
    assert (said.text, said.turn) == ("Weather?", 1)


def test_a_long_text_is_cut_in_the_middle() -> None:
    said = signals(Route.RESPONSES, input="a" * 50_000 + "b" * 50_000)
    assert len(said.text) == MAX_TEXT_CHARACTERS + 1 and said.text[0] == "a" and said.text[-1] == "b"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(anything, anything, st.sampled_from([Route.CHAT, Route.COMPLETIONS]))
def test_odd_shapes_are_passed_over(prompt: object, shape: object, route: Route) -> None:
    signals(route, messages=prompt, prompt=prompt, response_format=shape, tools=shape)
