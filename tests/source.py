"""The package's source, parsed once, for the tests of the house rules."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1]
PORTS = tuple(f"headgate/{kind}ports.py" for kind in ("", "vector_", "billing_", "job_", "route_", "queue_"))
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One Python file."""

    path: Path

    @property
    def place(self) -> str:
        """As in `headgate/wire/sse.py`."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def module(self) -> str:
        """As in `headgate.wire.sse`."""
        return self.place.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    def functions(self) -> Iterator[Function]:
        for node in self.nodes:
            if isinstance(node, Function):
                yield node

    def classes(self) -> Iterator[ast.ClassDef]:
        for node in self.nodes:
            if isinstance(node, ast.ClassDef):
                yield node

    def imports(self) -> Iterator[str]:
        """Every module it imports from, wherever the import stands."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0 and node.module, f"{self.place}: imports are absolute"
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                yield from (name if _is_module(name) else node.module for name in names)


def _is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def sources(folder: str) -> list[Source]:
    """Every Python file below a folder, in order. Each is the same object every time, so that it is parsed once."""
    return [_source(path) for path in sorted((ROOT / folder).rglob("*.py"))]


def each(files: Sequence[Source]) -> Callable[[Callable[[Source], None]], Callable[[], None]]:
    """Makes a check of a file one test of many: it names every file that fails. A test for each took half a minute."""

    def test_of(check: Callable[[Source], None]) -> Callable[[], None]:
        def test() -> None:
            failures = []
            for source in files:
                try:
                    check(source)
                except AssertionError as error:
                    failures.append(f"{source.place}: {error}")
            assert not failures, "\n".join(failures)

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return test_of


@cache
def _source(path: Path) -> Source:
    return Source(path)


def ports_of_the_package() -> list[ast.ClassDef]:
    """The classes that are ports."""
    return [found for place in PORTS for found in Source(ROOT / place).classes()]


@cache
def port_adapters() -> dict[str, list[Source]]:
    """For each class of the package that has all methods of a port, with their parameters: "Port Class" -> its file."""
    ports = {found.name: _methods(found) for found in ports_of_the_package()}
    del ports["UpstreamResponse"]  # what a Provider returns; its suite is Provider's
    adapters: dict[str, list[Source]] = {}
    for source in sources("headgate"):
        for found in source.classes() if source.place not in PORTS else ():
            own, attributes = _methods(found), _attributes(found)
            for port, methods in ports.items():
                if all(own.get(name) == taken or name in attributes for name, taken in methods.items()):
                    adapters.setdefault(f"{port} {found.name}", []).append(source)
    return adapters


def _methods(found: ast.ClassDef) -> dict[str, list[str]]:
    return {node.name: _parameters(node) for node in found.body if isinstance(node, Function)}


def _parameters(function: Function) -> list[str]:
    return [argument.arg for argument in [*function.args.args, *function.args.kwonlyargs]][1:]


def _attributes(found: ast.ClassDef) -> set[str]:
    """What is assigned to self somewhere, a method perhaps."""
    assigned = (target for node in ast.walk(found) if isinstance(node, ast.Assign) for target in node.targets)
    return {target.attr for target in assigned if isinstance(target, ast.Attribute)}
