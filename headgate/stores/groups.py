"""How usage is grouped, and what a day is: shared by every ledger, in memory or in SQL."""

from __future__ import annotations

import datetime

from headgate.errors import InvalidRequest

SECONDS_PER_DAY = 86_400
EPOCH = datetime.date(1970, 1, 1)
WHO = "who"  # the user, or the key of nobody: whom a budget for each user counts
LIVE_GROUPS = ("session", "tags")  # of rows only, not of days that were folded; a session together with whose it is
GROUPS = {"tenant": "tenant", "user": "user_name", "model": "model", "key": "key_id", "day": "day"}  # names of columns


def day_of(time: float) -> int:
    """Number of whole UTC days since 1970 at a Unix time."""
    return int(time // SECONDS_PER_DAY)


def check_group(by: str) -> None:
    """Raises InvalidRequest."""
    if by not in (*GROUPS, WHO, *LIVE_GROUPS):
        raise InvalidRequest(f"Usage is grouped by {', '.join(GROUPS)}, not by {by!r}.", param="by")


def group_name(value: str | int | None) -> str:
    """A day as 2025-01-31; no user as an empty string."""
    if isinstance(value, int):
        return (EPOCH + datetime.timedelta(days=value)).isoformat()
    return value or ""
