"""The same complaint is written once a minute."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from headgate.config.schema import LogConfig
from headgate.telemetry.log import configure_logging
from headgate.telemetry.repeats import MAX_COMPLAINTS, SECONDS

BEGIN = 1_790_000_000.0


class Written:
    """What reaches stderr of records that are made at given times."""

    def __init__(self, form: str = "json") -> None:
        self._stream = io.StringIO()
        config = LogConfig(level="info", format=form)  # type: ignore[arg-type]
        configure_logging(config, self._stream)

    def say(self, message: str, at: float = 0.0, level: int = logging.WARNING, name: str = "a", **extra: Any) -> None:
        record = logging.LogRecord(name, level, "", 0, message, (), None)
        record.created = BEGIN + at
        vars(record).update(extra)
        logging.getLogger(name).handle(record)

    def text(self) -> str:
        return self._stream.getvalue()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("uvicorn.access").disabled = False


def test_a_complaint_is_written_once_a_minute_and_counted() -> None:
    written = Written()
    for second in range(0, 130, 10):
        written.say("the database is away", float(second))
    assert [line.get("repeated") for line in written.lines()] == [None, 5, 5]
    text = Written("text")
    for second in (0.0, 1.0, 2.0, SECONDS):
        text.say("the database is away", second)
    first, last = text.text().splitlines()
    assert first.endswith("the database is away") and last.endswith("(and 2 times since the last line)")


def test_other_words_fields_loggers_and_levels_are_other_complaints() -> None:
    written = Written()
    written.say("a process died", path="one")
    written.say("a process died", path="two")
    written.say("a process died")
    written.say("a process died", name="b")
    written.say("a process died", level=logging.ERROR)
    written.say("a process lived")
    assert len(written.lines()) == 6


def test_what_is_well_again_and_breaks_again_is_told_again() -> None:
    written = Written()
    written.say("away", 0.0)
    written.say("back", 1.0, logging.INFO, name="other")
    written.say("away", 2.0)
    written.say("back", 3.0, logging.INFO)
    written.say("away", 4.0)
    assert [line["message"] for line in written.lines()] == ["away", "back", "back", "away"]


def test_a_clock_that_is_set_back_keeps_nothing_back() -> None:
    written = Written()
    written.say("away", 100.0)
    written.say("away", 0.0)
    assert len(written.lines()) == 2


def test_only_so_many_are_remembered() -> None:
    written = Written()
    for number in range(MAX_COMPLAINTS + 1):
        written.say(f"complaint {number}")
    written.say("complaint 0", 1.0)
    written.say(f"complaint {MAX_COMPLAINTS}", 1.0)
    assert len(written.lines()) == MAX_COMPLAINTS + 2
