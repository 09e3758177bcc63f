"""Makes records and values fit for every journal and database: the rare path for what a provider or client made up.

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
        record, **{field: clean(getattr(record, field)) for field in record.__struct_fields__}
    )


def clean(value: Any) -> Any:
    """The nearest value that can be stored."""
    if type(value) is str:
        return value.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    if type(value) is int:
        return max(-MAX_INTEGER, min(value, MAX_INTEGER))
    if type(value) is float:
        return value if math.isfinite(value) else 0.0
    if type(value) is tuple:
        return tuple(map(clean, value))
    return cleaned(value) if isinstance(value, msgspec.Struct) else value
