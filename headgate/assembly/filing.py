"""The composition root of files and batches."""

from __future__ import annotations

from collections.abc import Callable

from headgate.config.schema import Config
from headgate.documents.apart import ReaderApart
from headgate.job_ports import Jobs
from headgate.jobs.batch_kind import BATCH_KIND, BatchKind
from headgate.jobs.batches import BatchDesk
from headgate.jobs.file_documents import FileDocuments
from headgate.jobs.filing import FileDesk, FileSettings
from headgate.jobs.kinds import Kind
from headgate.ports import Clock
from headgate.stores.database import Database
from headgate.stores.sql_batches import SqlBatches
from headgate.stores.sql_files import SqlFiles

SECONDS_PER_DAY = 86_400.0


class Filing:
    """Files and batches in one process; `ring` wakes its worker."""

    def __init__(
        self, database: Database, jobs: Jobs, clock: Clock, config: Callable[[], Config], ring: Callable[[], None]
    ) -> None:
        stored, batches = SqlFiles(database, clock), SqlBatches(database)
        self._reader = ReaderApart()
        self.documents = FileDocuments(stored, self._reader.read)
        self.files = FileDesk(stored, stored, clock, lambda: _settings(config()))
        self.batches = BatchDesk(batches, self.files, jobs, clock, ring)
        self.kinds: dict[str, Kind] = {BATCH_KIND: BatchKind(batches, self.files)}

    async def aclose(self) -> None:
        """Read nothing more."""
        await self._reader.aclose()


def _settings(config: Config) -> FileSettings:
    files, server = config.files, config.server
    return FileSettings(files.tenant_bytes, files.file_bytes, files.keep_days * SECONDS_PER_DAY, server.max_body_bytes)
