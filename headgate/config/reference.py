"""The page about the configuration: `introduction.md`, written by hand, then every setting from `schema.py`.

python -m headgate.config.reference > docs/configuration.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
from msgspec import inspect

from headgate.config.availability import missing_capability
from headgate.config.catalogue import Catalogue
from headgate.config.comments import block_summary, field_comments
from headgate.config.kinds import expected
from headgate.config.problems import Place
from headgate.config.schema import Config


def reference() -> str:
    """The whole page as Markdown."""
    kind = inspect.type_info(Config)
    assert isinstance(kind, inspect.StructType)
    comments = field_comments()
    sections = [_section(block, places, comments[block.cls.__name__]) for block, places in _blocks(kind).values()]
    return "\n".join([_introduction(Catalogue.packaged()), *sections])


def _introduction(catalogue: Catalogue) -> str:
    text = (
        Path(__file__).with_name("introduction.md").read_text(encoding="utf-8").replace("{version}", catalogue.version)
    )
    for agreement in ("majority", "disputed", "single"):
        models = catalogue.with_agreement(agreement)
        named = [f"`{model.name}`{f' ({model.note})' if model.note else ''}" for model in models]
        text = text.replace(f"{{{agreement}}}", ", ".join(named))
    return text


def _blocks(root: inspect.StructType) -> dict[type, tuple[inspect.StructType, list[Place]]]:
    """Every block once, in the order of the file, with all the places where it stands."""
    found: dict[type, tuple[inspect.StructType, list[Place]]] = {root.cls: (root, [()])}

    def collect(block: inspect.StructType, place: Place) -> None:
        for field in block.fields:
            for inner, steps in _inner(field.type):
                where = (*place, field.encode_name, *steps)
                known = found.setdefault(inner.cls, (inner, []))
                known[1].append(where)
                collect(inner, where)

    collect(root, ())
    return found


def _inner(kind: inspect.Type) -> Iterator[tuple[inspect.StructType, Place]]:
    """The blocks inside a type, with the steps that lead to them: * for any name, 0 for any place in a list."""
    match kind:
        case inspect.StructType():
            yield kind, ()
        case inspect.ListType():
            yield from ((block, (0, *steps)) for block, steps in _inner(kind.item_type))
        case inspect.DictType():
            yield from ((block, ("*", *steps)) for block, steps in _inner(kind.value_type))
        case inspect.UnionType():
            for one in kind.types:
                yield from _inner(one)


def _section(block: inspect.StructType, places: list[Place], comments: dict[str, str]) -> str:
    heading = ", ".join(f"`{_written(place)}`" for place in places) if places[0] else "The file"
    note = " *No effect in this version.*"
    inherited = _has_no_effect(places[0])
    rows = []
    for field in block.fields:
        meaning = comments[field.name]
        if _has_no_effect((*places[0], field.encode_name)) and not inherited:
            meaning += note
        cells = [f"`{field.encode_name}`", _kind(field.type), _default(field), meaning]
        rows.append(f"| {' | '.join(map(_cell, cells))} |")
    summary = block_summary(block.cls) + (note if inherited else "")
    table = ["| key | value | default | meaning |", "|---|---|---|---|", *rows]
    return "\n".join([f"### {heading}", "", summary, "", *table, ""])


def _written(place: Place) -> str:
    text = ".".join("[]" if step == 0 else "NAME" if step == "*" else str(step) for step in place)
    return text.replace(".[]", "[]")


def _kind(kind: inspect.Type) -> str:
    """A type for the table: blocks and their lists have sections of their own."""
    match kind:
        case inspect.StructType():
            return "a block"
        case inspect.ListType(item_type=inspect.StructType()):
            return "a list of blocks"
        case inspect.DictType(value_type=inspect.StructType()):
            return "a block of NAME: block"
        case inspect.UnionType():
            return " or ".join(_kind(one) for one in kind.types if not isinstance(one, inspect.NoneType))
        case inspect.LiteralType():
            return " or ".join(f"`{choice}`" for choice in kind.values)
        case inspect.DecimalType():
            return "USD"
        case _:
            return expected(kind)


def _default(field: inspect.Field) -> str:
    if field.required:
        return "*none*"
    if field.default is None or field.default == "":
        return ""
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    if isinstance(field.default, str | int | float | Decimal):
        number = field.default
        return f"`{number:_}`" if isinstance(number, int) and number >= 10_000 else f"`{number}`"
    if isinstance(field.type, inspect.StructType):
        values = msgspec.structs.asdict(field.default) if any(one.required for one in field.type.fields) else {}
        return f"`{{{', '.join(f'{name}: {value}' for name, value in values.items())}}}`" if values else ""
    return "`[]`" if isinstance(field.type, inspect.ListType) else "`{}`"


def _has_no_effect(place: Place) -> bool:
    steps = tuple("*" if step == 0 else step for step in place)
    return any(missing_capability(steps[:length]) for length in range(1, len(steps) + 1))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    sys.stdout.write(reference())


if __name__ == "__main__":
    main()
