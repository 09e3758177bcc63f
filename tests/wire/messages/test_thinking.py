"""How much to think, in what each family of Claude takes, and the sampling beside it."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.wire.neutral import Effort, Message, Request, Role, Text, Thinking, Tool, ToolCall, ToolChoice, ToolResult
from tests.wire.messages.asking import ADAPTIVE_MODEL, ALWAYS_MODEL, ASKED, BUDGET_MODEL, HI, written

MINE = ["(reasoning_effort)"]
DEFAULT_MODEL = "claude-opus-5"  # thinks unless told not to


def planned(
    effort: Effort | None, model: str, ceiling: int | None = None, **request: Any
) -> tuple[Any, Any, int, list[str]]:
    """(thinking, effort, max_tokens, leftovers)."""
    messages = request.pop("messages", ASKED)
    body, leftovers = written(Request(messages=messages, effort=effort, max_output_tokens=ceiling, **request), model)
    config = body.get("output_config") or {}
    return body.get("thinking"), config.get("effort"), body["max_tokens"], leftovers


def enabled(budget_tokens: int) -> dict[str, Any]:
    return {"type": "enabled", "budget_tokens": budget_tokens}


@pytest.mark.parametrize(
    ("effort", "ceiling", "budget_tokens", "leftovers"),
    [
        (Effort("low"), 20_000, 1024, []),
        (Effort("minimal"), 20_000, 1024, []),
        (Effort("high"), 30_000, 16_384, []),
        (Effort("high"), 4000, 3000, []),  # a quarter is left to the answer
        (Effort("high"), 1200, 1024, []),
        (Effort("", 5000), 20_000, 5000, []),
        (Effort("high", 5000), 20_000, 5000, []),
        (Effort("", 5000), 5000, 4999, MINE),
        (Effort("", 100), 5000, 1024, MINE),
        (Effort("", -1), 20_000, 4096, []),
        (Effort("high", -1), 30_000, 16_384, []),
    ],
)
def test_a_budget_stays_between_its_least_and_the_ceiling(
    effort: Effort, ceiling: int, budget_tokens: int, leftovers: list[str]
) -> None:
    assert planned(effort, BUDGET_MODEL, ceiling) == (enabled(budget_tokens), None, ceiling, leftovers)


@pytest.mark.parametrize("ceiling", [1, 1024])
def test_a_ceiling_that_leaves_no_room_to_think(ceiling: int) -> None:
    assert planned(Effort("high"), BUDGET_MODEL, ceiling) == (None, None, ceiling, MINE)


def test_where_nobody_gave_a_ceiling_there_is_room_for_thoughts_and_answer() -> None:
    assert planned(Effort("high"), BUDGET_MODEL) == (enabled(16_384), None, 16_384 + 4096, [])
    assert planned(Effort("max"), "claude-opus-4-1") == (enabled(32_000 - 4096), None, 32_000, [])
    assert planned(Effort("high"), ADAPTIVE_MODEL)[2] == 16_384 + 4096


@pytest.mark.parametrize(
    ("effort", "model", "level", "leftovers"),
    [
        (Effort("high"), ADAPTIVE_MODEL, "high", []),
        (Effort("minimal"), ADAPTIVE_MODEL, "low", MINE),
        (Effort("xhigh"), ADAPTIVE_MODEL, "xhigh", []),
        (Effort("xhigh"), "claude-opus-4-6", "high", MINE),
        (Effort("", 16_000), ADAPTIVE_MODEL, "high", MINE),
        (Effort("", -1), ADAPTIVE_MODEL, None, []),
    ],
)
def test_adaptive_models_get_a_level(effort: Effort, model: str, level: str | None, leftovers: list[str]) -> None:
    assert planned(effort, model, 100) == ({"type": "adaptive"}, level, 100, leftovers)


def test_a_summary_is_asked_for() -> None:
    assert planned(Effort("high", summary="auto"), ADAPTIVE_MODEL)[0] == {"type": "adaptive", "display": "summarized"}


@pytest.mark.parametrize(
    ("model", "thinking", "level", "leftovers"),
    [
        (BUDGET_MODEL, None, None, []),
        (ADAPTIVE_MODEL, None, None, []),
        (DEFAULT_MODEL, {"type": "disabled"}, None, []),
        (ALWAYS_MODEL, None, "low", MINE),
    ],
)
def test_not_to_think(model: str, thinking: Any, level: str | None, leftovers: list[str]) -> None:
    assert planned(Effort("none"), model, 100) == (thinking, level, 100, leftovers)


@pytest.mark.parametrize("model", [BUDGET_MODEL, ADAPTIVE_MODEL, DEFAULT_MODEL, ALWAYS_MODEL])
def test_nothing_is_said_when_nothing_was_asked(model: str) -> None:
    assert planned(None, model, 100) == (None, None, 100, [])


def test_models_that_do_not_think() -> None:
    assert planned(Effort("high"), "claude-3-5-haiku-latest", 100) == (None, None, 100, MINE)
    body, leftovers = written(Request(messages=ASKED, effort=Effort("high")), ADAPTIVE_MODEL, reasoning=False)
    assert "thinking" not in body and leftovers == MINE


@pytest.mark.parametrize("choice", [ToolChoice("required"), ToolChoice("named", "f")])
def test_a_forced_tool_call_comes_before_thoughts(choice: ToolChoice) -> None:
    forced = {"tools": (Tool("f"),), "tool_choice": choice}
    assert planned(Effort("high"), BUDGET_MODEL, 9000, **forced) == (None, None, 9000, MINE)
    assert planned(Effort("high"), ADAPTIVE_MODEL, 9000, **forced) == (None, "high", 9000, [])


THOUGHT = Thinking("hm", "S", origin="anthropic")


@pytest.mark.parametrize(
    ("thought", "thinks"), [((THOUGHT,), True), ((), False), ((Thinking("hm", "S", origin="gemini"),), False)]
)
def test_a_model_with_a_budget_wants_to_see_what_it_thought_before_a_call(
    thought: tuple[Thinking, ...], thinks: bool
) -> None:
    call = Message(Role.ASSISTANT, (*thought, ToolCall("c", "f", "{}")))
    messages = (HI, call, Message(Role.USER, (ToolResult("c", ()),)))
    thinking, _, _, leftovers = planned(Effort("low"), BUDGET_MODEL, 9000, messages=messages)
    assert (thinking is not None) is thinks
    assert ("(reasoning_effort)" in leftovers) is not thinks


def test_but_not_before_the_calls_of_earlier_turns() -> None:
    call = Message(Role.ASSISTANT, (ToolCall("c", "f", "{}"),))
    messages = (HI, call, Message(Role.USER, (ToolResult("c", ()),)), Message(Role.ASSISTANT, (Text("ok"),)), HI)
    assert planned(Effort("low"), BUDGET_MODEL, 9000, messages=messages)[0] == enabled(1024)


@pytest.mark.parametrize(
    ("model", "effort", "given", "sent", "leftovers"),
    [
        (BUDGET_MODEL, None, {"temperature": 0.0}, {"temperature": 0.0}, []),
        (BUDGET_MODEL, None, {"temperature": 1.5}, {}, ["temperature"]),
        (BUDGET_MODEL, None, {"top_p": 0.5, "top_k": 4}, {"top_p": 0.5, "top_k": 4}, []),
        (BUDGET_MODEL, None, {"temperature": 0.2, "top_p": 0.5}, {"temperature": 0.2}, ["top_p"]),
        (BUDGET_MODEL, None, {"temperature": 0.2, "top_p": 1.0}, {"temperature": 0.2}, []),
        ("claude-sonnet-4-0", None, {"temperature": 0.2, "top_p": 0.5}, {"temperature": 0.2, "top_p": 0.5}, []),
        (BUDGET_MODEL, "low", {"temperature": 0.2, "top_k": 4}, {}, ["temperature", "top_k"]),
        (BUDGET_MODEL, "low", {"temperature": 1.0, "top_p": 1.0}, {}, []),
        (BUDGET_MODEL, "low", {"top_p": 0.96}, {"top_p": 0.96}, []),
        (BUDGET_MODEL, "low", {"top_p": 0.5}, {}, ["top_p"]),
        (ADAPTIVE_MODEL, None, {"temperature": 0.2, "top_p": 0.5, "top_k": 4}, {}, ["temperature", "top_p", "top_k"]),
        (ADAPTIVE_MODEL, None, {"temperature": 1.0, "top_p": 1.0}, {}, []),
        ("qwen", None, {"temperature": 0.2, "top_p": 0.5, "top_k": 4},
         {"temperature": 0.2, "top_p": 0.5, "top_k": 4}, []),
    ],
)  # fmt: skip
def test_sampling(
    model: str, effort: str | None, given: dict[str, Any], sent: dict[str, Any], leftovers: list[str]
) -> None:
    request = Request(messages=ASKED, effort=Effort(effort) if effort else None, max_output_tokens=9000, **given)
    body, named = written(request, model)
    assert {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body} == sent
    assert named == leftovers
