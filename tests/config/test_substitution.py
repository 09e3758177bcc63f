"""Values from the environment and from files: found, missing, and never told to anybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from headgate.config.load import load
from headgate.config.problems import line_of, report
from headgate.errors import ConfigInvalid
from tests.config.reading import config, errors, read

SECRET = "s3cr3t-value-that-must-not-leak"


def test_variables_defaults_and_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-from-file\n")
    path = tmp_path / "f.yaml"
    path.write_text(
        """
providers:
  a: {kind: openai, base_url: "https://${REGION}.example/${VERSION:-v1}", api_key: "${file:key}"}
  b: {kind: openai, base_url: "https://b.example/v1", api_keys: ["${ONE}", "${TWO:-sk-two}"], headers: {x: "$${ONE}"}}
server: {port: "${PORT}", drain_seconds: "${EMPTY:-2.5}", log: {prompts: "${YES}"}}
""",
        encoding="utf-8",
    )
    environ = {"REGION": "eu", "ONE": "sk-one", "PORT": "9000", "EMPTY": "", "YES": "true"}
    loaded = load(str(path), environ).config
    assert loaded.providers["a"].base_url == "https://eu.example/v1"
    assert loaded.providers["a"].api_keys == ["sk-from-file"]
    assert loaded.providers["b"].api_keys == ["sk-one", "sk-two"]
    assert loaded.providers["b"].headers == {"x": "${ONE}"}
    assert (loaded.server.port, loaded.server.drain_seconds, loaded.server.log.prompts) == (9000, 2.5, True)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("${NOPE}", "the environment variable NOPE is not set; "
         "export NOPE, or give a default with ${NOPE:-default}"),
        ("${EMPTY}", "the environment variable EMPTY is empty; "
         "export EMPTY, or give a default with ${EMPTY:-default}"),
        ("${A-B}", "${A-B} is not a placeholder; write ${NAME}, ${NAME:-default} or ${file:PATH}"),
        ("${}", "${} is not a placeholder; write ${NAME}, ${NAME:-default} or ${file:PATH}"),
        ("${NOPE", "${ is not closed, or contains another ${; write ${NAME}, or $${ for the text ${ itself"),
        ("${NOPE:-${X}}", "${ is not closed, or contains another ${; write ${NAME}, or $${ for the text ${ itself"),
        ("${file:nope}", "the file nope cannot be read: No such file or directory; "
         "a relative path starts from the folder of the configuration file"),
        ("${file:.}", "the file . cannot be read: Is a directory; "
         "a relative path starts from the folder of the configuration file"),
    ],
)  # fmt: skip
def test_what_cannot_be_substituted(value: str, said: str) -> None:
    assert errors(f"server:\n  host: '{value}'\n", {"EMPTY": "", "X": SECRET}) == [f"f.yaml:2:9: server.host: {said}"]


def test_files_that_are_no_secrets(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large").write_bytes(b"x" * 100_000)
    path = tmp_path / "f.yaml"
    path.write_text('database: "${file:binary}"\nqueue: "${file:large}"\n')
    with pytest.raises(ConfigInvalid) as invalid:
        load(str(path), {})
    said = [f"{problem.line} {problem.message}" for problem in invalid.value.problems]
    assert said == ["1 the file binary is not UTF-8 text", "2 the file large is larger than 65,536 bytes"]


@pytest.mark.parametrize(
    "text",
    [
        "server: {port: '${S}'}",
        "server: {drain_seconds: '${S}'}",
        "server: {authentication: '${S}'}",
        "server: {log: {prompts: '${S}'}}",
        "server: {trusted_proxies: ['${S}']}",
        "server: {tracing: {otlp_endpoint: '${S}'}}",
        "server: '${S}'",
        "store: '${S}'",
        "database: '${S}'",
        "providers: {a: {kind: '${S}'}}",
        "providers: {a: {kind: openai, base_url: '${S}', api_key: '${S} '}}",
        "providers: {a: {kind: openai, base_url: 'http://x/v1', api_key: '${S}', api_keys: ['${S}', x]}}",
        "providers: {a: {kind: sim, proxy: '${S}', headers: {'x y': '${S}'}}}",
        "models: {a: {deployments: [{provider: '${S}', model: '${S}'}], fallback: ['${S}'], price: '${S}'}}",
        "models: {a: {deployments: [{provider: p, model: '${S}'}]}}\nproviders: {p: {kind: openai, api_key: '${S}'}}",
        "models: {a: {deployments: [{provider: p, model: m, name: '${S}'}, {provider: p, model: n, name: '${S}'}]}}",
        "tiers: {a: {models: ['${S}'], on_exceed: {degrade: '${S}'}}}",
        "tenants: {a: {tier: '${S}', timezone: '${S}', keys: [{key: '${S}', tier: '${S}'}]}}",
        "tenants: {a: {tier: t, keys: [{key: 'hg-${S}'}, {key: 'hg-${S}'}]}}",
        "alerts: [{on: ['${S}'], webhook: '${S}'}]",
    ],
)
def test_what_was_substituted_is_never_told(text: str) -> None:
    with pytest.raises(ConfigInvalid) as invalid:
        config(text, {"S": SECRET})
    told = report(invalid.value.problems) + str(invalid.value) + repr(invalid.value)
    assert SECRET not in told
    assert all(line_of(problem).startswith("f.yaml:") for problem in invalid.value.problems)


@pytest.mark.parametrize("key", ["$OPENAI_API_KEY", "os.environ/OPENAI_API_KEY"])
def test_a_variable_as_others_write_it_is_taken_as_it_stands_with_a_warning(key: str) -> None:
    text = f'providers: {{a: {{kind: openai, base_url: "http://h/v1", api_key: "{key}"}}}}\n'
    loaded = read(text, {"OPENAI_API_KEY": "sk-secret"})
    assert loaded.config.providers["a"].api_key == key
    (_, warning) = map(line_of, loaded.notes)  # the first one: there are no models
    assert "api_key: looks like an environment variable" in warning and '"${NAME}"' in warning


@pytest.mark.parametrize("text", ["$5", "a$OPENAI_API_KEY", "$", "os.environ", "$${A}"])
def test_what_only_has_a_dollar_in_it_is_no_variable(text: str) -> None:
    provider = f'providers: {{a: {{kind: openai, base_url: "http://h/v1", api_key: "{text}"}}}}\n'
    assert len(read(provider).notes) == 1
