"""Answers that servers once gave (signatures shortened): what they say, and that it survives on the way to a client.

`recorded.jsonl` has a line for each: the bytes, and what a reader without any of headgate's code found in them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from headgate.errors import StreamFailed
from headgate.wire import sse
from headgate.wire.chat.dialect import CLIENT, PROVIDER
from headgate.wire.chunks import Chunk
from headgate.wire.folding import fold
from headgate.wire.neutral import Answer, Message, Request, Role, Text, Thinking, ToolCall
from tests.wire.chat.bodies import TARGET, context, decoded

LINES = (Path(__file__).parent / "recorded.jsonl").read_text(encoding="utf-8").strip().split("\n")
RECORDINGS: list[dict[str, Any]] = [json.loads(line) for line in LINES]
ANSWERS = [recording for recording in RECORDINGS if "says" in recording]


def each(recordings: list[dict[str, Any]]) -> pytest.MarkDecorator:
    names = [f"{recording['provider']}-{recording['id']}" for recording in recordings]
    return pytest.mark.parametrize("recording", recordings, ids=names)


def listen(recording: dict[str, Any]) -> list[Chunk]:
    splitter, listener = PROVIDER.splitter(), PROVIDER.listener()
    frames = splitter.feed(recording["body"].encode())
    chunks = [chunk for frame in frames for chunk in listener.read(frame)]
    assert listener.missing() == ""
    return chunks


def read(recording: dict[str, Any]) -> Answer:
    if recording["stream"]:
        return fold(listen(recording))
    return PROVIDER.read_answer(recording["body"].encode())


def shown(recording: dict[str, Any]) -> ChatCompletion:
    """What OpenAI's SDK makes of what a client is sent."""
    if not recording["stream"]:
        return ChatCompletion.model_validate_json(CLIENT.write_answer(read(recording), context()))
    writer = CLIENT.writer(context(wants_usage=True))
    stream = writer.write(listen(recording)) + writer.end()
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    payloads = [sse.payload(frame) for frame in sse.FrameSplitter(1_000_000).feed(stream)]
    for payload in payloads[:-1]:
        assert payload is not None
        state.handle_chunk(ChatCompletionChunk.model_validate_json(payload))
    return state.get_final_completion()


@each(ANSWERS)
def test_what_was_said(recording: dict[str, Any]) -> None:
    answer, says = read(recording), recording["says"]
    (choice,) = answer.choices
    assert "".join(part.text for part in choice.parts if isinstance(part, Text)) == says["text"]
    assert [part.text for part in choice.parts if isinstance(part, Thinking) and part.text] == says["thoughts"]
    calls = [part for part in choice.parts if isinstance(part, ToolCall)]
    assert [[call.name, json.loads(call.arguments)] for call in calls] == says["calls"]
    assert all(call.id for call in calls)
    assert choice.finish == says["finish"]
    usage = answer.usage
    assert (usage and [usage.input, usage.cached_input, usage.output, usage.reasoning]) == says["tokens"]


@each(ANSWERS)
def test_what_a_client_is_shown(recording: dict[str, Any]) -> None:
    completion, says = shown(recording), recording["says"]
    (choice,) = completion.choices
    message = choice.message
    assert (message.content or "") == says["text"]
    assert ((message.model_extra or {}).get("reasoning_content") or "") == "".join(says["thoughts"])
    calls = [[call.function.name, json.loads(call.function.arguments)] for call in message.tool_calls or ()]
    assert calls == says["calls"]
    assert choice.finish_reason == says["finish"]
    usage = completion.usage
    assert (usage and [usage.prompt_tokens, usage.completion_tokens]) == (says["tokens"] and says["tokens"][0::2])


@each([recording for recording in RECORDINGS if "failure" in recording])
def test_what_failed(recording: dict[str, Any]) -> None:
    with pytest.raises(StreamFailed, match=recording["failure"]):
        read(recording)


@each([recording for recording in ANSWERS if not recording["stream"] and '"reasoning' in recording["body"]])
def test_thoughts_go_back_as_they_came(recording: dict[str, Any]) -> None:
    original = decoded(recording["body"].encode())["choices"][0]["message"]
    (choice,) = read(recording).choices
    turns = (Message(Role.USER, (Text("Well?"),)), Message(Role.ASSISTANT, choice.parts))
    result = PROVIDER.write_request(Request(messages=turns), TARGET)
    assert result.leftovers == ()
    sent_back = decoded(result.body)["messages"][1]
    if details := original.get("reasoning_details"):
        assert sent_back["reasoning_details"] == details
    else:
        members = ("reasoning_content", "reasoning")
        assert [sent_back.get(name) for name in members] == [original.get(name) for name in members]


def test_every_kind_of_thought_is_among_them() -> None:
    bodies = [recording["body"] for recording in ANSWERS]
    for mark in ("reasoning.text", "reasoning.encrypted", '"reasoning_content": "', '"type": "thinking"'):
        assert any(mark in body for body in bodies), mark
