"""YAML text -> a tree of nodes with positions. Owns the notation: syntax, repeated keys, anchors, limits.

Built from parser events, because PyYAML's own composer recurses in C (deep nesting kills the process), forgets
repeated keys and reads words such as `off` as something else. Must not know what the configuration means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NoReturn, Protocol

import msgspec
import yaml

from headgate.config.problems import Findings, Origin, Place

MAX_NODES = 50_000  # after expanding aliases: more is an attack, not a configuration
MAX_DEPTH = 40
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # as YAML counts lines
_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same events, 10 times faster, where libyaml is built in


class Mark(Protocol):
    """A position as PyYAML gives it, from 0."""

    line: int
    column: int


class Scalar(msgspec.Struct, frozen=True):
    """A single value as it is written; `plain` means without quotes."""

    origin: Origin
    text: str
    plain: bool
    size: int = 1


class Sequence(msgspec.Struct, frozen=True):
    origin: Origin
    items: list[Node]
    size: int  # nodes in it, aliases expanded


class Entry(msgspec.Struct, frozen=True):
    origin: Origin  # of the key
    node: Node


class Mapping(msgspec.Struct, frozen=True):
    origin: Origin
    entries: dict[str, Entry]
    size: int


Node = Scalar | Sequence | Mapping
NodeEvent = yaml.ScalarEvent | yaml.SequenceStartEvent | yaml.MappingStartEvent


class Unreadable(Exception):
    """The text cannot be read on; the finding has been written down."""


def read_document(text: str, findings: Findings) -> Node | None:
    """The tree of a YAML document; None if it is empty or has an error after which nothing can be read.

    Syntax errors, repeated keys, odd keys, unknown aliases and tags, and documents beyond the limits become findings.
    """
    bad = _NOT_TEXT.search(text)
    if bad is not None:
        before = text[: bad.start()]
        at = Origin(before.count("\n") + 1, bad.start() - before.rfind("\n"))
        findings.error((), f"character U+{ord(bad.group()):04X} is not text", "save the file as plain UTF-8 text", at)
        return None
    try:
        return _Reader(yaml.parse(text, Loader=_PARSER), findings).document()
    except yaml.MarkedYAMLError as error:
        began = f", which began in line {error.context_mark.line + 1}" if error.context_mark is not None else ""
        context = f" {error.context}{began}" if error.context else ""
        at = _within(text, _origin(error.problem_mark or error.context_mark))
        findings.error((), f"not valid YAML: {error.problem}{context}", _syntax_hint(error.problem or ""), at)
    except Unreadable:
        pass
    return None


class _Reader:
    """Builds the tree from the parser's events, by recursive descent of bounded depth."""

    def __init__(self, events: Iterator[yaml.Event], findings: Findings) -> None:
        self._events = events
        self._findings = findings
        self._anchors: dict[str, Node | None] = {}  # None: still being read
        self._size = 0

    def document(self) -> Node | None:
        next(self._events)  # the start of the stream
        event = next(self._events)
        if not isinstance(event, yaml.DocumentStartEvent):
            return None
        node = self._node(next(self._events), ())
        next(self._events)  # the end of the document
        event = next(self._events)
        if isinstance(event, yaml.DocumentStartEvent):
            self._stop((), "a second document begins here", "keep everything in one document, without ---", event)
        return node

    def _node(self, event: yaml.Event, place: Place) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, place)
        assert isinstance(event, NodeEvent), "the parser promises a value here"
        self._count(1, event)
        if event.tag is not None and event.tag not in ("!", "tag:yaml.org,2002:str"):
            at = _origin(event.start_mark)
            self._findings.error(place, f"the tag {event.tag} has no meaning here", "remove it", at)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node: Node = Scalar(_origin(event.start_mark), event.value, not event.style and event.tag is None)
        elif len(place) >= MAX_DEPTH:
            self._stop(place[:3], f"nested deeper than {MAX_DEPTH} levels", "no setting needs that", event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, place)
        else:
            node = self._mapping(event, place)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _sequence(self, start: yaml.Event, place: Place) -> Sequence:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, (*place, len(items))))
        return Sequence(_origin(start.start_mark), items, 1 + sum(item.size for item in items))

    def _mapping(self, start: yaml.Event, place: Place) -> Mapping:
        entries: dict[str, Entry] = {}
        merged: list[Mapping] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._stop(place, "a key must be a single word", "write KEY: VALUE", event)
            key, at = event.value, _origin(event.start_mark)
            node = self._node(next(self._events), (*place, key))
            if key == "<<":
                merged += self._merged(node, place, at)
            elif key in entries:
                first = entries[key].origin.line
                message = f'the key "{key}" is here twice, first in line {first}'
                self._findings.error((*place, key), message, "keep one of them", at)
            else:
                entries[key] = Entry(at, node)
        for other in merged:
            entries = other.entries | entries
        size = 1 + sum(1 + entry.node.size for entry in entries.values())
        return Mapping(_origin(start.start_mark), entries, size)

    def _merged(self, node: Node, place: Place, at: Origin) -> list[Mapping]:
        """What `<<: *base` or `<<: [*base, *other]` brings in, nearest first."""
        nodes = node.items if isinstance(node, Sequence) else [node]
        mappings = [node for node in nodes if isinstance(node, Mapping)]
        if len(mappings) != len(nodes):
            self._findings.error((*place, "<<"), "<< takes blocks only", "write <<: *NAME of a block marked &NAME", at)
        return mappings

    def _alias(self, event: yaml.AliasEvent, place: Place) -> Node:
        if event.anchor not in self._anchors:
            self._stop(place, f"the alias *{event.anchor} is not defined above", f"mark a value &{event.anchor}", event)
        node = self._anchors[event.anchor]
        if node is None:
            self._stop(place, f"the alias *{event.anchor} contains itself", "write the value out", event)
        self._count(node.size, event)
        return node

    def _count(self, nodes: int, event: yaml.Event) -> None:
        self._size += nodes
        if self._size > MAX_NODES:
            self._stop((), f"more than {MAX_NODES:,} values, aliases counted as often as used", "split it up", event)

    def _stop(self, place: Place, message: str, hint: str, event: yaml.Event) -> NoReturn:
        self._findings.error(place, message, hint, _origin(event.start_mark))
        raise Unreadable


def _origin(mark: Mark | None) -> Origin:
    return Origin(mark.line + 1, mark.column + 1) if mark is not None else Origin(1, 1)


def _within(text: str, origin: Origin) -> Origin:
    """What is found missing at the end of the file is told at the end of its last line, where people look for it."""
    lines = _LINE_BREAK.split(text.rstrip())
    return origin if origin.line <= len(lines) else Origin(len(lines), len(lines[-1]) + 1)


def _syntax_hint(problem: str) -> str:
    if "cannot start any token" in problem:
        return "indent with spaces, not tabs, and put values with special characters in quotes"
    if "mapping values are not allowed" in problem:
        return "check the indentation, and put values that contain a colon in quotes"
    return 'check brackets, quotes and indentation here and just above; inside {...} write "${NAME}" with quotes'
