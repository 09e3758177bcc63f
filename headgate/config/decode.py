"""Tree of nodes -> typed configuration. Owns what a value of each type looks like in the file and what to say if not.

Every error is collected and a placeholder is used in its stead, so that one run tells everything. Knows types only:
what names refer to and which combinations make sense is `check.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence as Many
from decimal import Decimal

import msgspec
from msgspec import inspect

from headgate.config.document import Mapping, Node, Scalar, Sequence
from headgate.config.kinds import expected, form_hint, placeholder
from headgate.config.problems import Findings, Origin, Place, nearest
from headgate.config.schema import Config
from headgate.config.substitute import Substitution, Unresolved

MAX_USD = Decimal(10**9)
_INTEGER = re.compile(r"[+-]?(0|[1-9](_?[0-9])*)")
_NUMBER = re.compile(r"[+-]?[0-9](_?[0-9])*(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?")
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_ELSEWHERE = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*(/.*)?|os\.environ/\w+")  # how shells and others name a variable
_NOTHING = ("", "~", "null", "Null", "NULL")
_BLOCKS = (inspect.StructType, inspect.DictType)


class Value(msgspec.Struct, frozen=True):
    """A scalar after substitution. A substituted one may be any type, whatever the quotes around the placeholder."""

    text: str
    plain: bool
    substituted: bool


class NotValid(Exception):
    """A value is not what its type wants; the arguments are the message and the hint."""


def decode(node: Node | None, findings: Findings, substitution: Substitution) -> Config:
    """The configuration that a document describes; what is wrong with it goes to `findings`."""
    kind = inspect.type_info(Config)
    if node is None or (isinstance(node, Scalar) and node.plain and node.text in _NOTHING):
        return Config()
    config = _Decoder(findings, substitution).value(node, kind, ())
    assert isinstance(config, Config)
    return config


def decode_value(
    node: Node, kind: inspect.Type, findings: Findings, place: Place, substitution: Substitution
) -> object:
    """As `decode`, for a single value of any type that stands at a place."""
    return _Decoder(findings, substitution).value(node, kind, place)


class _Decoder:
    def __init__(self, findings: Findings, substitution: Substitution) -> None:
        self._findings = findings
        self._substitution = substitution

    def value(self, node: Node, kind: inspect.Type, place: Place) -> object:
        """The value of a node, or a placeholder after an error was collected."""
        whole = kind
        if isinstance(kind, inspect.UnionType):
            kind = _alternative(node, kind)
        if isinstance(node, Mapping) and isinstance(kind, inspect.StructType):
            return self._block(node, kind, place)
        if isinstance(node, Mapping) and isinstance(kind, inspect.DictType):
            return self._names(node, kind, place)
        if isinstance(node, Sequence) and isinstance(kind, inspect.ListType):
            return self._list(node, kind, place)
        if isinstance(node, Scalar) and not isinstance(kind, (*_BLOCKS, inspect.ListType)):
            return self._scalar(node, kind, place, whole)
        self._findings.error(place, f"expected {expected(kind)}, found {_found(node)}", form_hint(kind), node.origin)
        return placeholder(kind)

    def _block(self, node: Mapping, kind: inspect.StructType, place: Place) -> object:
        fields = {field.encode_name: field for field in kind.fields}
        values: dict[str, object] = {}
        for key, entry in node.entries.items():
            where = (*place, key)
            field = fields.get(key)
            if field is None:
                hint = nearest(key, fields, "valid keys")
                self._findings.error(where, f'unknown key "{key}"', hint, entry.origin)
            elif not (field.required is False and _is_left_empty(entry.node, field.type)):
                self._remember(where, entry.origin, entry.node)
                value = self.value(entry.node, field.type, where)
                if field.required or not self._findings.is_broken(where):
                    values[field.name] = value
        for field in kind.fields:
            if field.required and field.encode_name not in node.entries:
                hint = f"add {field.encode_name}: {expected(field.type)}"
                self._findings.error((*place, field.encode_name), "missing", hint, self._findings.origin(place))
            if field.required:
                values.setdefault(field.name, placeholder(field.type))
        return kind.cls(**values)

    def _names(self, node: Mapping, kind: inspect.DictType, place: Place) -> dict[str, object]:
        values: dict[str, object] = {}
        for key, entry in node.entries.items():
            where = (*place, key)
            self._remember(where, entry.origin, entry.node)
            if isinstance(kind.key_type, inspect.LiteralType) and key not in kind.key_type.values:
                hint = nearest(key, map(str, kind.key_type.values), "valid keys")
                self._findings.error(where, f'unknown key "{key}"', hint, entry.origin)
            else:
                values[key] = self.value(entry.node, kind.value_type, where)
        return values

    def _list(self, node: Sequence, kind: inspect.ListType, place: Place) -> list[object]:
        values = []
        for index, item in enumerate(node.items):
            where = (*place, index)
            self._remember(where, item.origin, item)
            values.append(self.value(item, kind.item_type, where))
        return values

    def _scalar(self, node: Scalar, kind: inspect.Type, place: Place, whole: inspect.Type) -> object:
        """`kind` is what a single value may be, `whole` what any value may be."""
        value = Value(node.text, node.plain, substituted=False)
        try:
            if "${" in node.text:
                value = Value(self._substitution.resolve(node.text), plain=True, substituted=True)
            elif _ELSEWHERE.fullmatch(node.text):
                message = "looks like an environment variable, and is taken as it stands"
                self._findings.warning(place, message, 'write "${NAME}" to have it read')
            return scalar(value, _meant(value, kind))
        except Unresolved as error:
            self._findings.error(place, error.message, error.hint, node.origin)
        except NotValid as error:
            message, hint = map(str, error.args)
            if hint.startswith("choices") and kind is not whole:
                hint = f"write {expected(whole)}"
            self._findings.error(place, message, hint, node.origin)
        return placeholder(kind)

    def _remember(self, place: Place, key: Origin, node: Node) -> None:
        """A block is found by its key, anything else by itself."""
        at = key if isinstance(node, Mapping) else node.origin
        substituted = isinstance(node, Scalar) and "${" in node.text
        self._findings.origins[place] = Origin(at.line, at.column, substituted)


def scalar(value: Value, kind: inspect.Type) -> object:
    """One value as its type. Raises NotValid."""
    if isinstance(kind, inspect.StrType):
        found = "text" if value.substituted or not value.plain else _word(value.text)
        if found != "text":
            hint = "give it or remove the line" if found == "nothing" else "put it in quotes if it is meant as text"
            raise NotValid(f"expected text, found {found}", hint)
        return value.text
    if isinstance(kind, inspect.LiteralType):
        return _choice(value, [str(choice) for choice in kind.values])
    if isinstance(kind, inspect.NoneType) and value.plain and value.text in _NOTHING:
        return None
    read = {inspect.BoolType: _truth, inspect.IntType: _integer, inspect.FloatType: _number, inspect.DecimalType: _usd}
    parsed = read[type(kind)](value.text) if value.plain and type(kind) in read else None
    if parsed is None:
        shown = "something else in the substituted value" if value.substituted else _shown(value)
        quoted = not value.plain and type(kind) in read and read[type(kind)](value.text) is not None
        raise NotValid(f"expected {expected(kind)}, found {shown}", "remove the quotes" if quoted else form_hint(kind))
    if isinstance(kind, inspect.IntType | inspect.FloatType) and not _within(parsed, kind):
        shown = "" if value.substituted else f", found {value.text}"
        raise NotValid(f"expected {expected(kind)}{shown}", "")
    return parsed


def _alternative(node: Node, kind: inspect.UnionType) -> inspect.Type:
    """The member of a union that a node is meant as, by its shape; of several scalars `_meant` finds the one."""
    scalars = [one for one in kind.types if not isinstance(one, (*_BLOCKS, inspect.ListType, inspect.NoneType))]
    blocks = [one for one in kind.types if isinstance(one, _BLOCKS)]
    if isinstance(node, Scalar) and node.plain and node.text in _NOTHING and inspect.NoneType() in kind.types:
        return inspect.NoneType()
    if isinstance(node, Scalar) and scalars:
        return scalars[0] if len(scalars) == 1 else inspect.UnionType(tuple(scalars))
    if isinstance(node, Mapping) and blocks:
        return blocks[0]
    lists = [one for one in kind.types if isinstance(one, inspect.ListType)]
    return lists[0] if isinstance(node, Sequence) and lists else kind


def _meant(value: Value, kind: inspect.Type) -> inspect.Type:
    """Of a choice of words and another scalar, which one a value is."""
    if not isinstance(kind, inspect.UnionType):
        return kind
    words = [one for one in kind.types if isinstance(one, inspect.LiteralType)]
    others = [one for one in kind.types if not isinstance(one, inspect.LiteralType)]
    return next((one for one in words if value.text in one.values), (others or words)[0])


def _is_left_empty(node: Node, kind: inspect.Type) -> bool:
    """`providers:` with everything below it commented out is the same as leaving it out."""
    empty = isinstance(node, Scalar) and node.plain and node.text in _NOTHING
    return empty and isinstance(kind, (*_BLOCKS, inspect.ListType))


def _choice(value: Value, choices: Many[str]) -> str:
    if value.text in choices:
        return value.text
    shown = "the substituted value is not among the choices" if value.substituted else f'unknown value "{value.text}"'
    hint = f"choose {' or '.join(choices)}" if value.substituted else nearest(value.text, choices, "choices")
    raise NotValid(shown, hint)


def _truth(text: str) -> bool | None:
    return _TRUTH.get(text.lower())


def _integer(text: str) -> int | None:
    return int(text) if _INTEGER.fullmatch(text) and len(text) < 20 else None


def _number(text: str) -> float | None:
    number = float(text) if _NUMBER.fullmatch(text) else math.inf
    return number if math.isfinite(number) else None


def _usd(text: str) -> Decimal | None:
    """An exact amount; more than 6 decimals would not be a whole number of pico-dollars per token."""
    if not _NUMBER.fullmatch(text):
        return None
    amount = Decimal(text.replace("_", ""))
    whole = 0 <= amount <= MAX_USD and amount == round(amount, 6)
    return amount if whole else None


def _within(number: object, kind: inspect.IntType | inspect.FloatType) -> bool:
    assert isinstance(number, int | float)
    return (
        (kind.ge is None or number >= kind.ge)
        and (kind.gt is None or number > kind.gt)
        and (kind.le is None or number <= kind.le)
        and (kind.lt is None or number < kind.lt)
    )


def _word(text: str) -> str:
    """What a word without quotes means in YAML: text unless it looks like something else."""
    if text in _NOTHING:
        return "nothing"
    if _NUMBER.fullmatch(text):
        return f"the number {text}"
    return f'the truth value "{text}"' if text.lower() in _TRUTH else "text"


def _shown(value: Value) -> str:
    found = _word(value.text) if value.plain else "text"
    return f'the text "{value.text}"' if found == "text" else found


def _found(node: Node) -> str:
    if isinstance(node, Scalar):
        return "a single value" if node.text else "nothing"
    return "a list" if isinstance(node, Sequence) else "a block"
