"""Dividing a whole number among several by their weights, so that the parts add up to it."""

from __future__ import annotations

from collections.abc import Sequence


def apportioned(total: int, weights: Sequence[int]) -> list[int]:
    """Parts of `total` in proportion to positive weights, by the method of largest remainders (Hamilton's)."""
    whole = sum(weights)
    parts = [total * weight // whole for weight in weights]
    remainders = [total * weight % whole for weight in weights]
    missing = total - sum(parts)
    for place in sorted(range(len(weights)), key=lambda place: -remainders[place])[:missing]:
        parts[place] += 1
    return parts
