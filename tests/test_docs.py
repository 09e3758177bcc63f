"""What the pages print can be used as it stands: configurations, commands, URLs, Python, JSON, links.

Whether they do what the page says is for the tests of each page; this finds what was renamed and not told.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
import pytest
import yaml

from headgate.admin.routes import ENDPOINTS
from headgate.cli import headgate
from headgate.config.schema import Config, ModelConfig
from headgate.types import Route
from tests.config.reading import errors

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_LATER = re.compile(r"missing|there is no |there are no |no price: |No such file")  # what a part of a file lacks
_NOT_OURS = ("apiVersion", "scrape_configs")
_SERVED = {(endpoint.method, re.sub(r"{\w+(:path)?}", "{}", endpoint.path)) for endpoint in ENDPOINTS}
_SERVED |= {("POST", f"/v1/{route.value}") for route in Route}


class Block(NamedTuple):
    place: str
    text: str


def blocks(*languages: str) -> list[Block]:
    return [
        Block(f"{page.name}:{text.count(chr(10), 0, found.start()) + 1}", found[2])
        for page in PAGES
        for text in [page.read_text(encoding="utf-8")]
        for found in _FENCE.finditer(text)
        if found[1] in languages
    ]


def prose() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        yield page, _FENCE.sub("", page.read_text(encoding="utf-8"))


def whole(text: str) -> str | None:
    """A part of a configuration in its place; None: something else's."""
    first = next(iter(yaml.safe_load(text)))
    if first in _NOT_OURS:
        return None
    if first in Config.__struct_fields__:
        return text
    place = "models" if first in ModelConfig.__struct_fields__ else "routers"
    return f"{place}:\n  name:\n" + textwrap.indent(textwrap.dedent(text), "    ")


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: block.place)
def test_configurations(block: Block) -> None:
    text = whole(block.text)
    if text is None:
        return
    variables = {name: f"hg-0123456789-{name}" for name in re.findall(r"\${(\w+)", text)}
    assert [line for line in errors(text, variables) if not _LATER.search(line)] == []


def commands(text: str) -> Iterator[list[str]]:
    """The words behind `headgate` wherever a shell would run it."""
    text = re.sub(r"<<'?(\w+)'?\n.*?\n\1\n", "\n", text, flags=re.DOTALL)
    text = re.sub(r"(?m)\\\n|(^|\s)# .*$", " ", text)
    lexer = shlex.shlex(text, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("();<>|&\n"):
            if words[:1] == ["headgate"] or words[:1] == [".venv/bin/headgate"]:
                yield words[1:]
            words = []
        elif words or not re.match(r"[A-Z_]+=", word):
            words.append(word)


def parse(words: Sequence[str]) -> tuple[click.Command, dict[str, object], list[str]]:
    """The command that is meant, its options, and what is left over. Raises click.UsageError."""
    command: click.Command = headgate
    context, rest = click.Context(command, info_name="headgate"), list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        _, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command, context = found, click.Context(found, parent=context)
    options, left, _ = command.make_parser(context).parse_args(rest)
    return command, options, left


SHELL = [(block.place, words) for block in blocks("sh", "bash") for words in commands(block.text)]


@pytest.mark.parametrize(("place", "words"), SHELL, ids=[f"{place} {' '.join(words[:2])}" for place, words in SHELL])
def test_commands(place: str, words: list[str]) -> None:
    command, options, left = parse(words)
    wanted = [one for one in command.params if isinstance(one, click.Option) and one.required and not one.envvar]
    assert left == [] and all(one.name in options for one in wanted)


def test_commands_in_the_text() -> None:
    found = [(page.name, words) for page, text in prose() for words in re.findall(r"`headgate ([a-z-][^`]*)`", text)]
    assert len(found) > 100
    for name, words in found:
        try:
            parse(shlex.split(re.sub(r"[][]", "", words)))
        except click.UsageError as error:
            pytest.fail(f"{name}: headgate {words}: {error.message}")


def test_urls() -> None:
    calls = [(page.name, *call) for page, text in prose() for call in re.findall(r"`([A-Z]+) (/[^`\s?]+)[^`]*`", text)]
    assert len(calls) > 100
    wrong = [call for call in calls if (call[1], re.sub(r"{\w+}|\b(JOB|BATCH)?_?ID\b", "{}", call[2])) not in _SERVED]
    assert wrong == []


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.place)
def test_python(block: Block) -> None:
    compile(block.text, block.place, "exec")


@pytest.mark.parametrize("block", blocks("json"), ids=lambda block: block.place)
def test_json(block: Block) -> None:
    msgspec.json.decode(block.text if block.text.lstrip().startswith(("{", "[")) else f"{{{block.text}}}")


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links() -> None:
    wrong = []
    for page, text in prose():
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            if "://" not in link and (not target.exists() or (anchor and anchor not in anchors(target))):
                wrong.append((page.name, link))
    assert wrong == []


def test_headers() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "headgate").rglob("*.py"))
    page = (ROOT / "docs/headers.md").read_text(encoding="utf-8")
    known, told = (set(re.findall(r"x-headgate-[a-z-]*[a-z]", text)) for text in (source, page))
    assert known == told and len(told) > 10
