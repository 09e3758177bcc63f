"""The texts of a prompt and what is counted around them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.types import Route
from headgate.wire.prompts import overhead_tokens, prompt_texts


def fields(**members: Any) -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(msgspec.json.encode(members), type=dict[str, msgspec.Raw])


def test_a_chat() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    low = {"type": "image_url", "image_url": {"url": "https://x", "detail": "low"}}
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
    tools = [{"type": "function", "function": {"name": "weather"}}]
    body = fields(
        model="m",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "name": "alice", "content": [{"type": "text", "text": "What is this?"}, image, low]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        ],
        tools=tools,
    )
    expected = ["Be brief.", "alice", "What is this?", "weather", '{"city":"Rome"}', "sunny"]
    texts = prompt_texts(Route.CHAT, body)
    assert texts[:-1] == expected
    assert msgspec.json.decode(texts[-1]) == tools
    assert overhead_tokens(Route.CHAT, body) == 3 + 4 * 4 + 1 + 765 + 85


def test_no_tools_are_no_text() -> None:
    assert prompt_texts(Route.CHAT, fields(messages=[], tools=[], functions=None)) == []


@pytest.mark.parametrize(
    ("route", "body", "texts", "overhead"),
    [
        (Route.COMPLETIONS, {"prompt": "once", "suffix": "the end"}, ["once", "the end"], 0),
        (Route.COMPLETIONS, {"prompt": ["one", "two"]}, ["one", "two"], 0),
        (Route.COMPLETIONS, {"prompt": [1, 2, 3]}, [], 3),
        (Route.EMBEDDINGS, {"input": ["a", "b"]}, ["a", "b"], 0),
        (Route.EMBEDDINGS, {"input": [[1, 2], [3]]}, [], 3),
        (Route.EMBEDDINGS, {}, [], 0),
    ],
)
def test_other_routes(route: Route, body: dict[str, Any], texts: list[str], overhead: int) -> None:
    assert prompt_texts(route, fields(**body)) == texts
    assert overhead_tokens(route, fields(**body)) == overhead


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["content", "name", "type", "text", "tool_calls", "function", "function_call", "arguments",
                         "image_url", "detail", "refusal"]) | st.text(max_size=3),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(
    st.sampled_from([Route.CHAT, Route.COMPLETIONS, Route.EMBEDDINGS]),
    st.sampled_from(["messages", "prompt", "suffix", "input", "tools"]),
    json_values,
)
def test_no_shape_raises(route: Route, name: str, value: Any) -> None:
    body = fields(**{name: value})
    assert all(isinstance(text, str) for text in prompt_texts(route, body))
    assert overhead_tokens(route, body) >= 0


@pytest.mark.parametrize("raw", [b"[", b'"\xff"', b"[" * 100_000, b'"\\ud800"', b"nul"])
def test_no_bytes_raise(raw: bytes) -> None:
    for name, route in (("messages", Route.CHAT), ("tools", Route.CHAT), ("input", Route.EMBEDDINGS)):
        prompt_texts(route, {name: msgspec.Raw(raw)})
        overhead_tokens(route, {name: msgspec.Raw(raw)})
