"""Requests for Converse made at random: each has the shape that the vendor describes."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from headgate.wire.converse.request import write_request
from headgate.wire.neutral import (
    Audio,
    Effort,
    File,
    Image,
    Message,
    Opaque,
    OutputFormat,
    Refusal,
    Request,
    Role,
    Target,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from tests.wire.converse.referee import complaints
from tests.wire.converse.test_request import CLAUDE, GPT_OSS, LLAMA, NEWEST_CLAUDE, NOVA, SCHEMA

texts = st.text(max_size=12)
caches = st.sampled_from(["", "5m", "1h"])
media_types = st.sampled_from(["", "image/png", "application/pdf", "text/plain", "x/y"])
data = st.sampled_from(["", "AAAA"])
urls = st.sampled_from(["", "s3://bucket/key.png", "https://example.com/a.pdf"])
plain = (
    st.builds(Text, texts, cache=caches)
    | st.builds(Image, media_types, data, urls, cache=caches)
    | st.builds(File, media_types, data, urls, texts, texts, texts, caches)
)
parts = (
    plain
    | st.builds(Audio, data, st.sampled_from(["wav", "x"]))
    | st.builds(Thinking, texts, texts, texts, st.sampled_from(["", "bedrock", "anthropic", "gemini"]))
    | st.builds(Refusal, texts)
    | st.builds(ToolCall, texts, st.just("f"), st.sampled_from(["", "{}", '{"a":[1]}', "[]", "x"]), texts, cache=caches)
    | st.builds(ToolResult, texts, st.lists(plain, max_size=2).map(tuple), st.booleans(), cache=caches)
    | st.builds(Opaque, texts, texts, st.just(b"{}"))
)
messages = st.builds(Message, st.sampled_from(Role), st.lists(parts, max_size=4).map(tuple), texts)
tools = st.builds(Tool, st.just("f"), texts, st.none() | st.just(SCHEMA), st.none() | st.booleans(), caches)
efforts = st.builds(
    Effort,
    st.sampled_from(["", "none", "minimal", "low", "medium", "high", "xhigh", "max", "odd"]),
    st.none() | st.integers(-1, 70_000),
    st.sampled_from(["", "auto"]),
)
requests = st.builds(
    Request,
    messages=st.lists(messages, max_size=4).map(tuple),
    tools=st.lists(tools, max_size=2).map(tuple),
    tool_choice=st.none() | st.builds(ToolChoice, st.sampled_from(["auto", "none", "required", "named"]), st.just("f")),
    effort=st.none() | efforts,
    output=st.none() | st.builds(OutputFormat, st.none() | st.just(SCHEMA), texts),
    stop=st.lists(st.text(min_size=1, max_size=3), max_size=2).map(tuple),
    temperature=st.none() | st.floats(0, 1),
    top_p=st.none() | st.floats(0, 1),
    top_k=st.none() | st.integers(1, 500),
    service_tier=st.sampled_from(["", "auto", "flex"]),
)
models = st.sampled_from(
    [CLAUDE, NEWEST_CLAUDE, NOVA, LLAMA, GPT_OSS, "anthropic.claude-3-haiku-20240307-v1:0", "openai.gpt-5.6", "x.y"]
)


@given(requests, models, st.none() | st.integers(1, 70_000))
def test_any_request_has_the_shape_that_the_vendor_describes(request: Request, model: str, ceiling: int | None) -> None:
    result = write_request(request, Target(model, max_output_tokens=ceiling))
    assert complaints(result.body) == "" == complaints(result.body, "ConverseStream")
    body = json.loads(result.body)
    roles = [message["role"] for message in body["messages"]]
    assert all(one != other for one, other in pairwise(roles))
    assert all(message["content"] for message in body["messages"])
    assert len(set(result.leftovers)) == len(result.leftovers)
