"""Documents generated from the schema are up to date and true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from headgate.config.comments import field_comments
from headgate.config.json_schema import json_schema
from headgate.config.reference import reference
from tests.config.reading import errors

ROOT = Path(__file__).parents[2]


class Yaml12Loader(yaml.SafeLoader):
    """As editors read YAML: only true and false are truth values, so that `on:` and `off` are words."""


Yaml12Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def as_data(text: str) -> Any:
    return yaml.load(text, Loader=Yaml12Loader)


def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json_schema())


def test_the_reference_is_up_to_date() -> None:
    written = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    assert written == reference(), "run: python -m headgate.config.reference > docs/configuration.md"


def test_the_json_schema_is_up_to_date() -> None:
    written = json.loads((ROOT / "docs/headgate.schema.json").read_text(encoding="utf-8"))
    assert written == json_schema(), "run: python -m headgate.config.json_schema > docs/headgate.schema.json"


def test_every_setting_is_described() -> None:
    bare = [f"{block}.{field}" for block, fields in field_comments().items() for field in fields if not fields[field]]
    assert bare == []


def test_the_json_schema_accepts_the_example() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    data = as_data((ROOT / "headgate.example.yaml").read_text(encoding="utf-8"))
    assert [error.message for error in validator().iter_errors(data)] == []


@pytest.mark.parametrize(
    "text",
    [
        "servr: {}",
        "server: {port: many}",
        "server: {port: 70000}",
        "server: {authentication: none}",
        "server: {drain_seconds: -1}",
        "server: {trusted_proxies: x}",
        "providers: {a: {}}",
        "models: {a: {deployments: [{provider: x, model: y}], price: fre}}",
        "models: {a: {deployments: [{provider: x, model: y}], price: {input: -1}}}",
        "tiers: {a: {models: ['*'], on_exceed: {degrad: x}}}",
        "alerts: [{on: [nothing], webhook: x}]",
    ],
)
def test_the_json_schema_refuses_what_the_gateway_refuses(text: str) -> None:
    assert errors(text)
    assert not validator().is_valid(as_data(text))


def test_the_json_schema_accepts_values_from_outside_and_grouped_digits() -> None:
    text = "server: {port: '${PORT}', max_body_bytes: '10_000_000', log: {prompts: '${P}', level: '${L:-info}'}}"
    assert validator().is_valid(as_data(text))


def test_the_example_in_the_introduction_works(tmp_path: Path) -> None:
    example = reference().split("```yaml\n")[1].split("```")[0].replace("me.key", str(tmp_path / "me.key"))
    (tmp_path / "me.key").write_text("hg-0123456789abcdef\n")
    assert errors(example, {"OPENAI_API_KEY": "sk-x"}) == []
