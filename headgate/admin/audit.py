"""The trail of what operators changed: for every command that was carried out one log line and one row in the database,
without secrets."""

from __future__ import annotations

import logging
from typing import Annotated

import msgspec

from headgate.admin.endpoint import Input, Visit
from headgate.change_types import AuditEntry
from headgate.errors import HeadgateError
from headgate.ports import Changes, Clock
from headgate.types import Frozen

ADMIN_KEY = "admin key"  # who gave a command that came with it
COMMAND_LINE = "command line"
PAGE_ENTRIES = 100

log = logging.getLogger("headgate.audit")
log.setLevel(logging.INFO)  # the trail does not depend on how talkative the rest is configured to be


class AuditQuery(Input, frozen=True):
    """A page of the trail: so many entries, older than the cursor that the page before gave as `next`."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = PAGE_ENTRIES
    after: Annotated[str, msgspec.Meta(min_length=1, max_length=18, pattern="^[0-9]+$")] | None = None


class Audited(Frozen, frozen=True):
    """One command that was carried out. `at` is Unix seconds; `before` and `after` are null where they do not apply."""

    id: str
    at: float
    by: str
    command: str
    subject: str
    fields: msgspec.Raw
    before: msgspec.Raw | None
    after: msgspec.Raw | None
    request_id: str


class Trail(Frozen, frozen=True):
    """Commands, the newest first; `next` asks for those before them and is null at the end."""

    data: list[Audited]
    next: str | None


class Auditor:
    """Writes what one operator does. `by` is who; `store` keeps the rows."""

    def __init__(self, store: Changes, clock: Clock, *, by: str, request_id: str = "") -> None:
        self._store = store
        self._clock = clock
        self.by = by
        self._request_id = request_id

    def entry(self, command: msgspec.Struct, subject: str, before: str = "", after: str = "") -> AuditEntry:
        """The row of a command; `before` and `after` are JSON."""
        return AuditEntry(
            id=self._clock.new_id("aud"),
            at=self._clock.now(),
            by=self.by,
            command=type(command).__name__,
            fields=msgspec.json.encode(command).decode(),
            subject=subject,
            before=before,
            after=after,
            request_id=self._request_id,
        )

    async def note(self, command: msgspec.Struct, subject: str = "", before: str = "", after: str = "") -> None:
        """Write that a command was carried out. It was, so a database that is away now is only told in the log."""
        entry = self.entry(command, subject, before, after)
        record(entry)
        try:
            await self._store.note(entry)
        except HeadgateError as error:
            log.warning("no row was written for %s: %s", entry.id, error.message)


def record(entry: AuditEntry) -> None:
    """The log line of a command that was carried out."""
    log.info(
        "%s %s by %s",
        entry.command,
        entry.subject,
        entry.by,
        extra={
            "command": entry.command,
            "fields": entry.fields,  # log lines are flat
            "by": entry.by,
            "request_id": entry.request_id,
            "subject": entry.subject,
            "before": entry.before,
            "after": entry.after,
        },
    )


def auditor(visit: Visit) -> Auditor:
    """Who writes what is done with the admin key."""
    services = visit.services
    return Auditor(services.settings.store, services.clock, by=ADMIN_KEY, request_id=visit.request_id)


async def trail(visit: Visit, query: AuditQuery) -> Trail:
    """Who changed what, and when: the newest commands first."""
    entries, following = await visit.services.settings.store.trail(query.limit, query.after)
    return Trail([shown(entry) for entry in entries], following)


def shown(entry: AuditEntry) -> Audited:
    """An entry as it is shown."""
    return Audited(
        id=entry.id,
        at=entry.at,
        by=entry.by,
        command=entry.command,
        subject=entry.subject,
        fields=msgspec.Raw(entry.fields.encode()),
        before=msgspec.Raw(entry.before.encode()) if entry.before else None,
        after=msgspec.Raw(entry.after.encode()) if entry.after else None,
        request_id=entry.request_id,
    )
