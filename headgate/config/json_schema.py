"""The JSON Schema (draft 2020-12) of a configuration file, for editors. Generated from `schema.py`:

    python -m headgate.config.json_schema > docs/headgate.schema.json

It tells shapes and choices; that names exist and prices are known is told by `headgate check` alone.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import inspect

from headgate.config.comments import block_summary, field_comments
from headgate.config.schema import Config

JsonObject = dict[str, Any]

# Values that are no text may come from outside, and 10_000 is a text for tools that follow YAML 1.2.
_DEFINITIONS: JsonObject = {
    "Substituted": {"type": "string", "pattern": r"\$\{[^{}]+\}", "description": "${NAME} or ${file:PATH}"},
    "Digits": {"type": "string", "pattern": r"^[0-9]+(_[0-9]+)+(\.[0-9]+)?$", "description": "digits in groups"},
}
_OR_TEXT = [{"$ref": "#/$defs/Substituted"}, {"$ref": "#/$defs/Digits"}]


def json_schema() -> JsonObject:
    """The schema as a JSON object; the same code gives the same text."""
    kind = inspect.type_info(Config)
    assert isinstance(kind, inspect.StructType)
    definitions = dict(_DEFINITIONS)
    root = _block(kind, definitions, field_comments())
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "headgate configuration"}
    return {**head, **root, "$defs": dict(sorted(definitions.items()))}


def _block(kind: inspect.StructType, definitions: JsonObject, comments: dict[str, dict[str, str]]) -> JsonObject:
    properties: JsonObject = {}
    for field in kind.fields:
        described = {"description": comments[kind.cls.__name__][field.name], **_default(field)}
        properties[field.encode_name] = {**_value(field.type, definitions, comments), **described}
    block: JsonObject = {
        "type": "object",
        "description": block_summary(kind.cls),
        "properties": properties,
        "additionalProperties": False,
    }
    required = [field.encode_name for field in kind.fields if field.required]
    return {**block, "required": required} if required else block


def _value(kind: inspect.Type, definitions: JsonObject, comments: dict[str, dict[str, str]]) -> JsonObject:
    match kind:
        case inspect.StructType():
            name = kind.cls.__name__
            if name not in definitions:
                definitions[name] = _block(kind, definitions, comments)
            return {"$ref": f"#/$defs/{name}"}
        case inspect.ListType():
            return {"type": "array", "items": _value(kind.item_type, definitions, comments)}
        case inspect.DictType(key_type=inspect.LiteralType() as key):
            properties = {str(name): _value(kind.value_type, definitions, comments) for name in key.values}
            return {"type": "object", "properties": properties, "additionalProperties": False}
        case inspect.DictType():
            return {"type": "object", "additionalProperties": _value(kind.value_type, definitions, comments)}
        case inspect.UnionType():
            return {"anyOf": [_value(one, definitions, comments) for one in kind.types]}
        case _:
            return _scalar(kind)


def _scalar(kind: inspect.Type) -> JsonObject:
    match kind:
        case inspect.StrType():
            return {"type": "string"}
        case inspect.NoneType():
            return {"type": "null"}
        case inspect.LiteralType():
            return {"anyOf": [{"enum": list(kind.values)}, _OR_TEXT[0]]}
        case inspect.BoolType():
            return {"anyOf": [{"type": "boolean"}, _OR_TEXT[0]]}
        case inspect.DecimalType():
            return {"anyOf": [{"type": "number", "minimum": 0}, *_OR_TEXT]}
        case inspect.IntType() | inspect.FloatType():
            number = {"type": "integer" if isinstance(kind, inspect.IntType) else "number"}
            bounds = {"minimum": kind.ge, "exclusiveMinimum": kind.gt, "maximum": kind.le, "exclusiveMaximum": kind.lt}
            given = {name: bound for name, bound in bounds.items() if bound is not None}
            return {"anyOf": [{**number, **given}, *_OR_TEXT]}
        case _:
            raise TypeError(f"schema.py uses a type that has no JSON Schema here: {kind}")


def _default(field: inspect.Field) -> JsonObject:
    """The default of a simple value; a block's own fields tell theirs."""
    if isinstance(field.default, str | int | float | bool):
        return {"default": field.default}
    return {"default": float(field.default)} if isinstance(field.default, Decimal) else {}


def main() -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(json_schema()), indent=2).decode() + "\n")


if __name__ == "__main__":
    main()
