"""What dead processes had under way: their tables, and the provisional charges that are made of them.

Finding and reading block on files and belong on the drain's thread. A table waits until every segment of its process
is in the ledger and gone: from then on it is known which of its requests have a row.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from headgate.errors import ProcessDied
from headgate.metering import UnderWay
from headgate.stores.ownership import take
from headgate.stores.segments import has_segments
from headgate.stores.underway import FILE_HEADER, SUFFIX, known_header, read_notes
from headgate.types import AttemptRecord, Counted, Outcome, RequestRecord, Usage

log = logging.getLogger(__name__)


class OrphanTable:
    """A dead process's table, locked by us while its requests are charged."""

    def __init__(self, path: Path, descriptor: int, data: bytes) -> None:
        notes = read_notes(data)
        latest = {note.request_id: note for note in sorted(notes.requests, key=lambda note: note.attempt)}
        self.path = path
        self.records = [provisional(note) for note in latest.values()]
        self.free = [note for note in notes.failed if note.request_id not in latest]  # they owe nothing
        self.torn = notes.torn
        self._unknown = notes.unknown
        self._descriptor = descriptor

    def finish(self) -> int:
        """All of it is charged: delete it, unless another release must read it; returns how many slots of it."""
        if not self._unknown:
            self.path.unlink()
        return self._unknown

    def close(self) -> None:
        """Unlock it; unless it was finished, it waits for a later attempt."""
        os.close(self._descriptor)


class OrphanTables:
    """Finds tables whose owner is dead, one at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._left: set[str] = set()  # names of tables that this release cannot read

    def adopt(self, own: frozenset[Path]) -> OrphanTable | None:
        """The next table that nobody holds and that need not wait, locked. `own` are this process's files."""
        for path in sorted(self._directory.glob(f"*{SUFFIX}")):
            if path in own or path.name in self._left or (descriptor := take(path)) is None:
                continue
            life = path.stem.removeprefix("underway-").rpartition("-")[0]
            if has_segments(self._directory, life):  # being adopted, or left for a newer release
                os.close(descriptor)
                continue
            data = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
            if len(data) < FILE_HEADER.size or known_header(data) or not data.strip(b"\0"):
                return OrphanTable(path, descriptor, data)
            log.error("a table in an unknown format is left for a newer release", extra={"path": str(path)})
            self.leave(path)
            os.close(descriptor)
        return None

    def leave(self, path: Path) -> None:
        """Do not offer this table again."""
        self._left.add(path.name)


def provisional(note: UnderWay) -> RequestRecord:
    """The row of a request that was under way when its process died, and of the attempt that was.

    All that was held is charged: what the provider generated, nobody is left to tell. Its status is what a client was
    never sent. Where the request is charged when it is sent again, only its attempt costs something.
    """
    usage = Usage(input=note.held_input_tokens, output=note.held_output_tokens, counted=Counted.ESTIMATED)
    attempt = AttemptRecord(
        id=f"{note.request_id}.{note.attempt}",
        request_id=note.request_id,
        number=note.attempt,
        started_at=note.attempt_started_at or note.started_at,
        deployment=note.deployment,
        provider=note.provider,
        endpoint=note.endpoint,
        upstream_model=note.upstream_model,
        key_fingerprint=note.key_fingerprint,
        outcome=Outcome.PROVISIONAL,
        status=0,
        error=ProcessDied.code,
        usage=usage,
        cost_picousd=note.held_picousd,
        price_version=note.price_version,
    )
    return RequestRecord(
        id=note.request_id,
        started_at=note.started_at,
        tenant=note.tenant,
        user=note.user,
        key_id=note.key_id,
        route=note.route,
        dialect=note.dialect,
        model=note.model,
        stream=note.stream,
        outcome=Outcome.PROVISIONAL,
        status=ProcessDied.status,
        error=ProcessDied.code,
        deployment=note.deployment,
        provider=note.provider,
        upstream_model=note.upstream_model,
        session=note.session,
        tags=note.tags,
        usage=usage,
        cost_picousd=0 if note.is_uncharged else note.held_picousd,
        price_version=note.price_version,
        config_hash=note.config_hash,
        attempts=(attempt,),
    )
