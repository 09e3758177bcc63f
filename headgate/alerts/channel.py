"""A way to tell people. What it is behind is in `hooks.py` and `postbox.py`."""

from __future__ import annotations

from typing import Protocol

from headgate.alert_types import Alert

ATTEMPT_SECONDS = 10.0  # for one attempt of one channel
MAX_ANSWER_CHARACTERS = 200


class Undelivered(Exception):
    """An attempt was in vain. `final`: another one would be too. `retry_after_seconds` is what was asked for."""

    def __init__(self, answer: str, *, final: bool = False, retry_after_seconds: float = 0.0) -> None:
        self.answer = short(answer)
        super().__init__(self.answer)
        self.final = final
        self.retry_after_seconds = retry_after_seconds


class Channel(Protocol):
    """One entry of the block `alerts`."""

    name: str  # where it stands in the configuration, and whom it reaches: no secrets
    kinds: frozenset[str]  # what it wants to hear of

    async def send(self, alert: Alert, now: float) -> str:
        """Try once, at `now` in Unix seconds; what was answered. Raises Undelivered. May be cancelled."""

    async def aclose(self) -> None:
        """Close connections; what is under way may finish."""


def short(text: str) -> str:
    """One line that fits into a log line and a row."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_ANSWER_CHARACTERS else f"{line[: MAX_ANSWER_CHARACTERS - 3]}..."
