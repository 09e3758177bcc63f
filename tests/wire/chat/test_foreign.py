"""Conversations that moved to a chat server: what headgate wrote for another vendor's thoughts does not go there."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from headgate.types import Call, Route
from headgate.wire.chat.foreign import without_foreign_thoughts
from headgate.wire.dialects import dialogues
from headgate.wire.neutral import Target
from headgate.wire.translation import Ask

ASKED: dict[str, Any] = {"role": "user", "content": "Say 'anthropic:'"}
CLAUDES: dict[str, Any] = {"type": "reasoning.text", "text": "hm", "signature": "anthropic:c2ln", "index": 0}
HIDDEN: dict[str, Any] = {"type": "reasoning.encrypted", "data": "openai:gAAA", "index": 1}
OWN: dict[str, Any] = {"type": "reasoning.text", "text": "well", "signature": "c2ln", "index": 0}


def call(signature: str | None) -> dict[str, Any]:
    extra = {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}
    return {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, **extra}


def asked(messages: bytes) -> tuple[bytes, tuple[str, ...]]:
    """What a chat server gets, and what the caller is told is missing."""
    fields = {"model": msgspec.Raw(b'"m"'), "messages": msgspec.Raw(messages)}
    ask = Ask(Target("theirs"), None, False, 0)
    done = dialogues("openai")[Route.CHAT].ask(Call("req_1", Route.CHAT, "m", False, fields, 0), ask)
    return done.body, done.dropped


@pytest.mark.parametrize(
    ("said", "kept", "places"),
    [
        ({"reasoning_content": "hm", "reasoning_details": [CLAUDES]}, {},
         ["reasoning_details[0]", "reasoning_content"]),
        ({"reasoning_details": [OWN, HIDDEN]}, {"reasoning_details": [OWN]}, ["reasoning_details[1]"]),
        ({"tool_calls": [call(None), call("gemini:c2ln")]}, {"tool_calls": [call(None), call(None)]},
         ["tool_calls[1].extra_content"]),
    ],
)  # fmt: skip
def test_what_is_sealed_is_taken_out_and_listed(said: Any, kept: Any, places: list[str]) -> None:
    answer = {"role": "assistant", "content": "Hi"}
    body, dropped = asked(json.dumps([ASKED, {**answer, **said}, ASKED]).encode())
    assert json.loads(body)["messages"] == [ASKED, {**answer, **kept}, ASKED]
    assert dropped == tuple(f"messages[1].{place}" for place in places)


@pytest.mark.parametrize(
    "messages",
    [
        b'[ {"role":"user","content":"Hi"} ]',
        b'[ {"role":"assistant","content":"Hi", "reasoning_content":"hm"} ]',
        b'[ {"role":"assistant","reasoning_details":[{"signature":"c2ln"}],"content":"\\"anthropic:"} ]',
        b'[ {"role":"assistant","reasoning_details":[{"signature":"chat:reasoning"}],"content":"x"} ]',
        b'[ {"role":"assistant","tool_calls":[{"extra_content":{"google":{"thought_signature":"c2ln"}}}]} ]',
        b'[ {"role":"assistant","content":"\\"reasoning_details\\" \\"openai:"} ]',
        b'[ {"reasoning_details":7,"x":"openai:"} ]',
        b'{"reasoning_details":[],"x":"openai:"}',
    ],
)
def test_everything_else_passes_byte_for_byte(messages: bytes) -> None:
    body, dropped = asked(messages)
    assert messages in body and not dropped


def test_what_is_nested_too_deeply_stays_as_it_is() -> None:
    deep = msgspec.Raw(b'[{"reasoning_details":' + b"[" * 9_999 + b'"openai:"' + b"]" * 9_999 + b"}]")
    assert without_foreign_thoughts(deep) == (deep, ())
