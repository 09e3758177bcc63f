"""The same complaint again and again, as while a database is away: written once a minute, with how often it came."""

from __future__ import annotations

import logging
import threading

import msgspec

SECONDS = 60.0
MAX_COMPLAINTS = 256  # beyond, the oldest are forgotten and written again
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class _Complaint(msgspec.Struct):
    written_at: float  # Unix seconds
    kept_back: int = 0


class Repeats(logging.Filter):
    """Keeps back warnings and errors that were written less than `SECONDS` ago: same logger, words, fields, exception.

    The next one that is written has the number of those kept back in its field `repeated`. A logger that has something
    else to say than complaints, such as that all is well again, begins anew.
    """

    def __init__(self) -> None:
        super().__init__()
        self._complaints: dict[tuple[str, str], _Complaint] = {}
        self._lock = threading.Lock()  # threads of databases and brokers write too

    def filter(self, record: logging.LogRecord) -> bool:
        with self._lock:
            return self._is_written(record)

    def _is_written(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            self._begin_anew(record.name)
            return True
        key = (record.name, _words(record))
        last = self._complaints.pop(key, None)
        if last is not None and 0 <= record.created - last.written_at < SECONDS:
            last.kept_back += 1
            self._complaints[key] = last
            return False
        self._complaints[key] = _Complaint(record.created)
        if len(self._complaints) > MAX_COMPLAINTS:
            del self._complaints[next(iter(self._complaints))]
        if last is not None and last.kept_back:
            record.repeated = last.kept_back
        return True

    def _begin_anew(self, name: str) -> None:
        for key in [key for key in self._complaints if key[0] == name]:
            self._complaints.pop(key, None)


def _words(record: logging.LogRecord) -> str:
    fields = {name: str(value) for name, value in vars(record).items() if name not in STANDARD}
    error = repr(record.exc_info[1]) if record.exc_info else ""
    return f"{record.levelno} {record.getMessage()} {fields} {error}"
