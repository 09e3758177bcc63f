"""Short ways to read a configuration in tests: what it becomes, or the lines that say what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import dedent

from headgate.config.load import Loaded, parse
from headgate.config.problems import line_of
from headgate.config.schema import Config
from headgate.errors import ConfigInvalid

# The least that serves a request. Tests put their own lines below it.
BASE = """\
providers:
  openai: {kind: openai, base_url: "http://127.0.0.1:9100/v1", api_key: none}
  sim: {kind: sim}
tiers:
  pro: {models: ["*"]}
tenants:
  acme: {tier: pro}
"""
NEWLINE = "\n"


def read(text: str, environ: Mapping[str, str] | None = None) -> Loaded:
    return parse(dedent(text).encode(), "f.yaml", environ or {})


def config(text: str, environ: Mapping[str, str] | None = None) -> Config:
    return read(text, environ).config


def errors(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """What is wrong, one line each; empty if nothing is."""
    try:
        read(text, environ)
    except ConfigInvalid as invalid:
        return [line_of(problem) for problem in invalid.problems]
    return []


def marked(text: str) -> tuple[str, str]:
    """A text without its mark », and where that was, as LINE:COLUMN: where an error is expected to be told."""
    before, mark, after = text.partition("»")
    assert mark, "the text has no mark »"
    return before + after, f"{before.count(NEWLINE) + 1}:{len(before) - before.rfind(NEWLINE)}"
