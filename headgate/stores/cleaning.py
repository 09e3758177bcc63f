"""Makes a record fit for every journal and database: the rare path for values that a provider or client made up.

PostgreSQL has no NUL in text, UTF-8 has no lone surrogates, SQL integers have 64 bits, and SQLite reads NaN as NULL.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import msgspec

Struct = TypeVar("Struct", bound=msgspec.Struct)

MAX_INTEGER = 2**63 - 1


def cleaned(record: Struct) -> Struct:
    """The same record with every value that could not be stored replaced by the nearest one that can."""
    return msgspec.structs.replace(
        record, **{field: _clean(getattr(record, field)) for field in record.__struct_fields__}
    )


def _clean(value: Any) -> Any:
    if type(value) is str:
        return value.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    if type(value) is int:
        return max(-MAX_INTEGER, min(value, MAX_INTEGER))
    if type(value) is float:
        return value if math.isfinite(value) else 0.0
    if type(value) is tuple:
        return tuple(map(_clean, value))
    return cleaned(value) if isinstance(value, msgspec.Struct) else value
