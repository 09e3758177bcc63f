"""How much of a long run there is: all of it with HEADGATE_FULL=1 (`make test-full`), else a small part."""

from __future__ import annotations

import os

FULL = os.environ.get("HEADGATE_FULL", "0") not in ("", "0")


def scaled(full: int, small: int) -> int:
    """The one of the two that this run asks for."""
    return full if FULL else small
