"""The audit lines of commands that change something."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from headgate.admin import audit
from headgate.telemetry.log import JsonFormatter, TextFormatter


@contextmanager
def audit_on_stderr(form: str) -> Iterator[None]:
    """Commands leave the same audit lines as the server does, wherever standard error goes."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    audit.log.addHandler(handler)
    try:
        yield
    finally:
        audit.log.removeHandler(handler)
