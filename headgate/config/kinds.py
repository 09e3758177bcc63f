"""The types of settings in words: what a value is expected to be, how to write it, what stands in for a broken one.

Knows msgspec's view of a type only, so it serves error messages and the reference alike.
"""

from __future__ import annotations

from msgspec import inspect


def expected(kind: inspect.Type) -> str:
    """What a value of a type is, in words."""
    match kind:
        case inspect.StrType():
            return "text"
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"a whole number{_bounds(kind)}"
        case inspect.FloatType():
            return f"a number{_bounds(kind)}"
        case inspect.DecimalType():
            return "an amount of USD, not negative, with at most 6 decimals"
        case inspect.LiteralType():
            return " or ".join(str(choice) for choice in kind.values)
        case inspect.ListType():
            return f"a list of {_plural(kind.item_type)}"
        case inspect.DictType(key_type=inspect.LiteralType() as key):
            return f"{{{' or '.join(map(str, key.values))}: {expected(kind.value_type)}}}"
        case inspect.DictType():
            return f"a block of NAME: {expected(kind.value_type)}"
        case inspect.StructType():
            required = [f"{field.encode_name}: ..." for field in kind.fields if field.required]
            some = [f"{field.encode_name}: ..." for field in kind.fields[:3]]
            return f"a block {{{', '.join(required or some)}}}"
        case inspect.UnionType():
            return " or ".join(expected(one) for one in kind.types if not isinstance(one, inspect.NoneType))
        case _:
            return "nothing"


def placeholder(kind: inspect.Type) -> object:
    """Something of the right type to go on with after an error."""
    match kind:
        case inspect.StructType():
            required = {field.name: placeholder(field.type) for field in kind.fields if field.required}
            return kind.cls(**required)
        case inspect.LiteralType():
            return kind.values[0]
        case inspect.UnionType():
            return None if inspect.NoneType() in kind.types else placeholder(kind.types[0])
        case inspect.ListType():
            return []
        case inspect.DictType():
            return {}
        case _:
            zeros: dict[type[inspect.Type], object] = {inspect.StrType: "", inspect.BoolType: False}
            return zeros.get(type(kind), 0)


def _bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" from {kind.ge} to {kind.le}"
    if kind.ge is not None:
        return f" of at least {kind.ge}"
    return f" above {kind.gt}" if kind.gt is not None else ""


def _plural(kind: inspect.Type) -> str:
    match kind:
        case inspect.StrType():
            return "texts"
        case inspect.StructType():
            return f"blocks{expected(kind).removeprefix('a block')}"
        case _:
            return expected(kind)


def form_hint(kind: inspect.Type) -> str:
    """How a value of a type is written, where people get it wrong."""
    match kind:
        case inspect.ListType():
            return "write [a, b], or one per line with a dash"
        case inspect.IntType():
            return "write digits only, e.g. 10_000"
        case inspect.FloatType():
            return "write a number without a unit, e.g. 0.5"
        case inspect.DecimalType():
            return "write e.g. 0.15"
        case _:
            return ""
