"""The rules of the house that a parser can see."""

from __future__ import annotations

import ast
import datetime
import decimal
import importlib
import logging
import pathlib
import re
import struct
import types
import typing
from collections.abc import Iterator

import msgspec
import sqlalchemy

from tests.source import Function, Source, each, port_adapters, ports_of_the_package, sources

PACKAGE = sources("headgate")
EVERYTHING = [*PACKAGE, *sources("tests"), *sources("benchmarks"), *sources("scripts")]
MOST_LINES = 400
MOST_LINES_OF_A_TEST = 500  # tables of cases are long and easily read
MOST_FUNCTION_LINES = 60
MOST_PARAMETERS = 6
MOST_PORT_METHODS = 7
STATEMENTS_WORTH_A_WORD = 3
SAYS_NOTHING = {"utils", "util", "common", "helpers", "helper", "misc", "tools", "stuff"}

# Where the real world comes in.
REAL_TIME_AND_CHANCE = {"headgate/clock.py"}
ENVIRONMENT = ("headgate/cli.py", "headgate/commands/", "headgate/serving/")
PRINTS = ("headgate/cli.py", "headgate/commands/", "headgate/serving/")
SECRETS = {
    "headgate/gateway/accounts.py",
    "headgate/admin/admin_key.py",
    "headgate/deliveries/signing.py",
}  # keys must not be guessed by replaying a seed

NOT_REPEATABLE = {
    "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.sleep",
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "datetime.datetime.now",
    "datetime.datetime.utcnow", "datetime.date.today", "uuid.uuid1", "uuid.uuid4", "os.urandom",
}  # fmt: skip
PURE = {
    "__future__", "base64", "binascii", "bisect", "collections", "collections.abc", "csv", "dataclasses", "datetime",
    "decimal", "email.utils", "enum", "fractions", "functools", "hashlib", "io", "itertools", "json", "math", "msgspec",
    "ipaddress", "operator", "re", "struct", "typing", "zlib", "zoneinfo",
}  # fmt: skip
IMMUTABLE = (
    str, bytes, int, float, bool, tuple, frozenset, types.NoneType, types.MappingProxyType, types.UnionType,
    types.GenericAlias, types.FunctionType, type, re.Pattern, struct.Struct, decimal.Decimal, datetime.date,
    pathlib.PurePath, logging.Logger, msgspec.json.Decoder, msgspec.json.Encoder, msgspec.msgpack.Decoder,
    msgspec.Raw, typing.TypeVar, sqlalchemy.MetaData, sqlalchemy.Table,
)  # fmt: skip
# An event that uvicorn may set and nobody waits for: it has no state.
EXCEPTIONS = {"headgate.gateway.http.exchange._NOBODY_WAITS"}
CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")
CHANGING = {"append", "extend", "insert", "add", "update", "setdefault", "pop", "popitem", "clear", "remove", "discard"}


