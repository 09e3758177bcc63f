"""The model behind the providers: it calls the tool it is given, repeats what it heard, and keeps to a schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

WEATHER_ARGUMENTS = {"city": "Rome", "unit": "C"}
PERSON = {"name": "Ada", "age": 36}
THOUGHT = "The user wants something."


@dataclass(frozen=True)
class Heard:
    """What a request says. `results` are what tools returned since the last prompt."""

    prompt: str
    system: str = ""
    tools: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    has_schema: bool = False
    must_call: bool = False
    stream: bool = False
    asked: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Said:
    """What a model says. `call` is a tool's name and arguments."""

    text: str = ""
    thought: str = ""
    call: tuple[str, Json] | None = None

    @property
    def words(self) -> list[str]:
        """The text in the pieces of a stream."""
        pieces = self.text.split(" ")
        return [pieces[0], *(f" {piece}" for piece in pieces[1:])] if self.text else []


Mind = Callable[[Heard], Said]


def obliging(heard: Heard) -> Said:
    """Calls the first tool once, then tells what it returned; answers with a person where a schema asks for one."""
    if heard.tools and (not heard.results or heard.must_call):
        name = heard.tools[0]
        return Said(call=(name, WEATHER_ARGUMENTS if "weather" in name.lower() else PERSON))
    if heard.has_schema:
        return Said(json.dumps(PERSON))
    if heard.results:
        return Said(f"The tool says: {', '.join(heard.results)}")
    return Said(f"You said: {heard.prompt}")


def thoughtful(heard: Heard) -> Said:
    """Thinks before it speaks."""
    said = obliging(heard)
    return Said(said.text, THOUGHT, said.call)


def texts_of(content: Any, *kinds: str) -> str:
    """The text of a message's content: a string, or parts of these types."""
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content or [] if part.get("type", "text") in kinds)
