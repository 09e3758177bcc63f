"""What the values of a row may be: tells rows of this release from those of others, and makes odd values fit."""

from __future__ import annotations

from collections.abc import Sequence
from types import GenericAlias
from typing import Any, Literal

import msgspec
from sqlalchemy import Column, Table

from headgate.stores.cleaning import clean
from headgate.stores.rows import Values
from headgate.types import Counted, Outcome

_WORDS: dict[str, Any] = {
    "outcome": Literal[tuple(member.value for member in Outcome)],
    "counted": Literal[tuple(member.value for member in Counted)],
}


class Layout:
    """The columns of a row of one table, in the journal's order; later releases add some at the end."""

    def __init__(self, table: Table, names: Sequence[str], added: Values = ()) -> None:
        """`added` has the values that rows of older releases are given for the last columns, which they lack."""
        columns = [table.columns[name] for name in names]
        self.type: Any = GenericAlias(tuple, tuple(map(_type, columns)))
        self._nullable = tuple(bool(column.nullable) for column in columns)
        self._added = added

    def fitted(self, values: Sequence[Any]) -> Values:
        """A row of an older or newer release as this one writes it. Raises msgspec.ValidationError if it is neither."""
        missing = len(self._nullable) - len(values)
        if 0 < missing <= len(self._added):
            values = (*values, *self._added[-missing:])
        fitted: Values = msgspec.convert(tuple(values[: len(self._nullable)]), self.type)
        return fitted

    def cleaned(self, values: Values) -> Values:
        """The same row with every value that could not be stored replaced by the nearest one that can."""
        return tuple(
            value if nullable and value != value else clean(value)
            for value, nullable in zip(values, self._nullable, strict=True)
        )


def _type(column: Column[Any]) -> Any:
    kind = _WORDS.get(column.name, column.type.python_type)
    return kind | float if column.nullable else kind
