"""The package's source, parsed once, for the tests of the house rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1]
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

    def functions(self) -> Iterator[Function]:
        for node in ast.walk(self.tree):
            if isinstance(node, Function):
                yield node

    def classes(self) -> Iterator[ast.ClassDef]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ClassDef):
                yield node

    def imports(self) -> Iterator[str]:
        """Every module it imports from, wherever the import stands."""
        for node in ast.walk(self.tree):
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
    """Every Python file below a folder, in order."""
    return [Source(path) for path in sorted((ROOT / folder).rglob("*.py"))]


def port_adapters() -> dict[str, list[Source]]:
    """For each class of the package that has all methods of a port, with their parameters: "Port Class" -> its file."""
    ports = {found.name: _methods(found) for found in Source(ROOT / "headgate/ports.py").classes()}
    del ports["UpstreamResponse"]  # what a Provider returns; its suite is Provider's
    adapters: dict[str, list[Source]] = {}
    for source in sources("headgate"):
        for found in source.classes() if source.place != "headgate/ports.py" else ():
            for port, methods in ports.items():
                if all(_offers(found, name, parameters) for name, parameters in methods.items()):
                    adapters.setdefault(f"{port} {found.name}", []).append(source)
    return adapters


def _methods(found: ast.ClassDef) -> dict[str, list[str]]:
    return {node.name: _parameters(node) for node in found.body if isinstance(node, Function)}


def _parameters(function: Function) -> list[str]:
    return [argument.arg for argument in [*function.args.args, *function.args.kwonlyargs]][1:]


def _offers(found: ast.ClassDef, name: str, parameters: list[str]) -> bool:
    """A method of that name with those parameters, or an attribute assigned to self."""
    if _methods(found).get(name) == parameters:
        return True
    assigned = (target for node in ast.walk(found) if isinstance(node, ast.Assign) for target in node.targets)
    return any(isinstance(target, ast.Attribute) and target.attr == name for target in assigned)
