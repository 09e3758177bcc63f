"""Reads JSON into typed values without losing what the types have no member for."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from headgate.types import Frozen
from headgate.wire import members
from headgate.wire.neutral import Leftover

T = TypeVar("T", bound=msgspec.Struct)

_anything = msgspec.json.Decoder()


class Shape(Frozen, Generic[T], frozen=True):
    """A struct type that forbids unknown members, as a way to read JSON."""

    kind: type[T]
    decoder: msgspec.json.Decoder[T]

    def read_plain(self, raw: msgspec.Raw) -> T | None:
        """The value if all is right and known, as it nearly always is; None if `read` has something to say about it."""
        try:
            return self.decoder.decode(raw)
        except (ValueError, RecursionError):
            return None

    def read(self, raw: msgspec.Raw, where: str, leftovers: list[Leftover]) -> T:
        """The value at the place `where` of a body; members it has no name for are added to `leftovers`.

        Raises InvalidRequest, naming the innermost place that is wrong.
        """
        try:
            return self.decoder.decode(raw)
        except (ValueError, RecursionError) as error:
            if "unknown field" not in str(error):
                return members.read_member(self.decoder, raw, where)
        value = members.read_member(_anything, raw, where)
        try:
            leftovers += [Leftover(place) for place in _take_unknown(value, self.kind, where)]
            known = msgspec.Raw(msgspec.json.encode(value))
        except RecursionError:
            raise members.too_deep(where) from None
        return members.read_member(self.decoder, known, where)


def shape(kind: type[T]) -> Shape[T]:
    """How values of this type are read."""
    return Shape(kind, msgspec.json.Decoder(kind))


def _take_unknown(value: object, kind: object, where: str) -> Iterator[str]:
    """Take what `kind` does not know out of a decoded value; the places of it that say something."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _take_unknown(item, kind, f"{where}[{number}]")
    elif isinstance(value, dict) and (struct := _struct(kind)) is not None:
        known = {field.encode_name: field.type for field in msgspec.structs.fields(struct)}
        for name in [*value]:
            place = f"{where}.{name}" if where else name
            if name in known:
                yield from _take_unknown(value[name], known[name], place)
            elif not members.says_nothing(msgspec.Raw(msgspec.json.encode(value.pop(name)))):
                yield place


def _struct(kind: object) -> type[msgspec.Struct] | None:
    """The struct type in `A`, `A | None` or `str | list[A]`."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    return next((struct for argument in typing.get_args(kind) if (struct := _struct(argument))), None)
