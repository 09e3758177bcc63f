"""YAML as such: syntax, repeated keys, anchors, and documents made to hurt."""

from __future__ import annotations

import pytest

from headgate.config.document import MAX_NODES
from headgate.config.load import parse
from headgate.errors import ConfigInvalid
from tests.config.reading import config, errors


def test_a_repeated_key_names_both_lines() -> None:
    assert errors("server:\n  port: 1\n  host: localhost\n  port: 2\n") == [
        'f.yaml:4:3: server.port: the key "port" is here twice, first in line 2; keep one of them'
    ]


def test_all_repeated_keys_and_other_errors_are_told_at_once() -> None:
    found = errors("server: {port: 1, port: 2}\nserver: {}\nstorr: memory\n")
    assert [line.split(" ")[0] for line in found] == ["f.yaml:1:19:", "f.yaml:2:1:", "f.yaml:3:1:"]


@pytest.mark.parametrize(
    ("text", "start", "words"),
    [
        ("a: b: c\n", "f.yaml:1:5:", "mapping values are not allowed"),
        ("server:\n\tport: 1\n", "f.yaml:2:1:", "spaces, not tabs"),
        ('server: {host: "x}\n\n', "f.yaml:1:19:", "which began in line 1"),
        ("server: {port: ${PORT}}\n", "f.yaml:1:17:", 'write "${NAME}" with quotes'),
        ("server: *base\n", "f.yaml:1:9:", "the alias *base is not defined above; mark a value &base"),
        ("server: &a {log: *a}\n", "f.yaml:1:18:", "the alias *a contains itself"),
        ("store: memory\n---\nstore: memory\n", "f.yaml:2:1:", "a second document begins here"),
        ("store: !secret memory\n", "f.yaml:1:8:", "the tag !secret has no meaning here"),
        ("? [a]\n: 1\n", "f.yaml:1:3:", "a key must be a single word"),
        ("server:\n  <<: [1]\n", "f.yaml:2:3:", "<< takes blocks only"),
        ("store: memory\nqueue: s\x00l\n", "f.yaml:2:9:", "U+0000 is not text"),
    ],
)
def test_broken_notation_has_its_line_and_a_way_out(text: str, start: str, words: str) -> None:
    (line,) = errors(text)
    assert line.startswith(start)
    assert words in line


def test_deep_nesting_is_refused_where_it_gets_too_deep() -> None:
    # The composer of PyYAML dies of a full C stack here.
    (line,) = errors("[" * 500_000)
    assert line.startswith("f.yaml:1:41:") and "nested deeper than 40 levels" in line
    (line,) = errors("? " * 100_000)
    assert "a key must be a single word" in line


def test_aliases_that_multiply_are_refused_before_they_are_expanded() -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 20)]
    (line,) = errors("\n".join(lines))
    assert f"more than {MAX_NODES:,} values" in line
    assert line.startswith("f.yaml:5:")


def test_anchors_and_merge_keys_share_settings() -> None:
    models = config(
        """
        providers: {sim: {kind: sim}}
        models:
          one: &base {deployments: [{provider: sim, model: a}], retries: 5, total_seconds: 7}
          two: {<<: *base, retries: 1}
        """
    ).models
    assert (models["two"].retries, models["two"].total_seconds) == (1, 7)
    assert models["two"].deployments == models["one"].deployments


def test_a_wrong_value_behind_an_alias_is_told_where_it_stands() -> None:
    found = errors("server: {log: &log {level: loud}}\nproviders:\n  sim: {kind: sim, sim: *log}\n")
    assert found[0].startswith('f.yaml:1:21: providers.sim.sim.level: unknown key "level"')
    assert found[1].startswith('f.yaml:1:28: server.log.level: unknown value "loud"')


def test_a_byte_order_mark_is_ignored_and_other_encodings_are_named() -> None:
    assert parse(b"\xef\xbb\xbfstore: memory\n", "f.yaml", {}).config.store == "memory"
    with pytest.raises(ConfigInvalid) as invalid:
        parse("store: memory\nqueue: sql # \xe9\n".encode("latin-1"), "f.yaml", {})
    (problem,) = invalid.value.problems
    assert (problem.line, problem.column, problem.message) == (2, 14, "not UTF-8 text")
