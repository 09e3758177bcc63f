"""The smallest instance is valid by an independent judge, and what cannot be made is refused."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.providers.sim_schema import Unsatisfiable, smallest

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 2},
        "unit": {"enum": ["celsius", "kelvin"]},
        "days": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 2},
        "note": {"type": ["string", "null"]},
        "never asked for": {"pattern": "x"},
    },
    "required": ["city", "unit", "days", "note"],
    "additionalProperties": False,
}
TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "number"},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["value", "next"],
        }
    },
    "$ref": "#/$defs/node",
}
FORMATS = ("date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri")
VALID: list[Any] = [
    True,
    {},
    {"const": 4},
    {"type": "boolean"},
    {"type": "null"},
    WEATHER,
    TREE,
    {"allOf": [{"$ref": "#/$defs/a"}, {"properties": {"b": {"const": 1}}, "required": ["b"]}],
     "$defs": {"a": {"type": "object", "properties": {"a": {"const": 2}}, "required": ["a"]}}},
    {"oneOf": [{"type": "string", "pattern": "^x+$"}, {"type": "integer", "minimum": 3}]},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "minItems": 3, "items": {"const": 0}},
    {"type": "string", "maxLength": 2},
    {"type": "string", "minLength": 9, "maxLength": 9},
    *({"type": "string", "format": name} for name in FORMATS),
]  # fmt: skip


@pytest.mark.parametrize("schema", VALID)
def test_the_instance_is_valid(schema: Any) -> None:
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(schema, format_checker=checker).validate(smallest(schema))


def test_it_is_as_small_as_it_can_be() -> None:
    assert smallest(WEATHER) == {"city": "mill", "unit": "celsius", "days": [1, 1], "note": "mill"}


bounds = st.integers(-50, 50)


@given(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["integer", "number"])},
        optional={
            "minimum": bounds, "maximum": bounds, "exclusiveMinimum": bounds, "exclusiveMaximum": bounds,
            "multipleOf": st.integers(1, 9),
        },
    )
)  # fmt: skip
def test_numbers_keep_their_bounds(schema: dict[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(schema)
    try:
        made = smallest(schema)
    except Unsatisfiable:
        assert not any(validator.is_valid(number) for number in range(-60, 60))
    else:
        validator.validate(made)


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        (False, "'false'"),
        ({"type": "string", "pattern": "^a$"}, "'pattern'"),
        ({"type": "array", "minItems": 10**9}, "1000000000"),
        ({"type": "string", "minLength": 10**9}, "1000000000"),
        ({"$ref": "#"}, "deeper"),
        ({"$ref": "https://example.com/schema"}, "not local"),
        ({"$ref": "#/$defs/nowhere"}, "leads nowhere"),
        ({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}, "more than 10000 values"),
        ({"enum": []}, "empty list"),
        ({"type": "integer", "minimum": 2, "maximum": 1}, "no number"),
        ({"type": "number", "exclusiveMinimum": 1, "maximum": 1}, "no number"),
        ({"type": "matrix"}, "'matrix'"),
        ({"type": "object", "properties": 5, "required": ["a"]}, "not a JSON Schema"),
    ],
)
def test_what_cannot_be_made_is_refused_by_name(schema: Any, named: str) -> None:
    with pytest.raises(Unsatisfiable, match=named):
        smallest(schema)
