"""Ordinary log records: one JSON object (or one line of text) each, on stderr, without secrets.

Owns the set-up of Python's logging for the whole process, and the mask over everything that looks like a secret. The
lines of settled requests are `requestlog.py`'s.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from typing import TextIO

import msgspec

from headgate.config.schema import LogConfig
from headgate.telemetry.repeats import STANDARD, Repeats

# Keys by the prefixes their issuers give them, whatever follows "Bearer", values named as keys, passwords in URLs.
_SECRET = re.compile(
    r"\b(?P<prefix>hg-|sk-|gsk_|xai-|hf_|whsec_|AIza|AKIA)[\w-]{4,}"
    r"|(?P<bearer>\bBearer\s+)[\w.~+/=-]+"
    r"|(?P<name>\b(?:x-)?(?:goog-)?api[-_]?key\\*[\"']?\s*[:=]\s*\\*[\"']?)[^\s\"',&}\\]+"
    r"|(?P<url>://[^/\s:@\"'\\]*:)[^/\s@\"'\\]+(?=@)",
    re.IGNORECASE,
)


def mask_secrets(text: str) -> str:
    """The text with every value that looks like a secret replaced by `***`; what it was for stays readable."""
    return _SECRET.sub(lambda match: f"{match[match.lastgroup or 0]}***", text)


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "logger", "message", ...}` with the record's `extra` fields, and `error` for a traceback."""

    def __init__(self) -> None:
        super().__init__()
        self._encoder = msgspec.json.Encoder()

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _text(record.getMessage()),
        }
        line.update((name, _plain(value)) for name, value in vars(record).items() if name not in STANDARD)
        if record.exc_info:
            line["error"] = _text("".join(traceback.format_exception(*record.exc_info)))
        return self._encoder.encode(line).decode()


class TextFormatter(logging.Formatter):
    """For people: time, level, logger, message, and the traceback on the following lines."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        line, repeated = mask_secrets(super().format(record)), getattr(record, "repeated", 0)
        return f"{line} (and {repeated} times since the last line)" if repeated else line


def _plain(value: object) -> object:
    # As text a mapping shows names and values together, so that a value is masked for its name.
    return value if value is None or isinstance(value, bool | int | float) else _text(str(value))


def _text(text: str) -> str:
    # Half a surrogate pair has no UTF-8 form; it must not cost the whole line.
    return mask_secrets(text).encode("utf-8", "backslashreplace").decode()


def configure_logging(config: LogConfig, stream: TextIO | None = None) -> None:
    """Send all log records of the process to the stream (default: stderr). Calling it again replaces the set-up.

    uvicorn's loggers are included if it is run with `log_config=None`; its access log is off, as every request has a
    line of its own.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if config.format == "json" else TextFormatter())
    handler.addFilter(Repeats())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(config.level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True
