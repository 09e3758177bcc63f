"""The trail of what commands change: the same rows and lines as the server's."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import click

from headgate.admin import audit
from headgate.admin.audit import Auditor
from headgate.assembly.offline import Books
from headgate.telemetry.log import JsonFormatter, TextFormatter


@contextmanager
def audited(books: Books) -> Iterator[Auditor]:
    """Who writes what is done here. Lines go to standard error, as the server's do."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if books.config.server.log.format == "json" else TextFormatter())
    audit.log.addHandler(handler)
    if books.made_in is not None:
        click.echo(f"Note: there was no database in {books.made_in}; this made one.", err=True)
    try:
        yield Auditor(books.settings.store, books.clock, by=audit.COMMAND_LINE)
    finally:
        audit.log.removeHandler(handler)
