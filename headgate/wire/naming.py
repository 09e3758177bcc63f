"""What a caller calls that which a provider cannot be told.

Writers name it after the neutral request, its parts by their place (`messages[2].content[0].cache_control`) and its
members as chat completions do (`reasoning_effort`). A caller knows neither, unless it speaks that dialect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from headgate.types import Frozen
from headgate.wire.neutral import Request, ToolCall

_PLACE = re.compile(r"messages\[(\d+)\](?:\.content\[(\d+)\])?")
_ITEM = re.compile(r"\w+(?:\[\d+\])?")
_LISTS = ("content", "tool_calls", "system")  # the places whose parts are counted


class Names(Frozen, frozen=True):
    """One client dialect's names.

    `members`: by chat completions' name the dialect's own, the one that counts first if there are several; a name that
    is not there is the same. `returned` is the member with what a tool returned.
    """

    members: Mapping[str, tuple[str, ...]]
    returned: str = "content"


def callers_name(field: str, request: Request, fields: Mapping[str, msgspec.Raw], names: Names) -> str:
    """The name of a leftover of `request` in the caller's body, whose members are `fields`."""
    found = _PLACE.match(field)
    if found is None:
        member, bracket, rest = field.partition("[")
        candidates = names.members.get(member, (member,))
        name = next((name for name in candidates if name.partition(".")[0] in fields), candidates[0])
        return name + bracket + rest
    number, rest = int(found[1]), field[found.end() :]
    if number >= len(request.places):
        return field
    if found[2] is not None:
        if rest.startswith(".content["):
            rest = f".{names.returned}{rest.removeprefix('.content')}"
        return _part(request, number, int(found[2])) + rest
    item = _ITEM.match(request.places[number][0][1])
    return (item[0] if item else field) + rest


def _part(request: Request, number: int, index: int) -> str:
    first, place = [span for span in request.places[number] if span[0] <= index][-1]
    if not place.endswith(_LISTS):
        return place
    parts = request.messages[number].parts[first : index + 1]
    # Where calls stand among the content, a call's signature is a part of its own before it.
    signatures = sum(isinstance(part, ToolCall) and bool(part.signature) for part in parts)
    return f"{place}[{index - first + (0 if place.endswith('tool_calls') else signatures)}]"
