"""Check digits. All take a string of digits, the check digit among them, unless they say otherwise.

Sources: ISO/IEC 7812-1 (Luhn), ISO 7064 (mod 97-10, mod 11,10 and mod 11-2), J. Verhoeff 1969 (dihedral group).
"""

from __future__ import annotations

from collections.abc import Sequence

_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_VERHOEFF_PRODUCT = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 4, 0, 6, 7, 8, 9, 5), (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7), (4, 0, 1, 2, 3, 9, 5, 6, 7, 8), (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2), (7, 6, 5, 9, 8, 2, 1, 0, 4, 3), (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)  # fmt: skip
_VERHOEFF_ORDER = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def _verhoeff_permutations() -> tuple[tuple[int, ...], ...]:
    rows = [tuple(range(10))]
    while len(rows) < 8:
        rows.append(tuple(rows[-1][digit] for digit in _VERHOEFF_ORDER))
    return tuple(rows)


_VERHOEFF_PERMUTATIONS = _verhoeff_permutations()


def luhn(digits: str) -> bool:
    """Mod 10, every second digit from the right doubled."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        total += _DOUBLED[int(digit)] if position % 2 else int(digit)
    return total % 10 == 0


def verhoeff(digits: str) -> bool:
    """Finds all single errors and swaps."""
    state = 0
    for position, digit in enumerate(reversed(digits)):
        state = _VERHOEFF_PRODUCT[state][_VERHOEFF_PERMUTATIONS[position % 8][int(digit)]]
    return state == 0


def weighted(digits: str, weights: Sequence[int]) -> int:
    """The sum of the digits, each times its weight; digits beyond the weights do not count."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def mod_97_10(text: str) -> bool:
    """ISO 7064 on digits and letters, letters counted from 10, as in an IBAN whose first four are moved to its end."""
    return int("".join(str(int(one, 36)) for one in text)) % 97 == 1


def mod_11_10(digits: str) -> bool:
    """ISO 7064 mod 11,10."""
    product = 10
    for digit in digits[:-1]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(digits[-1])


def mod_11_2(text: str) -> bool:
    """ISO 7064 mod 11-2; the last may be X for ten."""
    total = 0
    for one in text[:-1]:
        total = (total + int(one)) * 2 % 11
    return (12 - total) % 11 == (10 if text[-1] in "Xx" else int(text[-1]))


def is_date(year: int, month: int, day: int) -> bool:
    """Whether there may be such a day; a year below 100 may be a leap year."""
    if not 1 <= month <= 12:
        return False
    longest = 31 if month in (1, 3, 5, 7, 8, 10, 12) else 30
    if month == 2:
        longest = 29 if year % 4 == 0 else 28
    return 1 <= day <= longest


def is_yymmdd(digits: str) -> bool:
    """Whether the first six digits are a date, the year first."""
    return is_date(int(digits[:2]), int(digits[2:4]), int(digits[4:6]))


def is_ddmmyy(digits: str) -> bool:
    """Whether the first six digits are a date, the day first."""
    return is_date(int(digits[4:6]), int(digits[2:4]), int(digits[:2]))
