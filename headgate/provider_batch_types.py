"""The vocabulary of providers' batch APIs: what is handed over, how it stands, and what comes back."""

from __future__ import annotations

from enum import StrEnum

from headgate.types import Api, Frozen

LEASE_OF_ITEMS_SECONDS = 7 * 86_400.0  # a batch that nobody looks after for so long is lost
BATCH_WORKER = "batch:"  # what the names begin with under which batches have their items


class BatchLine(Frozen, frozen=True):
    """One request of a batch. `id` is that of the ledger's row it will have."""

    id: str
    body: bytes  # as the provider's API takes it


class Handover(Frozen, frozen=True):
    """A batch to be handed over. `id` is ours: the provider is told it, where its API has a place for it."""

    id: str
    api: Api
    model: str  # the provider's name for it
    lines: tuple[BatchLine, ...]


class AtProvider(StrEnum):
    """How a batch stands at its provider."""

    RUNNING = "running"
    ENDED = "ended"  # there are results, perhaps not of all lines
    FAILED = "failed"  # it was refused as a whole


class BatchStanding(Frozen, frozen=True):
    """What a provider says of a batch. `results` are where they are: the adapter that said so knows what it means."""

    state: AtProvider
    done: int = 0
    error: str = ""
    results: tuple[str, ...] = ()


class Candidate(Frozen, frozen=True, gc=False):
    """What may be a batch of ours. `is_certain`: it has our id; else the ids of its lines tell, once it has ended."""

    provider_id: str
    is_certain: bool


class LineEnd(StrEnum):
    """How a line ended."""

    ANSWERED = "answered"
    ERROR = "error"
    EXPIRED = "expired"  # its time was over before it was begun: nothing is charged
    CANCELLED = "cancelled"

    @property
    def is_done(self) -> bool:
        """Whether the provider has done with it."""
        return self in (LineEnd.ANSWERED, LineEnd.ERROR)


class LineResult(Frozen, frozen=True):
    """What came of one line. `body` is the answer, or the error as the provider wrote it."""

    id: str
    end: LineEnd
    body: bytes = b""
    status: int = 0  # of HTTP, where the provider says it


class Taken(Frozen, frozen=True, gc=False):
    """An item in a batch. `token` is the fence of its lease. `request` is empty when it was erased meanwhile."""

    request_id: str
    job_id: str
    number: int
    token: int
    request: bytes


class Stage(StrEnum):
    """How far we are with a batch. Each is on record before what follows it is done."""

    PREPARED = "prepared"  # its items are its own
    SENT = "sent"  # the provider was called: perhaps it has the batch, perhaps not
    RUNNING = "running"  # the provider has it
    CANCELLING = "cancelling"  # and was asked to stop: the deadline is near, or nobody wants it any more
    ABANDONED = "abandoned"  # its items are done otherwise; what the provider does of it all the same is paid for
    OVER = "over"


class ProviderBatch(Frozen, frozen=True):
    """A batch as it is on record. Times are Unix seconds."""

    id: str
    job_id: str
    kind: str
    tenant: str
    key_id: str
    user_name: str | None
    model: str  # the public name
    deployment: str
    key_fingerprint: str
    deadline_at: float | None
    stage: Stage
    created_at: float
    sent_at: float = 0.0
    provider_id: str = ""
    size: int = 0
    has_files: bool = False  # the provider may have something of it yet, which is deleted when it is over

    @property
    def worker(self) -> str:
        """Whose its items are, as leases go."""
        return f"{BATCH_WORKER}{self.id}"


class WaitingJob(Frozen, frozen=True):
    """A job with items that nobody has begun. `execution` is as it was decided last, empty: not yet."""

    job_id: str
    kind: str
    tenant: str
    key_id: str
    user: str | None
    waiting: int
    deadline_at: float | None
    execution: str
    first_request: bytes
