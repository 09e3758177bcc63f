"""The simulated model speaks OpenAI's wire format, as the OpenAI SDK's own types read it."""

from __future__ import annotations

import base64
import json
import math
from array import array
from typing import Any

import jsonschema
import pytest
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from headgate.config.schema import SimConfig, Spread
from headgate.providers.sim_text import MESSAGE_TOKENS, REPLY_TOKENS
from headgate.types import Api
from tests.providers.sim_requests import CHAT, STREAM, answer

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS = [
    {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}},
    {"type": "function", "function": {"name": "weather", "parameters": WEATHER}},
]
COMPLETION = {"model": "sim-small", "prompt": "Once upon a time"}


def read_chunks(body: dict[str, Any]) -> list[ChatCompletionChunk]:
    return [ChatCompletionChunk.model_validate(chunk, strict=True) for chunk in answer(body).chunks]


def test_a_chat_completion() -> None:
    received = answer({**CHAT, "sim": {"output_tokens": 8}})
    assert (received.status, received.headers["content-type"]) == (200, "application/json")
    assert received.headers["x-request-id"].startswith("req_")
    completion = ChatCompletion.model_validate(received.json)
    (choice,) = completion.choices
    assert completion.model == "sim-small"
    assert (choice.message.role, choice.finish_reason) == ("assistant", "stop")
    assert choice.message.content
    assert completion.usage
    prompt = REPLY_TOKENS + MESSAGE_TOKENS + math.ceil(len("Tell me about the mill.") / 4)
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (prompt, 8)
    assert completion.usage.total_tokens == prompt + 8


def test_a_stream_is_a_role_then_a_token_at_a_time_then_a_reason() -> None:
    received = answer({**STREAM, "sim": {"output_tokens": 8}})
    assert received.headers["content-type"].startswith("text/event-stream")
    chunks = [ChatCompletionChunk.model_validate(chunk) for chunk in received.chunks]
    assert len(chunks) == 10
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert not chunks[0].choices[0].delta.content
    assert all(chunk.choices[0].delta.content for chunk in chunks[1:-1])
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * 9 + ["stop"]
    assert all(chunk.usage is None for chunk in chunks)


def test_a_stream_ends_with_its_usage_when_asked() -> None:
    body = {**STREAM, "stream_options": {"include_usage": True}, "sim": {"output_tokens": 5}}
    *others, last = read_chunks(body)
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == 5
    assert all(chunk.usage is None for chunk in others)


def test_stream_and_whole_answer_count_the_same_prompt() -> None:
    streamed = read_chunks({**STREAM, "stream_options": {"include_usage": True}})[-1].usage
    whole = ChatCompletion.model_validate(answer(CHAT).json).usage
    assert streamed is not None
    assert whole is not None
    assert streamed.prompt_tokens == whole.prompt_tokens


@pytest.mark.parametrize("member", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_stops_at_its_ceiling(member: str, stream: bool) -> None:
    body = {**CHAT, member: 3, "stream": stream, "sim": {"output_tokens": 9}}
    received = answer(body)
    if stream:
        assert len(received.chunks) == 1 + 3 + 1
        assert received.chunks[-1]["choices"][0]["finish_reason"] == "length"
    else:
        assert received.json["choices"][0]["finish_reason"] == "length"
        assert received.json["usage"]["completion_tokens"] == 3


def test_several_choices_are_streamed_in_step() -> None:
    chunks = read_chunks({**STREAM, "n": 3, "sim": {"output_tokens": 2}})
    assert [chunk.choices[0].index for chunk in chunks] == [0, 1, 2] * 4
    assert len(ChatCompletion.model_validate(answer({**CHAT, "n": 3}).json).choices) == 3


def test_choices_of_different_length_each_have_one_end() -> None:
    config = SimConfig(output_tokens=Spread(median=4, p99=30))
    chunks = answer({**STREAM, "n": 5}, config=config).chunks
    contents = [c["choices"][0]["index"] for c in chunks if c["choices"][0]["delta"].get("content")]
    reasons = [c["choices"][0]["index"] for c in chunks if c["choices"][0]["finish_reason"]]
    assert len({contents.count(index) for index in range(5)}) > 1
    assert reasons == [0, 1, 2, 3, 4]


def test_images_and_tools_count() -> None:
    def prompt_tokens(**members: Any) -> int:
        tokens = answer({**CHAT, **members}).json["usage"]["prompt_tokens"]
        assert isinstance(tokens, int)
        return tokens

    parts = [{"type": "text", "text": "four"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]
    assert prompt_tokens(messages=[{"role": "user", "content": parts}]) == REPLY_TOKENS + MESSAGE_TOKENS + 1 + 85
    assert prompt_tokens(tools=TOOLS) > prompt_tokens()


@pytest.mark.parametrize(
    ("choice", "name", "reason"),
    [
        ("required", "clock", "tool_calls"),
        ({"type": "function", "function": {"name": "weather"}}, "weather", "tool_calls"),
    ],
)
def test_a_demanded_tool_call(choice: object, name: str, reason: str) -> None:
    body = {**CHAT, "tools": TOOLS, "tool_choice": choice}
    (whole,) = ChatCompletion.model_validate(answer(body).json).choices
    assert (whole.finish_reason, whole.message.content) == (reason, None)
    assert whole.message.tool_calls
    (call,) = whole.message.tool_calls
    assert call.type == "function"
    assert call.function.name == name
    chunks = read_chunks({**body, "stream": True})
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    arguments = "".join(call.function.arguments or "" for call in calls if call.function)
    assert calls[0].function is not None
    assert calls[0].function.name == name
    assert chunks[-1].choices[0].finish_reason == reason
    assert arguments == call.function.arguments
    if name == "weather":
        jsonschema.validate(json.loads(arguments), WEATHER)


def test_a_tool_that_is_only_offered_is_not_called() -> None:
    (choice,) = ChatCompletion.model_validate(answer({**CHAT, "tools": TOOLS}).json).choices
    assert (choice.finish_reason, choice.message.tool_calls) == ("stop", None)


def test_structured_output_fits_its_schema() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "weather", "strict": True, "schema": WEATHER}}
    content = answer({**CHAT, "response_format": wanted}).json["choices"][0]["message"]["content"]
    jsonschema.validate(json.loads(content), WEATHER)
    chunks = read_chunks({**STREAM, "response_format": wanted})
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == content


