"""The arguments of a function call that come in pieces, each with a JSON path: Vertex's own way of streaming them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from headgate.wire.gemini.response import PartialArgument

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d+)\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""")
_ESCAPE = re.compile(r"\\(.)")
_MAX_DEPTH = 64

Step = str | int  # a member's name or an element's number
Value = str | int | float | bool | None


class Arguments:
    """Puts pieces in their places. Raises ValueError for a path that leads nowhere."""

    __slots__ = ("_root",)

    def __init__(self) -> None:
        self._root: dict[Step, object] = {}

    def add(self, pieces: Sequence[PartialArgument]) -> None:
        """Pieces of a string are joined, any other value comes whole."""
        for piece in pieces:
            self._put(list(steps(piece.json_path)), piece)

    def json(self) -> str:
        """The arguments so far."""
        return msgspec.json.encode(self._root).decode()

    def _put(self, path: list[Step], piece: PartialArgument) -> None:
        if not path:
            return
        container: object = self._root
        for step, following in pairwise(path):
            container = _enter(container, step, [] if isinstance(following, int) else {})
        value, before = _value(piece), _enter(container, path[-1], None)
        if isinstance(before, str) and isinstance(value, str):
            value = before + value
        _set(container, path[-1], value)


def steps(path: str) -> Iterator[Step]:
    """The steps of a path such as $.recipe.steps[0]['a b'] (RFC 9535, as far as one value needs it)."""
    place, count = 1, 0
    while place < len(path):
        step = _STEP.match(path, place)
        if step is None or count == _MAX_DEPTH or not path.startswith("$"):
            raise ValueError(f"the path {path[:80]!r} of an argument cannot be followed")
        name, index, *quoted = step.groups()
        yield int(index) if index is not None else name or _ESCAPE.sub(r"\1", quoted[0] or quoted[1] or "")
        place, count = step.end(), count + 1


def _enter(container: object, step: Step, empty: object) -> object:
    """What is in a container at a step, put there if nothing is. Lists grow by one element at a time."""
    match container, step:
        case dict(), str():
            return container.setdefault(step, empty)
        case list(), int() if step <= len(container):
            if step == len(container):
                container.append(empty)
            return container[step]
    raise ValueError(f"an argument has no place {step!r}")


def _set(container: object, step: Step, value: Value) -> None:
    match container, step:
        case dict(), str():
            container[step] = value
        case list(), int():
            container[step] = value


def _value(piece: PartialArgument) -> Value:
    if piece.string_value is not None:
        return piece.string_value
    if piece.bool_value is not None:
        return piece.bool_value
    return piece.number_value
