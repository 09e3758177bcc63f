"""An attempt to tell somebody that was in vain."""

from __future__ import annotations

ATTEMPT_SECONDS = 10.0  # for one attempt
MAX_ANSWER_CHARACTERS = 200


class Undelivered(Exception):
    """An attempt was in vain. `final`: another one would be too. `retry_after_seconds` is what was asked for."""

    def __init__(self, answer: str, *, final: bool = False, retry_after_seconds: float = 0.0) -> None:
        self.answer = short(answer)
        super().__init__(self.answer)
        self.final = final
        self.retry_after_seconds = retry_after_seconds


def short(text: str) -> str:
    """One line that fits into a log line and a row."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_ANSWER_CHARACTERS else f"{line[: MAX_ANSWER_CHARACTERS - 3]}..."
