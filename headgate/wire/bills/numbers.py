"""Days, tokens and money of a statement: exact, and refused by name where they cannot be true.

Money is read as decimals and kept as whole pico-dollars. Parts of one are rounded to the nearest, halves to even.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import TypeVar

import msgspec

from headgate.errors import BillMalformed
from headgate.types import PICO_PER_USD

SECONDS_PER_DAY = 86_400
MAX_USD = 10**6  # of one line: far beyond any day of any model, and far below what 64 bits hold
MAX_TOKENS = 10**15
_EPOCH = date(1970, 1, 1).toordinal()
_LONGEST_QUOTE = 60

Shape = TypeVar("Shape")


def decoded(body: bytes, shape: type[Shape], source: str) -> Shape:
    """JSON of a shape. Raises BillMalformed, naming the place."""
    return _decoded(body, msgspec.json.Decoder(shape), source)


def decoded_freely(body: bytes, source: str) -> object:
    """Any JSON, its fractions as exact decimals. Raises BillMalformed."""
    return _decoded(body, msgspec.json.Decoder(object, float_hook=Decimal), source)


def _decoded(body: bytes, decoder: msgspec.json.Decoder[Shape], source: str) -> Shape:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise BillMalformed(f"{source}: {error}.") from None
    except RecursionError:
        raise BillMalformed(f"{source}: nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BillMalformed(f"{source} is not valid JSON: {error}.") from None


def picousd(amount: Decimal, source: str) -> int:
    """USD as pico-dollars; credits are below zero. Raises BillMalformed."""
    if not amount.is_finite() or abs(amount) > MAX_USD:
        raise BillMalformed(f"{source}: an amount of {quoted(amount)} USD in one line cannot be true.")
    return round(amount.quantize(Decimal(1).scaleb(-12)) * PICO_PER_USD)


def decimal(text: str, source: str) -> Decimal:
    """A decimal number. Raises BillMalformed."""
    try:
        return Decimal(text.strip())
    except InvalidOperation:
        raise BillMalformed(f"{source}: {quoted(text)} is not a number.") from None


def count(number: int, name: str, source: str) -> int:
    """A number of tokens or requests. Raises BillMalformed."""
    if not 0 <= number <= MAX_TOKENS:
        raise BillMalformed(f"{source}: {quoted(number)} {name} in one line cannot be true.")
    return number


def day_of_unix(seconds: int, source: str) -> int:
    """The day that begins at a time. Raises BillMalformed for one at which none begins."""
    day, rest = divmod(seconds, SECONDS_PER_DAY)
    if rest or not 0 < day < 10**6:
        raise BillMalformed(f"{source}: {quoted(seconds)} is not the beginning of a day (UTC) in Unix seconds.")
    return day


def day_of_text(text: str, source: str) -> int:
    """The day of `2026-11-01` or of a midnight such as `2026-11-01T00:00:00Z`. Raises BillMalformed."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BillMalformed(f"{source}: {quoted(text)} is not a day such as 2026-11-01.") from None
    offset = at.utcoffset()
    if offset or at.hour or at.minute or at.second or at.microsecond:
        raise BillMalformed(f"{source}: {quoted(text)} is not the beginning of a day in UTC.")
    return at.toordinal() - _EPOCH


def written_day(day: int) -> str:
    """As in 2026-11-01."""
    return date.fromordinal(day + _EPOCH).isoformat()


def quoted(value: object) -> str:
    """A value for a message, shortened."""
    text = str(value)
    return repr(text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}...")
