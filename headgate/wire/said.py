"""What a JSON answer says, as text, and how sure its model was: for those who judge answers. Nothing here raises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from headgate.types import Route

_TEXTS = ("text", "output_text", "refusal")


def text_of(route: Route, body: bytes) -> str:
    """The text of an answer's first choice, in the caller's dialect; thoughts and tool calls are none."""
    return "".join(_texts(route, _read(body)))


def mean_logprob(route: Route, body: bytes) -> float | None:
    """The mean logprob of an answer's tokens; None if they are not told."""
    said = _read(body)
    if route is Route.RESPONSES:
        found = [token for item in _list(said, "output") for part in _list(item, "content") for token in _tokens(part)]
    else:
        choice = _first(_list(said, "choices"))
        found = _tokens({"logprobs": _dict(choice, "logprobs").get("content")})
    values = [token["logprob"] for token in found if isinstance(token.get("logprob"), int | float)]
    return sum(values) / len(values) if values else None


def _texts(route: Route, said: dict[str, Any]) -> Iterator[str]:
    match route:
        case Route.MESSAGES:
            yield from _parts(said.get("content"))
        case Route.RESPONSES:
            for item in _list(said, "output"):
                yield from _parts(item.get("content"))
        case _:
            choice = _first(_list(said, "choices"))
            message = _dict(choice, "message")
            for value in (choice.get("text"), message.get("content"), message.get("refusal")):
                yield from _parts(value)


def _parts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            if isinstance(part, dict) and part.get("type") in _TEXTS:
                yield from (text for name in ("text", "refusal") if isinstance(text := part.get(name), str))


def _read(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _list(value: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = value.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _dict(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _first(values: list[dict[str, Any]]) -> dict[str, Any]:
    return values[0] if values else {}


def _tokens(part: dict[str, Any]) -> list[dict[str, Any]]:
    return _list(part, "logprobs")
