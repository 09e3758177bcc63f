"""What each family of models is sent: sampling and how much to think, by the model's id alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headgate.wire.converse.families import FAMILIES, UNKNOWN, Family, Thinks, family_of
from headgate.wire.converse.request import write_request
from headgate.wire.neutral import (
    Effort,
    Leftover,
    Message,
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

HI = (Message(Role.USER, (Text("Hi"),)),)
HINT = [Leftover("reasoning_effort", is_hint=True)]
ACCOUNT = "arn:aws:bedrock:us-east-1:012345678901"


def written(model: str, ceiling: int | None = None, **members: Any) -> tuple[dict[str, Any], list[Leftover]]:
    """The body but for its messages, and what is left over."""
    result = write_request(Request(messages=HI, **members), Target(model, max_output_tokens=ceiling))
    assert complaints(result.body) == ""
    body = json.loads(result.body)
    del body["messages"]
    return body, list(result.leftovers)


def budget(tokens: int) -> dict[str, Any]:
    return {"thinking": {"type": "enabled", "budget_tokens": tokens}}


def nova(level: str) -> dict[str, Any]:
    return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}}


def prefix_of(family: Family) -> str:
    return family.prefixes[0] if family.prefixes else ""


@pytest.mark.parametrize(
    ("model", "prefix"),
    [
        ("anthropic.claude-opus-5", "anthropic."),
        ("us.anthropic.claude-opus-5", "anthropic."),
        ("us-gov.anthropic.claude-3-5-sonnet-20240620-v1:0", "anthropic.claude-3"),
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic."),
        ("anthropic.claude-sonnet-4-20250514-v1:0", "anthropic.claude-3-7"),
        ("anthropic.claude-3-5-haiku-20241022-v1:0", "anthropic.claude-3-5-haiku"),
        (f"{ACCOUNT}:inference-profile/us.anthropic.claude-3-7-sonnet-20250219-v1:0", "anthropic.claude-3-7"),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", "amazon.nova"),
        ("eu.amazon.nova-2-lite-v1:0", "amazon.nova-2"),
        ("openai.gpt-oss-20b-1:0", "openai.gpt-oss"),
        ("moonshotai.kimi-k2.5", "moonshot"),
        (f"{ACCOUNT}:application-inference-profile/fm16bt65tzgx", ""),
        ("qwen.qwen3-32b-v1:0", ""),
        ("", ""),
    ],
)
def test_the_family_of_an_id(model: str, prefix: str) -> None:
    assert prefix_of(family_of(model)) == prefix


def test_every_prefix_leads_to_its_family() -> None:
    for family in FAMILIES:
        assert all(family_of(f"{prefix}x") is family for prefix in family.prefixes)
    assert family_of("x") is UNKNOWN and UNKNOWN.thinks is Thinks.NO


@pytest.mark.parametrize(
    ("model", "effort", "said"),
    [
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", Effort("high"), budget(16_384)),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", Effort(budget_tokens=4000), budget(4000)),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", Effort(budget_tokens=-1), budget(4096)),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", Effort("none"), {}),
        ("anthropic.claude-sonnet-5", Effort("none"), {"thinking": {"type": "disabled"}}),
        ("amazon.nova-2-lite-v1:0", Effort("low"), nova("low")),
        ("amazon.nova-2-lite-v1:0", Effort("none"), {}),
        ("openai.gpt-oss-120b-1:0", Effort("medium"), {"reasoning_effort": "medium"}),
        ("openai.gpt-5.6", Effort("xhigh"), {"reasoning": {"effort": "xhigh"}}),
        ("openai.gpt-5.6", Effort("none"), {"reasoning": {"effort": "none"}}),
        ("meta.llama3-2-1b-instruct-v1:0", Effort("none"), {}),
        ("anthropic.claude-3-haiku-20240307-v1:0", Effort("none"), {}),
    ],
)  # fmt: skip
def test_how_much_to_think(model: str, effort: Effort, said: dict[str, Any]) -> None:
    body, leftovers = written(model, effort=effort)
    assert (body, leftovers) == ({"additionalModelRequestFields": said} if said else {}, [])


HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"


@pytest.mark.parametrize(("ceiling", "tokens"), [(30_000, 16_384), (20_000, 15_904), (8000, 6000), (1200, 1024)])
def test_the_budget_of_a_level_leaves_room_for_the_answer(ceiling: int, tokens: int) -> None:
    body, leftovers = written(HAIKU, ceiling, effort=Effort("high"))
    assert body["additionalModelRequestFields"] == budget(tokens) and leftovers == []


def test_a_claude_that_has_to_call_a_tool_does_not_think() -> None:
    forced: dict[str, Any] = {"tools": (Tool("f"),), "tool_choice": ToolChoice("required"), "effort": Effort("high")}
    body, leftovers = written(HAIKU, **forced)
    assert "additionalModelRequestFields" not in body and leftovers == HINT
    body, leftovers = written("anthropic.claude-sonnet-4-6", **forced)
    assert "additionalModelRequestFields" not in body and body["outputConfig"] == {"effort": "high"} and not leftovers


def test_a_claude_wants_to_see_what_it_thought_before_it_called() -> None:
    call, result = ToolCall("a", "f", "{}"), Message(Role.USER, (ToolResult("a", (Text("x"),)),))
    for thoughts, said in (((), None), ((Thinking("Hm.", signature="s", origin="bedrock"),), budget(4096))):
        turns = (*HI, Message(Role.ASSISTANT, (*thoughts, call)), result)
        request = Request(messages=turns, tools=(Tool("f"),), effort=Effort("medium"))
        body = json.loads(write_request(request, Target(HAIKU)).body)
        assert body.get("additionalModelRequestFields") == said


def test_a_claude_that_thinks_takes_fewer_samplers() -> None:
    thinking: dict[str, Any] = {"effort": Effort("medium")}
    assert written(HAIKU, temperature=1.0, **thinking)[1] == []
    assert written(HAIKU, temperature=0.5, top_k=3, **thinking)[1] == [Leftover("temperature"), Leftover("top_k")]
    assert written(HAIKU, top_p=0.5, **thinking)[1] == [Leftover("top_p")]
    body, leftovers = written(HAIKU, top_p=0.97, **thinking)
    assert body["inferenceConfig"] == {"topP": 0.97} and leftovers == []


def test_adaptive_thinking() -> None:
    for model in ("us.anthropic.claude-sonnet-4-6", "anthropic.claude-opus-5", "anthropic.claude-sonnet-9"):
        assert written(model, effort=Effort("low", summary="auto")) == (
            {
                "additionalModelRequestFields": {"thinking": {"type": "adaptive", "display": "summarized"}},
                "outputConfig": {"effort": "low"},
            },
            [],
        )
    always, leftovers = written("anthropic.claude-opus-5-5", effort=Effort("none"))
    assert always == {"outputConfig": {"effort": "low"}} and leftovers == HINT
    body, leftovers = written("anthropic.claude-opus-5", effort=Effort(budget_tokens=-1))
    assert body == {"additionalModelRequestFields": {"thinking": {"type": "adaptive"}}} and leftovers == []


@pytest.mark.parametrize(
    ("model", "effort", "ceiling", "said"),
    [
        ("meta.llama3-2-1b-instruct-v1:0", Effort("high"), None, None),
        ("qwen.qwen3-32b-v1:0", Effort("low"), None, None),
        ("anthropic.claude-3-haiku-20240307-v1:0", Effort("low"), None, None),
        ("anthropic.claude-opus-5-5", Effort("none"), None, None),  # it always thinks
        ("openai.gpt-oss-120b-1:0", Effort("none"), None, {"reasoning_effort": "low"}),
        ("openai.gpt-oss-120b-1:0", Effort("max"), None, {"reasoning_effort": "high"}),
        ("openai.gpt-oss-120b-1:0", Effort("odd"), None, None),
        ("amazon.nova-2-lite-v1:0", Effort("xhigh"), None, nova("high")),
        ("anthropic.claude-sonnet-4-6", Effort(budget_tokens=4000), None, {"thinking": {"type": "adaptive"}}),
        ("anthropic.claude-sonnet-4-6", Effort("medium", 4096), None, {"thinking": {"type": "adaptive"}}),
        ("anthropic.claude-haiku-4-5-20251001-v1:0", Effort(budget_tokens=500), None, budget(1024)),
        ("anthropic.claude-haiku-4-5-20251001-v1:0", Effort("high"), 1024, None),
        ("anthropic.claude-haiku-4-5-20251001-v1:0", Effort(budget_tokens=9000), 8000, budget(7999)),
        ("anthropic.claude-haiku-4-5-20251001-v1:0", Effort("odd"), None, None),
    ],
)  # fmt: skip
def test_what_can_only_nearly_be_said_is_a_hint(
    model: str, effort: Effort, ceiling: int | None, said: dict[str, Any] | None
) -> None:
    body, leftovers = written(model, ceiling, effort=effort)
    assert body.get("additionalModelRequestFields") == said
    assert leftovers == HINT


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", {"top_k": 40}),
        ("amazon.nova-lite-v1:0", {"inferenceConfig": {"topK": 40}}),
        ("cohere.command-r-v1:0", {"k": 40}),
        ("mistral.mixtral-8x7b-instruct-v0:1", {"top_k": 40}),
    ],
)
def test_top_k_has_its_place_in_each_family(model: str, said: dict[str, Any]) -> None:
    assert written(model, top_k=40) == ({"additionalModelRequestFields": said}, [])


def test_top_k_and_effort_stand_side_by_side() -> None:
    body, _ = written("amazon.nova-2-lite-v1:0", top_k=40, effort=Effort("low"))
    assert set(body["additionalModelRequestFields"]) == {"inferenceConfig", "reasoningConfig"}


def test_samplers_that_a_claude_does_not_take() -> None:
    older, one, none = (
        "anthropic.claude-3-haiku-20240307-v1:0",
        "anthropic.claude-sonnet-4-5",
        "anthropic.claude-opus-5",
    )
    both = {"temperature": 0.5, "top_p": 0.9}
    assert written(older, **both) == ({"inferenceConfig": {"temperature": 0.5, "topP": 0.9}}, [])
    assert written(one, **both) == ({"inferenceConfig": {"temperature": 0.5}}, [Leftover("top_p")])
    assert written(one, top_p=0.9) == ({"inferenceConfig": {"topP": 0.9}}, [])
    assert written(one, temperature=1.0, top_p=0.9) == ({"inferenceConfig": {"topP": 0.9}}, [])
    assert written(none, top_k=5, **both) == ({}, [Leftover("temperature"), Leftover("top_p"), Leftover("top_k")])
    assert written(none, temperature=1, top_p=1.0) == ({}, [])
    assert written("x.y", temperature=0.0) == ({"inferenceConfig": {"temperature": 0.0}}, [])
