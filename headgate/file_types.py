"""The vocabulary of files that callers keep, and of batches, whose requests and answers are in files. Times are Unix
seconds."""

from __future__ import annotations

from enum import StrEnum

from headgate.types import Frozen

PIECE_BYTES = 2**20  # files are written and read in pieces of so many bytes, the last one has fewer


class StoredFile(Frozen, frozen=True):
    """A file of a tenant. `expires_at`: from then on it is not there any more; None: never."""

    id: str
    tenant: str
    user: str | None
    purpose: str
    filename: str
    bytes: int
    created_at: float
    expires_at: float | None = None


class FileFilter(Frozen, frozen=True):
    """Which files of a tenant."""

    tenant: str
    purposes: tuple[str, ...]
    oldest_first: bool = False


class Dialect(StrEnum):
    """In whose shape a batch is asked for, and answered."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class BatchStatus(StrEnum):
    """Where a batch is, in OpenAI's words."""

    VALIDATING = "validating"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


class LineProblem(Frozen, frozen=True):
    """Why a line of a batch's file is no request. `line` counts from 1, 0 is the whole file."""

    code: str
    message: str
    line: int = 0
    param: str | None = None
    custom_id: str | None = None


class BatchCounts(Frozen, frozen=True):
    """What became of a batch's requests, lines that are none among the errored."""

    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    cancelled: int = 0
    expired: int = 0

    @property
    def total(self) -> int:
        return self.processing + self.succeeded + self.errored + self.cancelled + self.expired


class NewBatch(Frozen, frozen=True):
    """What a caller asks for. `kind` is that of the job whose items the requests are, `endpoint` their URL."""

    dialect: Dialect
    endpoint: str
    kind: str
    input_file_id: str
    created_at: float
    expires_at: float
    window: str = "24h"
    requests: int = 0  # how many there are, if that is known before the file is looked at
    metadata: dict[str, str] | None = None
    output_seconds: float | None = None  # how long the files with the answers are kept; None: as the configuration says


class Batch(Frozen, frozen=True):
    """A batch as it stands. Its id is its job's."""

    id: str
    tenant: str
    user: str | None
    asked: NewBatch
    status: BatchStatus = BatchStatus.VALIDATING
    lines: int = 0  # of its file; 0: not counted yet
    counts: BatchCounts | None = None  # once it has ended
    problems: tuple[LineProblem, ...] = ()  # why it failed
    in_progress_at: float | None = None
    finalizing_at: float | None = None
    cancelling_at: float | None = None
    ended_at: float | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None

    @property
    def has_ended(self) -> bool:
        return self.ended_at is not None


class BatchPage(Frozen, frozen=True):
    """Which batches of a tenant: the newest first, older than `after`, or those just newer than `before`."""

    tenant: str
    dialect: Dialect
    limit: int
    after: str | None = None
    before: str | None = None