def test_a_json_object_is_one() -> None:
    body = {**CHAT, "response_format": {"type": "json_object"}}
    assert isinstance(json.loads(answer(body).json["choices"][0]["message"]["content"]), dict)


def test_text_completions() -> None:
    whole = Completion.model_validate(answer(COMPLETION, Api.COMPLETIONS).json)
    assert (len(whole.choices), whole.object) == (1, "text_completion")
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (4, 16)
    body = {**COMPLETION, "prompt": ["a", "b"], "n": 2, "max_tokens": 3, "stream": True, "sim": {"output_tokens": 3}}
    streamed = [chunk["choices"][0] for chunk in answer(body, Api.COMPLETIONS).chunks]
    assert [choice["index"] for choice in streamed] == [0, 1, 2, 3] * 4
    assert all(choice["text"] for choice in streamed[:-4])
    assert [choice["finish_reason"] for choice in streamed] == [None] * 12 + ["stop"] * 4


@pytest.mark.parametrize(
    ("given", "count", "tokens"),
    [("the mill", 1, 2), (["a", "the mill"], 2, 3), ([11, 12, 13], 1, 3), ([[11, 12], [13]], 2, 3)],
)
def test_embeddings(given: object, count: int, tokens: int) -> None:
    body = {"model": "sim-embed", "input": given, "dimensions": 8}
    response = CreateEmbeddingResponse.model_validate(answer(body, Api.EMBEDDINGS).json)
    assert (len(response.data), response.usage.prompt_tokens) == (count, tokens)
    assert [item.index for item in response.data] == list(range(count))
    packed = answer({**body, "encoding_format": "base64"}, Api.EMBEDDINGS).json["data"][0]["embedding"]
    assert array("f", base64.b64decode(packed)).tolist() == pytest.approx(response.data[0].embedding, abs=1e-6)


def test_embeddings_do_not_depend_on_how_often_a_text_comes() -> None:
    body = {"model": "sim-embed", "input": ["the mill", "the mill"], "dimensions": 4}
    first, second = answer(body, Api.EMBEDDINGS).json["data"]
    assert first["embedding"] == second["embedding"]


@pytest.mark.parametrize(
    ("api", "body", "named"),
    [
        (Api.CHAT, b"{", "cannot be read"),
        (Api.CHAT, b"[" * 100_000, "cannot be read"),
        (Api.CHAT, {"model": "sim-small"}, "'messages'"),
        (Api.CHAT, {**CHAT, "n": 129}, "$.n"),
        (Api.CHAT, {**CHAT, "sim": {"falt": "cut"}}, "`falt`"),
        (Api.CHAT, {**CHAT, "tool_choice": {"type": "function", "function": {"name": "no"}}}, "'no'"),
        (Api.CHAT, {**CHAT, "tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "no"}}}, "'no'"),
        (
            Api.CHAT,
            {**CHAT, "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"enum": []}}}},
            "schema",
        ),
        (Api.COMPLETIONS, {"model": "sim-small"}, "'prompt'"),
        (Api.EMBEDDINGS, {"model": "sim-small", "input": []}, "between 1 and 2048"),
    ],
)
def test_what_a_real_server_refuses_is_refused_with_a_sentence(api: Api, body: object, named: str) -> None:
    received = answer(body, api)
    assert received.status == 400
    assert received.json["error"]["type"] == "invalid_request_error"
    assert named in received.json["error"]["message"]
