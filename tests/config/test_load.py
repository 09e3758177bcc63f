"""Files: found, readable, the right one; and what is said about them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headgate.config.load import MAX_FILE_BYTES, load
from headgate.config.problems import report
from headgate.errors import ConfigInvalid

EXAMPLE = Path(__file__).parents[2] / "headgate.example.yaml"


def refusal(path: Path) -> str:
    with pytest.raises(ConfigInvalid) as invalid:
        load(str(path), {})
    return report(invalid.value.problems).split("\n")[0].replace(str(path.parent), "DIR")


def test_the_example_file_can_be_used_without_any_variable() -> None:
    loaded = load(str(EXAMPLE), {})
    config = loaded.config
    assert loaded.notes == ()
    assert list(config.models) == ["small", "large", "simulated", "embed"]
    assert config.server.max_body_bytes == 10_000_000
    assert config.providers["openai"].api_keys == ["sk-test"]
    assert config.providers["vllm"].api_keys == []
    assert config.tenants["hobby"].keys[0].user == "carol"
    assert config.routers["auto"].from_ == ["small", "large"]
    assert [deployment.name for deployment in config.models["large"].deployments] == [
        "openai/gpt-4o",
        "anthropic/claude-sonnet-4-5",
    ]


def test_variables_change_the_values_but_not_the_hash(tmp_path: Path) -> None:
    one = load(str(EXAMPLE), {})
    two = load(str(EXAMPLE), {"OPENAI_API_KEY": "sk-other"})
    assert two.config.providers["openai"].api_keys == ["sk-other"]
    assert one.hash == two.hash and len(one.hash) == 12
    changed = tmp_path / "f.yaml"
    changed.write_text(EXAMPLE.read_text().replace("port: 8080", "port: 8081"))
    assert load(str(changed), {}).hash != one.hash


def test_files_that_cannot_be_a_configuration(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nope.yaml") == (
        "DIR/nope.yaml: cannot be read: No such file or directory; give the path of a YAML file"
    )
    assert refusal(tmp_path / "x\0y") == "DIR/x\0y: cannot be read: not a file name; give the path of a YAML file"
    folder = tmp_path / "folder"
    folder.mkdir()
    assert refusal(folder) == "DIR/folder: cannot be read: Is a directory; give the path of a YAML file"
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    assert refusal(large) == "DIR/large.yaml: larger than 1,000,000 bytes; is it the right file?"
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\x7fELF\x02\x01\x01\x00")
    assert refusal(binary) == "DIR/binary.yaml:1:1: character U+007F is not text; save the file as plain UTF-8 text"


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no endless file here")
def test_an_endless_file_is_refused() -> None:
    assert refusal(Path("/dev/zero")) == "DIR/zero: larger than 1,000,000 bytes; is it the right file?"


def test_the_report_has_a_line_for_each_problem_and_a_summary(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("server: {port: x, hots: y}\n")
    with pytest.raises(ConfigInvalid) as invalid:
        load(str(path), {})
    lines = report(invalid.value.problems).split("\n")
    assert [line.split(": ")[1] for line in lines[:-1]] == ["server.port", "server.hots"]
    assert lines[-1] == "2 errors"
    assert str(invalid.value) == (
        f'{path}:1:16: server.port: expected a whole number from 0 to 65535, found the text "x" (and 1 more)'
    )
    assert report([]) == "no problems found"


def test_a_relative_path_is_reported_as_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("store: memory\n")
    relative = os.path.relpath(path)
    assert load(relative, {}).source == relative
