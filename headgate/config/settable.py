"""Which settings can be changed at run time: limits and budgets of everybody, of tiers and of tenants.

Values are read as the configuration file's are, by the same types, so that they are refused in the same words.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

import msgspec
from msgspec import inspect

from headgate.change_types import Setting, Target
from headgate.config.blocks import Block
from headgate.config.decode import decode_value
from headgate.config.document import read_document
from headgate.config.problems import Findings, Place, nearest
from headgate.config.substitute import Substitution
from headgate.config.tiers import LimitsConfig, TenantConfig, TierConfig
from headgate.errors import InvalidRequest, NotFound
from headgate.types import Problem

RUN_TIME = "run-time change"  # where problems of changed values are found, in place of a file
_BLOCKS = {Target.EVERYBODY: LimitsConfig, Target.TIER: TierConfig, Target.TENANT: TenantConfig}
_ROOTS = {Target.EVERYBODY: "limits", Target.TIER: "tiers", Target.TENANT: "tenants"}
_NOT_SETTINGS = frozenset({"keys"})  # they have commands of their own
_ENCODER = msgspec.json.Encoder(decimal_format="number")


class Family(StrEnum):
    """The two groups in which settings are shown and changed."""

    LIMITS = "limits"
    BUDGETS = "budgets"  # and what happens when they are spent


@functools.cache  # what types say of themselves takes a millisecond to ask
def settable(target: Target) -> Mapping[str, inspect.Type]:
    """The types of all settings by their paths, in the order of the reference."""
    kind = inspect.type_info(_BLOCKS[target])
    assert isinstance(kind, inspect.StructType)
    return MappingProxyType(_leaves(kind, ""))


def family_of(path: str) -> Family:
    """Where a setting is shown."""
    return Family.BUDGETS if path.startswith("budgets.") or path == "on_exceed" else Family.LIMITS


def short(path: str) -> str:
    """A path without what the command says already: `limits.requests_per_minute` of a tenant."""
    return path.removeprefix("budgets.").removeprefix("limits.")


def find(target: Target, family: Family, word: str) -> str:
    """The path that is meant by a setting's short or long name. Raises NotFound with the nearest one."""
    paths = [path for path in settable(target) if family_of(path) is family]
    for path in paths:
        if word in (path, short(path)):
            return path
    if any(word in (path, short(path)) for path in settable(target)):
        other = Family.BUDGETS if family is Family.LIMITS else Family.LIMITS
        raise NotFound(f"'{word}' belongs to the {other}: use headgate {other}, or /admin/{other}.", param="setting")
    hint = nearest(word, map(short, paths), f"{family} of a {target}" if target is not Target.EVERYBODY else family)
    raise NotFound(f"There is no setting '{word}'; {hint}{'' if hint.endswith('?') else '.'}", param="setting")


def place_of(setting: Setting) -> Place:
    """Where it would stand in the file."""
    root = (_ROOTS[setting.target], setting.name) if setting.name else (_ROOTS[setting.target],)
    return (*root, *setting.path.split("."))


def read_value(kind: inspect.Type, text: str, place: Place) -> object:
    """The value that a text stands for, written as in the configuration file. Raises InvalidRequest."""
    findings = Findings(RUN_TIME)
    if "${" in text:
        findings.error(place, "values changed at run time cannot refer to variables or files", "write the value itself")
    node = read_document(text, findings)
    value = (
        None
        if node is None or findings.errors()
        else decode_value(node, kind, findings, place, Substitution({}, Path()))
    )
    if findings.errors():
        raise InvalidRequest(sentence(findings.errors()[0]), param="value")
    return value


def as_json(value: object) -> str:
    """A value as it is kept; the blocks of a list without what they leave open."""
    if isinstance(value, list):
        value = [_short_block(one) if isinstance(one, msgspec.Struct) else one for one in value]
    return _ENCODER.encode(value).decode()


def usual(target: Target) -> Block:
    """A block in which nothing is said."""
    return {
        Target.EVERYBODY: LimitsConfig(),
        Target.TIER: TierConfig(models=[]),
        Target.TENANT: TenantConfig(tier=""),
    }[target]


def sentence(problem: Problem) -> str:
    """What is wrong, where and what to do."""
    text = f"{problem.where}: {problem.message}" + (f"; {problem.hint}" if problem.hint else "")
    return text if text.endswith(("?", ".")) else f"{text}."


def _short_block(block: msgspec.Struct) -> dict[str, object]:
    return {name: value for name, value in msgspec.structs.asdict(block).items() if value not in (None, [])}


def _leaves(kind: inspect.StructType, prefix: str) -> dict[str, inspect.Type]:
    found: dict[str, inspect.Type] = {}
    for field in kind.fields:
        path = prefix + field.encode_name
        if path in _NOT_SETTINGS:
            continue
        if isinstance(field.type, inspect.StructType):
            found |= _leaves(field.type, f"{path}.")
        else:
            found[path] = field.type
    return found
