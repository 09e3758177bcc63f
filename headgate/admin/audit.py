"""The trail of what operators changed: one log line for every command that was carried out, without secrets."""

from __future__ import annotations

import logging

import msgspec

log = logging.getLogger("headgate.audit")
log.setLevel(logging.INFO)  # the trail does not depend on how talkative the rest is configured to be


def record(command: msgspec.Struct, *, by: str, request_id: str = "", subject: str = "") -> None:
    """Write that a command was carried out: its name and fields, who gave it, and the id of what it made or changed."""
    name = type(command).__name__
    log.info(
        "%s %s by %s",
        name,
        subject,
        by,
        extra={
            "command": name,
            "fields": msgspec.json.encode(command).decode(),  # log lines are flat
            "by": by,
            "request_id": request_id,
            "subject": subject,
        },
    )
