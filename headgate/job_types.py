"""The vocabulary of jobs: work that somebody waits for elsewhere.

A job is what a caller submits, its items are what workers claim; a job of one request has one item. Times are Unix
seconds.
"""

from __future__ import annotations

from enum import StrEnum

from headgate.delivery_types import OutboxStanding, Target
from headgate.types import Frozen


class ItemState(StrEnum):
    """Where an item is."""

    QUEUED = "queued"  # waits for its first worker
    LEASED = "leased"  # a worker has it
    RETRYING = "retrying"  # waits for another worker after one failed, was lost, or had to wait
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # permanently: no repetition would help
    DEAD = "dead"  # retries are used up, or it took several workers with it
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # its deadline came first


class JobState(StrEnum):
    """Where a job is, which follows from its items."""

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DEAD = "dead"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Counts(Frozen, frozen=True, gc=False):
    """How many items of a job are in each state."""

    queued: int = 0
    leased: int = 0
    retrying: int = 0
    succeeded: int = 0
    failed: int = 0
    dead: int = 0
    cancelled: int = 0
    expired: int = 0

    @property
    def open(self) -> int:
        """Those that are not over."""
        return self.queued + self.leased + self.retrying

    @property
    def done(self) -> int:
        """Those that are over, however they ended."""
        return self.succeeded + self.failed + self.dead + self.cancelled + self.expired

    @property
    def total(self) -> int:
        return self.open + self.done


class Owner(Frozen, frozen=True, gc=False):
    """Who pays for a job: the key it was submitted with. What the key may do is looked up when an item begins."""

    tenant: str
    key_id: str
    user: str | None = None


class OffPeak(Frozen, frozen=True, gc=False):
    """In which hours a job's items may begin: `01:00-06:00`, and the name of a time zone."""

    window: str
    timezone: str


class Parent(Frozen, frozen=True, gc=False):
    """The item that submitted a job and waits for it. `root_id` is the job that everything began with."""

    job_id: str
    number: int
    root_id: str


class NewItem(Frozen, frozen=True, gc=False):
    """An item to add. `label` is what its submitter calls it."""

    number: int  # from 1
    request: bytes
    label: str = ""


class NewJob(Frozen, frozen=True):
    """What is submitted. `requests` are the bodies of its items, one after the other."""

    id: str
    owner: Owner
    kind: str
    requests: tuple[bytes, ...]
    created_at: float
    priority: int = 0  # higher goes first
    start_at: float = 0.0  # not before; 0: at once
    deadline_at: float | None = None
    idempotency_key: str | None = None
    digest: str = ""  # of what was submitted, to tell the same job from another with the same key
    parent: Parent | None = None
    sealed: bool = True  # False: items are added to it until it is sealed
    is_fed: bool = False  # by its caller, in portions: it is not waited for the next one for ever
    off_peak: OffPeak | None = None  # None: at any time
    targets: tuple[Target, ...] = ()  # who is told of it
    origin: str = ""  # where in which queue it was taken from: one job for each place
    max_cost_picousd: int | None = None  # it is paused before it costs more
    undecided: bool = False  # no worker takes of it before it is decided whether it goes to a provider's batch API


class Job(Frozen, frozen=True):
    """A job as it stands. `version` grows with every change."""

    id: str
    owner: Owner
    kind: str
    state: JobState
    counts: Counts
    created_at: float
    priority: int
    start_at: float
    deadline_at: float | None
    paused: bool
    finished_at: float | None
    error_code: str  # of the last item that failed; empty if none has
    error: str
    version: int
    idempotency_key: str | None = None
    cost_picousd: int = 0  # of all rows of the ledger that belong to it and to its children, duplicates left out
    duplicate_picousd: int = 0  # of its duplicates: calls that were lost with their workers and done again
    provisional_picousd: int = 0  # of the cost, what was for calls lost with their workers and may be a duplicate yet
    root_id: str = ""
    below: Counts = Counts()  # the items of all its children and theirs, if it is a root
    sealed: bool = True  # no more items come
    execution: str = ""  # live, or batch in its provider's batch API; empty or undecided: not decided yet
    execution_reason: str = ""
    off_peak: OffPeak | None = None
    opens_at: float | None = None  # when its window opens; None: it is open, or there is none
    max_cost_picousd: int | None = None  # None: as much as it takes

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.finished_at is not None

    @property
    def progress(self) -> Counts:
        """Of the work that was asked for: of its children if it has any, as its own items only wait for them."""
        return self.below if self.below.total else self.counts


class Refusal(Frozen, frozen=True):
    """What whoever sends such a request themselves would have been answered: an HTTP status, and JSON."""

    status: int
    body: str


class Item(Frozen, frozen=True):
    """An item as it stands. `result` is the body of the answer, b"" if there is none."""

    job_id: str
    number: int  # from 1
    state: ItemState
    attempts: int
    error_code: str
    error: str
    result: bytes
    finished_at: float | None
    label: str = ""
    request_id: str = ""  # of its last attempt
    refusal: Refusal | None = None  # how that ended, if not well
    request: bytes = b""


class Lease(Frozen, frozen=True):
    """An item in a worker's hands until `until`. `token` is its fence: it grows with every lease of the item."""

    job_id: str
    number: int
    token: int
    kind: str
    owner: Owner
    request: bytes
    request_id: str  # of the row that the ledger will have of this attempt
    until: float
    deadline_at: float | None
    retries: int  # failures that counted
    lost: int  # workers that were lost with it
    label: str = ""
    root_id: str = ""


