"""Reads Google's generateContent, of Gemini's API and of Vertex AI."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from tests.conformance import frames
from tests.conformance.meaning import (
    CONTENT_FILTER,
    LENGTH,
    STOP,
    TOOL_CALLS,
    Call,
    Choice,
    Json,
    Reading,
    Tokens,
    count,
)

# Vertex tells numbers instead of names when it is asked to.
NAMES = dict(
    enumerate(
        (
            "FINISH_REASON_UNSPECIFIED",
            "STOP",
            "MAX_TOKENS",
            "SAFETY",
            "RECITATION",
            "OTHER",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "MALFORMED_FUNCTION_CALL",
        )
    )
)
WITHHELD = {
    "SAFETY",
    "RECITATION",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MODEL_ARMOR",
    "IMAGE_SAFETY",
    "LANGUAGE",
}
# A step of the path of an argument that comes in pieces: .name, ['name'] or [0].
STEP = re.compile(r"\.(\w+)|\['([^']*)'\]|\[(\d+)\]")
FINISHES = {"STOP": STOP, "MAX_TOKENS": LENGTH, **dict.fromkeys(WITHHELD, CONTENT_FILTER)}


def read_answer(value: Json) -> Reading:
    """A whole answer."""
    return _reading([value])


def read_stream(stream: str) -> Reading:
    """A stream of answers, each with more."""
    return _reading(list(frames.events(stream)))


def _reading(answers: list[Json]) -> Reading:
    found: dict[int, Choice] = {}
    usage: Json | None = None
    for answer in answers:
        if answer.get("error"):
            return Reading(failure=answer["error"]["message"])
        usage = answer.get("usageMetadata") or usage
        for candidate in answer.get("candidates") or []:
            _add(found.setdefault(candidate.get("index", 0), Choice()), candidate)
        if not answer.get("candidates") and (answer.get("promptFeedback") or {}).get("blockReason"):
            found.setdefault(0, Choice()).finish = CONTENT_FILTER
    choices = [found[index] for index in sorted(found)]
    for choice in choices:
        if choice.finish == STOP and choice.calls:
            choice.finish = TOOL_CALLS  # Google says STOP whatever the model waits for
    missing = "" if choices and all(choice.finish for choice in choices) else "no finish reason"
    model = next((answer["modelVersion"] for answer in answers if answer.get("modelVersion")), "")
    return Reading(choices, tokens(usage), missing, model)


def tokens(usage: Json | None) -> Tokens | None:
    """Thoughts are not in the candidates' tokens, and what tools returned is not in the prompt's."""
    if not usage or not {"promptTokenCount", "candidatesTokenCount"} & usage.keys():
        return None
    thoughts = count(usage.get("thoughtsTokenCount"))
    tokens_in = count(usage.get("promptTokenCount")) + count(usage.get("toolUsePromptTokenCount"))
    cached = min(count(usage.get("cachedContentTokenCount")), tokens_in)
    return Tokens(tokens_in, cached, count(usage.get("candidatesTokenCount")) + thoughts, thoughts)


def _add(choice: Choice, candidate: Json) -> None:
    for part in (candidate.get("content") or {}).get("parts") or []:
        if "functionCall" in part:
            _add_call(choice.calls, part["functionCall"])
        elif part.get("thought"):
            choice.thoughts += [part["text"]] if part.get("text") else []
        else:
            choice.text += part.get("text") or ""
    grounding = candidate.get("groundingMetadata") or {}
    chunks = grounding.get("groundingChunks") or []
    used = {at for support in grounding.get("groundingSupports") or [] for at in support["groundingChunkIndices"]}
    choice.sources |= {chunks[at]["web"]["uri"] for at in used if at < len(chunks) and "web" in chunks[at]}
    finish: Any = candidate.get("finishReason")
    name = NAMES.get(finish, finish)
    choice.finish = FINISHES.get(name, name) or choice.finish


def _add_call(calls: list[Call], function: Json) -> None:
    """A call comes whole, or as its name first and then its arguments in pieces."""
    if function.get("name"):
        calls.append(Call(function["name"], dict(function.get("args") or {})))
    for piece in function.get("partialArgs") or []:
        value = next((value for name, value in piece.items() if name.endswith("Value")), None)
        steps = [name or quoted or int(number) for name, quoted, number in STEP.findall(piece["jsonPath"])]
        _put(calls[-1].arguments, steps, None if "nullValue" in piece else value)


def _put(container: Any, steps: list[str | int], value: Any) -> None:
    """Set what a path leads to; text is added to the text that is there."""
    for step, following in pairwise(steps):
        container = _child(container, step, [] if isinstance(following, int) else {})
    there = _child(container, steps[-1], None)
    container[steps[-1]] = there + value if isinstance(there, str) and isinstance(value, str) else value


def _child(container: Any, step: str | int, new: Any) -> Any:
    if isinstance(step, str):
        return container.setdefault(step, new)
    if step == len(container):
        container.append(new)
    return container[step]
