"""The bound of a prompt, put together."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from headgate.media import Media, MediaKind
from headgate.policy.preflight import MARGIN, PromptBound, PromptRules, media_prompt_bound, prompt_bound, prompt_rules
from headgate.types import Call, Route

GPT = prompt_rules(["gpt-4o"])
MESSAGES = [{"role": "user", "content": "How much water enters the mill race?"}]


def call(**members: Any) -> Call:
    fields = {name: msgspec.Raw(json.dumps(value).encode()) for name, value in members.items()}
    return Call(id="req_1", route=Route.CHAT, model="m", stream=False, fields=fields, body_bytes=0)


def bound(rules: PromptRules = GPT, **members: Any) -> PromptBound:
    return prompt_bound(call(**members), rules)


def test_every_member_that_a_model_may_read_counts() -> None:
    alone = bound(messages=MESSAGES).tokens
    words = "the water of the river " * 20
    for name in ("tools", "system", "instructions", "input", "prediction", "a_member_of_tomorrow"):
        assert bound(messages=MESSAGES, **{name: words}).tokens > alone + 100
    for name in ("metadata", "user", "stop", "prompt_cache_key"):
        assert bound(messages=MESSAGES, **{name: words}).tokens == alone


def test_no_text_passes_a_token_for_each_byte() -> None:
    found = bound(messages=MESSAGES)
    assert found.most_tokens >= found.text_bytes == len(json.dumps(MESSAGES))
    assert not found.sampled
    assert bound(messages=MESSAGES * 30).sampled


def test_instructions_before_tools_and_schemas() -> None:
    rules = PromptRules(factor=1.0, added_tokens=0, tool_tokens=500, pictures=())
    plain = bound(rules, messages=MESSAGES).tokens
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert bound(rules, messages=MESSAGES, tools=[]).tokens <= plain + 3
    assert bound(rules, messages=MESSAGES, response_format={"type": "text"}).tokens <= plain + 30
    assert bound(rules, messages=MESSAGES, tools=tools).tokens >= plain + 500
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}
    assert bound(rules, messages=MESSAGES, response_format=schema).tokens >= plain + 500


def test_the_dearest_of_the_models_that_may_answer() -> None:
    both = prompt_rules(["gpt-4o", "anthropic/claude-opus-4-7"])
    claude = prompt_rules(["anthropic/claude-opus-4-7"])
    assert both.factor == claude.factor > GPT.factor
    assert both.tool_tokens == max(GPT.tool_tokens, claude.tool_tokens)
    assert len(both.pictures) == 2
    unknown = prompt_rules([])
    assert unknown.factor >= GPT.factor
    assert unknown.pictures


def test_newer_claudes_have_more_tokens() -> None:
    older = ("claude-3-5-haiku-latest", "claude-sonnet-4-5", "us.anthropic.claude-opus-4-1-20250805-v1:0", "claude-2.1")
    newer = ("claude-opus-4-7", "claude-sonnet-5", "claude-opus-5-20270101")
    assert {prompt_rules([name]).factor for name in older} == {1.1}
    assert {prompt_rules([name]).factor for name in newer} == {1.4}


def test_media_are_added() -> None:
    picture = Media(MediaKind.IMAGE, 1024, 1024, 5_000_000)
    asked = call(messages=[{"role": "user", "content": "x" * 9000}])
    found = media_prompt_bound(asked, GPT, {"messages": b"[]"}, [picture, picture])
    assert found.media_tokens == 2 * 765
    assert found.media_tokens < found.tokens < found.media_tokens + 40
    assert "1530 of them for media" in found.reason


def test_the_margin_is_on_the_text_alone() -> None:
    rules = PromptRules(factor=1.0, added_tokens=1000, tool_tokens=0, pictures=())
    text = [{"role": "user", "content": "a b c " * 300}]
    with_margin = bound(rules, messages=text).tokens - 1000
    twice = bound(msgspec.structs.replace(rules, factor=2.0), messages=text).tokens - 1000
    assert abs(twice - 2 * with_margin) <= 2
    assert MARGIN > 0
