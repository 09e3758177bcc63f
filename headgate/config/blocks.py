"""What configuration blocks are made of: their base, and numbers with bounds."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]
CountFromZero = Annotated[int, msgspec.Meta(ge=0)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Usd = Decimal  # not negative, at most 6 decimals; checked in decode.py, msgspec has no bounds for Decimal


class Block(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all configuration blocks."""
