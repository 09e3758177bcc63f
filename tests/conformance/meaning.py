"""What an answer means, in words that belong to no dialect: what recordings and clients are compared by.

The readers beside this file fill these values with nothing but a JSON parser. They share no code with headgate, so that
a misunderstanding there is not repeated here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

# Why a model stopped: the words of the table in docs/providers.md.
STOP, STOP_SEQUENCE, LENGTH, TOOL_CALLS = "stop", "stop_sequence", "length", "tool_calls"
CONTENT_FILTER, REFUSAL, PAUSE = "content_filter", "refusal", "pause"


@dataclass(frozen=True)
class Call:
    """A tool call; `arguments` is the JSON value, or the text as it came if it is not JSON.

    Ids are each dialect's own: what matters is that each call has one.
    """

    name: str
    arguments: Any
    id: str = field(default="", compare=False)


@dataclass
class Choice:
    """One alternative. `thoughts` are the readable ones, a string for each; `sources` the addresses it cites."""

    text: str = ""
    refusal: str = ""
    thoughts: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    finish: str = ""
    sources: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Tokens:
    """`cached` and `written` are part of `input`, read from the provider's cache and written to it; `reasoning` is part
    of `output`. None when the answer does not say.
    """

    input: int
    cached: int
    output: int
    reasoning: int | None
    written: int | None = None


@dataclass
class Reading:
    """What an onlooker understood. `failure` is what went wrong: an error in the stream, a missing end."""

    choices: list[Choice] = field(default_factory=list)
    tokens: Tokens | None = None
    failure: str = ""
    model: str = ""


def arguments_of(text: str | None) -> Any:
    """A tool call's arguments. Nothing at all means no arguments."""
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


def whole(text: str) -> str:
    """Characters that a provider cut in two, half in each event, put together."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def count(value: object) -> int:
    """A number of tokens; what is missing or negative is none."""
    return max(0, value) if isinstance(value, int) else 0


def differences(recorded: Reading, got: Reading) -> list[str]:
    """What the client did not get as it was recorded. `recorded.choices[].finish` is in the client's words."""
    if got.failure:
        return [f"failed: {got.failure}"]
    if len(got.choices) != len(recorded.choices):
        return [f"{len(got.choices)} choices instead of {len(recorded.choices)}"]
    found = [f"model {got.model!r} instead of {recorded.model!r}"] if recorded.model not in ("", got.model) else []
    for number, (expected, choice) in enumerate(zip(recorded.choices, got.choices, strict=True)):
        found += [f"choice {number}: {difference}" for difference in _choice_differences(expected, choice)]
    return found + _token_differences(recorded.tokens, got.tokens)


def _choice_differences(expected: Choice, got: Choice) -> list[str]:
    found = []
    said, heard = whole(expected.text + expected.refusal), whole(got.text + got.refusal)
    if said != heard:
        found.append(f"text {heard!r:.200} instead of {said!r:.200}")
    if expected.calls != got.calls:
        found.append(f"tool calls {got.calls!r:.300} instead of {expected.calls!r:.300}")
    if len({call.id for call in got.calls} - {""}) != len(got.calls):
        found.append(f"tool calls without ids of their own: {[call.id for call in got.calls]}")
    if _seam(expected.thoughts) != _seam(got.thoughts):
        found.append(f"reasoning {got.thoughts!r:.200} instead of {expected.thoughts!r:.200}")
    if expected.sources != got.sources:
        found.append(f"cites {sorted(got.sources)!r:.200} instead of {sorted(expected.sources)!r:.200}")
    if expected.finish != got.finish:
        found.append(f"finish reason {got.finish!r} instead of {expected.finish!r}")
    return found


def _seam(thoughts: list[str]) -> str:
    """Several thoughts are one where a dialect knows only one: what is put between them is no thought."""
    return "".join("".join(thoughts).split())


def _token_differences(expected: Tokens | None, got: Tokens | None) -> list[str]:
    if expected is None:
        return []  # nothing was counted: whatever the client is told is an estimate
    if got is None:
        return ["no usage"]
    found = []
    for name in ("input", "cached", "output", "reasoning", "written"):
        before, after = getattr(expected, name), getattr(got, name)
        if before is not None and before != (after or 0):
            found.append(f"{name} tokens {after} instead of {before}")
    return found