class ItemEnd(Frozen, frozen=True):
    """What became of a leased item, as its worker says."""

    job_id: str
    number: int
    token: int
    state: ItemState
    result: bytes = b""
    error_code: str = ""
    error: str = ""
    next_at: float = 0.0  # of an item that is tried again, by its worker's clock
    counts_as_retry: bool = False
    refusal: Refusal | None = None
    awaits_children: bool = False  # it is claimed again when one of the jobs it submitted is over
    may_be_paid: bool = False  # its call may be carried out all the same: then it is a duplicate of the next one


class Command(StrEnum):
    """What may be asked of a job."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    REDRIVE = "redrive"  # its dead and failed items begin anew


DeadId = tuple[str, int]  # job and number
DeadPlace = tuple[float, str, int]  # among all of them: when it died, job and number


class DeadItem(Frozen, frozen=True):
    """An item that is dead, with what it asked for and why it is."""

    job_id: str
    number: int
    owner: Owner
    kind: str
    label: str
    attempts: int
    error_code: str
    error: str
    died_at: float
    request: bytes

    @property
    def place(self) -> DeadPlace:
        return self.died_at, self.job_id, self.number


class DeadFilter(Frozen, frozen=True):
    """Which dead items: these, or all of a job, of a tenant, with an error code; None: any."""

    ids: tuple[DeadId, ...] | None = None
    job_id: str | None = None
    tenant: str | None = None
    error_code: str | None = None


class JobFilter(Frozen, frozen=True):
    """Which jobs. None: any."""

    tenant: str | None = None
    state: JobState | None = None
    kind: str | None = None
    user: str | None = None
    since: float | None = None  # submitted then or later, in Unix seconds
    until: float | None = None  # submitted before
    idempotency_key: str | None = None


class Sampled(Frozen, frozen=True, gc=False):
    """An item that is done: the bytes of its request, and what it cost."""

    size_bytes: int
    cost_picousd: int


class Group(Frozen, frozen=True):
    """Items of one kind in a job and all its children.

    `cost_picousd` is of those that are done, all of them; `sample` has as many as were looked at. `rest_bytes` is the
    size of those that are left, together.
    """

    done: int
    rest: int
    cost_picousd: int
    rest_bytes: float
    sample: tuple[Sampled, ...] = ()
    unsettled: int = 0  # of the rest, those that are done and say nothing of the others: see `sql_prospects`
    unsettled_picousd: int = 0  # what those cost


class Step(Frozen, frozen=True, gc=False):
    """A step of an item that is done. One that is called "3/12 sections" says how many there are."""

    name: str
    at: float


class Prospects(Frozen, frozen=True):
    """How far a job is with all that is below it. `ended_at` are ends of items in order, of every `stride`th item."""

    groups: tuple[Group, ...]
    ended_at: tuple[float, ...]
    stride: int
    steps: tuple[Step, ...]  # the newest first
    ahead: int | None  # items that go before the first one that waits; None: none of them could begin


class EraseScope(Frozen, frozen=True, gc=False):
    """A job, or all of a tenant, or of one of its users. A job's tenant may stand beside it: another's is not found."""

    job_id: str | None = None
    tenant: str | None = None
    user: str | None = None


class Erased(Frozen, frozen=True, gc=False):
    """What is gone: jobs, each with all below it, and files and answers kept by idempotency key."""

    jobs: int
    belongings: int


class JobsHeld(Frozen, frozen=True, gc=False):
    """What a tenant's jobs take: bytes of requests and results, and items that are not over."""

    bytes: int = 0
    open_items: int = 0


class JobQuota(Frozen, frozen=True, gc=False):
    """What they may take; None: any amount."""

    bytes: int | None = None
    open_items: int | None = None


class IntakeStanding(Frozen, frozen=True, gc=False):
    """Messages that this process took from a queue of somebody else's since it began, and what waits there."""

    taken: int = 0  # became jobs
    duplicates: int = 0  # were jobs already
    refused: int = 0  # were put aside as dead letters
    depth: int = 0
    oldest_age_seconds: float | None = 0.0  # None: the broker does not say

    @property
    def by_fate(self) -> dict[str, int]:
        return {"taken": self.taken, "duplicate": self.duplicates, "refused": self.refused}


class Backlog(Frozen, frozen=True, gc=False):
    """What waits for workers now."""

    ready: int = 0  # items that could begin
    waiting: int = 0  # items whose time has not come
    leased: int = 0
    dead: int = 0
    oldest_age_seconds: float = 0.0  # of the ready ones; 0: there are none
    outbox: OutboxStanding = OutboxStanding()  # what is to be told about jobs
    intake: IntakeStanding | None = None  # None: this process takes from no queue

    @property
    def by_state(self) -> dict[str, int]:
        return {"ready": self.ready, "waiting": self.waiting, "leased": self.leased, "dead": self.dead}


class Hold(StrEnum):
    """Whether there is money for a request of a job."""

    TAKEN = "taken"
    HELD = "held"  # there may be, when requests under way need less than they hold
    SPENT = "spent"


class RetryRules(Frozen, frozen=True, gc=False):
    """How often an item is tried."""

    retries: int = 5  # failures after the first that are followed by another attempt
    lost_workers: int = 3  # an item that took so many different workers with it is poison


class SeenOfModel(Frozen, frozen=True, gc=False):
    """What one process sees of one model, for the dispatch gates of the others. Streams are counted since its start."""

    process: str
    model: str
    in_flight: int = 0  # requests of everybody in that process
    background: int = 0  # of them, those of jobs
    streams: int = 0  # that had their first content
    ttft_seconds: float | None = None  # of streams lately
    usual_ttft_seconds: float | None = None  # of streams beside which there was no background work
    quiet_streams: int = 0  # that this is known from
