"""The smallest JSON value that a JSON Schema accepts, for structured output and tool calls of the simulated model.

Pure. Understands what OpenAI's strict mode allows and what pydantic writes: types, properties, enumerations, bounds,
formats, local references and unions. A schema it cannot satisfy is refused by name, never answered wrongly.
"""

from __future__ import annotations

import math
from typing import Any

Schema = dict[str, Any] | bool

MAX_DEPTH = 32
_MAX_SIZE = 10_000  # of a demanded string or array, and the number of values looked at: unions may branch without end

_FORMATS = {
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "date-time": "2026-01-01T00:00:00Z",
    "duration": "PT1S",
    "email": "mill@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "https://example.com/",
}


class Unsatisfiable(ValueError):
    """The schema asks for something the simulated model cannot make; the message names it."""


def smallest(schema: Schema) -> Any:
    """A value the schema accepts: required members only, the first of several. Raises Unsatisfiable."""
    try:
        return _Maker(schema).make(schema, 0)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise error if isinstance(error, Unsatisfiable) else Unsatisfiable("it is not a JSON Schema") from None


class _Maker:
    def __init__(self, root: Schema) -> None:
        self._root = root
        self._made = 0

    def make(self, schema: Schema, depth: int) -> Any:
        self._made += 1
        if self._made > _MAX_SIZE:
            raise Unsatisfiable(f"the schema leads to more than {_MAX_SIZE} values")
        if schema is False:
            raise Unsatisfiable("the schema 'false' accepts nothing")
        if schema is True or not schema:
            return None
        if depth > MAX_DEPTH:
            raise Unsatisfiable(f"the schema nests deeper than {MAX_DEPTH} levels")
        if "$ref" in schema:
            return self.make(self._resolve(schema["$ref"]), depth + 1)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return _first(schema["enum"])
        if "allOf" in schema:
            return self.make(self._merge(schema), depth + 1)
        for union in ("anyOf", "oneOf"):
            if union in schema:
                return self._make_any(schema[union], depth)
        return self._make_typed(schema, depth)

    def _make_any(self, choices: list[Schema], depth: int) -> Any:
        """The first that can be made: of a recursive union, the branch that ends."""
        refusal = Unsatisfiable("a union of no schemas accepts nothing")
        for choice in choices:
            try:
                return self.make(choice, depth + 1)
            except Unsatisfiable as error:
                refusal = error
        raise refusal

    def _make_typed(self, schema: dict[str, Any], depth: int) -> Any:
        kind = schema.get("type") or _implied_type(schema)
        match _first(kind) if isinstance(kind, list) else kind:
            case "object":
                return self._make_object(schema, depth)
            case "array":
                size = _size(schema.get("minItems", 0))
                prefix = schema.get("prefixItems", [])[:size]
                items = [*prefix, *([schema.get("items", True)] * (size - len(prefix)))]
                return [self.make(item, depth + 1) for item in items]
            case "string":
                return _string(schema)
            case "integer" | "number" as number:
                return _number(schema, whole=number == "integer")
            case "boolean":
                return False
            case "null":
                return None
        raise Unsatisfiable(f"the type {kind!r} is not one of JSON Schema's")

    def _make_object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        return {name: self.make(properties.get(name, True), depth + 1) for name in schema.get("required", [])}

    def _merge(self, schema: dict[str, Any]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for part in ({name: schema[name] for name in schema if name != "allOf"}, *schema["allOf"]):
            part = self._resolve(part["$ref"]) if isinstance(part, dict) and "$ref" in part else part
            if not isinstance(part, dict):
                continue
            properties = {**merged.get("properties", {}), **part.get("properties", {})}
            required = [*merged.get("required", []), *part.get("required", [])]
            merged = {**merged, **part, "properties": properties, "required": list(dict.fromkeys(required))}
        return {name: value for name, value in merged.items() if value not in ({}, [])}

    def _resolve(self, reference: str) -> Schema:
        found: Any = self._root
        if not reference.startswith("#"):
            raise Unsatisfiable(f"the reference {reference!r} is not local")
        for name in reference.lstrip("#/").split("/") if reference != "#" else ():
            name = name.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or name not in found:
                raise Unsatisfiable(f"the reference {reference!r} leads nowhere")
            found = found[name]
        return found  # type: ignore[no-any-return]  # wire data: whatever is there is read as a schema


def _first(values: list[Any]) -> Any:
    if not values:
        raise Unsatisfiable("an empty list of choices accepts nothing")
    return values[0]


def _implied_type(schema: dict[str, Any]) -> str:
    implied = {"properties": "object", "required": "object", "items": "array", "minLength": "string"}
    return next((kind for member, kind in implied.items() if member in schema), "null")


def _size(demanded: int) -> int:
    if demanded > _MAX_SIZE:
        raise Unsatisfiable(f"a length of {demanded} is more than {_MAX_SIZE}")
    return demanded


def _string(schema: dict[str, Any]) -> str:
    if "pattern" in schema:
        raise Unsatisfiable("'pattern' is not supported by the simulated model")
    text = _FORMATS.get(schema.get("format", ""), "mill")
    text = text.ljust(_size(schema.get("minLength", 0)), ".")
    return text[: schema.get("maxLength", len(text))]


def _number(schema: dict[str, Any], *, whole: bool) -> int | float:
    """The value nearest to zero within the bounds; for whole numbers and `multipleOf` the next multiple above."""
    low: float = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high: float = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    open_low, open_high = schema.get("exclusiveMinimum") == low, schema.get("exclusiveMaximum") == high
    step: float = schema.get("multipleOf", 1 if whole else 0)
    if low < 0 < high:
        return 0
    if step:
        count = math.ceil(low / step) if low >= 0 else math.floor(high / step)
        value = count * step
        value += step * ((low >= 0 and open_low and value == low) - (low < 0 and open_high and value == high))
    elif low >= 0:
        value = low if not open_low else (low + min(high, low + 2)) / 2
    else:
        value = high if not open_high else (high + max(low, high - 2)) / 2
    if not low <= value <= high or (open_low and value == low) or (open_high and value == high):
        raise Unsatisfiable(f"no number is between {low} and {high}")
    return value