def dotted(node: ast.expr) -> str:
    """`time.time` of the expression time.time, "" of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (base := dotted(node.value)):
        return f"{base}.{node.attr}"
    return ""


# --- size and names ---


@each(EVERYTHING)
def test_files_are_short_and_say_what_they_own(source: Source) -> None:
    most = MOST_LINES_OF_A_TEST if source.place.startswith("tests/") else MOST_LINES
    assert len(source.text.split("\n")) <= most
    assert ast.get_docstring(source.tree) or not source.text.strip(), "a module begins with what it owns"
    assert source.path.stem not in SAYS_NOTHING, "the name says nothing"


@each(EVERYTHING)
def test_functions_are_short_and_take_little(source: Source) -> None:
    for function in source.functions():
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        assert lines <= MOST_FUNCTION_LINES, f"{function.name} has {lines} lines"
        arguments = function.args
        names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        names = [name for name in names if name not in ("self", "cls")]
        assert len(names) <= MOST_PARAMETERS, f"{function.name} takes {len(names)} parameters: use a struct"


@each(PACKAGE)
def test_public_classes_and_functions_say_what_they_do(source: Source) -> None:
    for node in source.tree.body:
        if isinstance(node, ast.ClassDef):  # a shape without methods may speak for itself
            worth_a_word = any(isinstance(member, Function) for member in node.body)
        elif isinstance(node, Function):
            worth_a_word = len(node.body) >= STATEMENTS_WORTH_A_WORD
        else:
            continue
        assert node.name.startswith("_") or not worth_a_word or ast.get_docstring(node), f"{node.name} has no docstring"


@each(PACKAGE)
def test_nothing_is_left_for_later(source: Source) -> None:
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", source.text)
    assert "NotImplementedError" not in source.text
    for line in source.text.split("\n"):
        if "type: ignore" in line:
            assert re.search(r"type: ignore\[[\w-]+\] +#? ?\S", line), f"say which error is ignored and why: {line}"


# --- no hidden state ---


@each(PACKAGE)
def test_no_globals(source: Source) -> None:
    assert not [node for node in source.nodes if isinstance(node, ast.Global)]


def module_variables(source: Source) -> Iterator[str]:
    for node in source.tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        yield from (name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name))


@each([source for source in PACKAGE if source.path.stem != "__main__"])
def test_modules_hold_constants_only(source: Source) -> None:
    module = importlib.import_module(source.module)
    for name in module_variables(source):
        value = getattr(module, name)
        if f"{source.module}.{name}" in EXCEPTIONS or isinstance(value, IMMUTABLE) or is_frozen(value):
            continue
        if type(value).__module__ in ("typing", "click.core", "click.decorators"):
            continue
        assert isinstance(value, dict | list | set), f"{name} is a {type(value).__name__}"
        assert CONSTANT.fullmatch(name), f"{name} holds a {type(value).__name__}: a constant is written in capitals"
        assert name not in changed_names(source), f"{name} is changed"


def is_frozen(value: object) -> bool:
    return isinstance(value, msgspec.Struct) and value.__struct_config__.frozen


def changed_names(source: Source) -> set[str]:
    """Names whose contents some statement changes."""
    changed = set()
    for node in source.nodes:
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            changed.add(dotted(node.value))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING:
            changed.add(dotted(node.func.value))
    return changed


# --- the real world comes in through ports ---


@each([source for source in PACKAGE if source.place not in REAL_TIME_AND_CHANCE])
def test_time_ids_and_chance_come_from_the_clock(source: Source) -> None:
    for node in source.nodes:
        if isinstance(node, ast.Attribute):
            name = dotted(node)
            assert name not in NOT_REPEATABLE, f"{name} in line {node.lineno}"
            assert not name.startswith("random.") or name == "random.Random", f"{name} in line {node.lineno}"
            assert not name.startswith("secrets.") or source.place in SECRETS, f"{name} in line {node.lineno}"
        if isinstance(node, ast.Call) and dotted(node.func) == "random.Random":
            assert node.args, "a random source of our own has a seed"
        if isinstance(node, ast.ImportFrom):
            assert node.module not in ("time", "random", "secrets", "uuid"), "import the module, so that it can be seen"


@each([source for source in PACKAGE if not source.place.startswith(ENVIRONMENT)])
def test_only_the_command_line_reads_the_environment(source: Source) -> None:
    for node in source.nodes:
        assert dotted(node) not in ("os.environ", "os.getenv") if isinstance(node, ast.Attribute) else True


@each([source for source in PACKAGE if not source.place.startswith(PRINTS)])
def test_only_the_command_line_prints(source: Source) -> None:
    assert not [node for node in source.nodes if isinstance(node, ast.Call) and dotted(node.func) == "print"]


@each([*sources("headgate/policy"), *sources("headgate/wire")])
def test_decisions_and_dialects_are_pure(source: Source) -> None:
    impure = {name for name in source.imports() if not name.startswith("headgate") and name not in PURE}
    assert not impure, f"{', '.join(sorted(impure))}: neither I/O nor clock nor logging here"
    assert not any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in source.nodes)
    opened = [node for node in source.nodes if isinstance(node, ast.Call) and dotted(node.func) == "open"]
    assert not opened


@each(
    [
        source
        for source in PACKAGE
        if source.place.startswith(("headgate/wire/", "headgate/gateway/", "headgate/providers/"))
    ]
)
def test_streams_are_never_split_with_splitlines(source: Source) -> None:
    for node in source.nodes:
        assert not isinstance(node, ast.Attribute) or node.attr != "splitlines", f"line {node.lineno}"


# --- ports ---


def test_ports_are_narrow_and_documented() -> None:
    for port in ports_of_the_package():
        methods = [node for node in port.body if isinstance(node, Function)]
        assert len(methods) <= MOST_PORT_METHODS, port.name
        assert ast.get_docstring(port) and all(ast.get_docstring(method) for method in methods), port.name


def test_every_adapter_is_in_its_ports_contract_suite() -> None:
    adapters = port_adapters()
    assert {name.split()[0] for name in adapters} >= {"Clock", "Provider", "Journal", "Ledger", "KeyStore", "Observer"}
    contracts = "".join(source.text for source in sources("tests/contract"))
    missing = [name for name in adapters if not re.search(rf"\b{name.split()[1]}\b", contracts)]
    assert not missing, f"no contract suite names {', '.join(missing)}"
