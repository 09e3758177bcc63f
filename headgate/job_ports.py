"""The ports of jobs, as those see them who submit them and as workers do; all others are in `ports.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headgate.job_types import (
    Backlog,
    Command,
    DeadFilter,
    DeadItem,
    DeadPlace,
    EraseScope,
    Hold,
    Item,
    ItemEnd,
    ItemState,
    Job,
    JobFilter,
    JobsHeld,
    Lease,
    NewItem,
    NewJob,
    Prospects,
    RetryRules,
    SeenOfModel,
)
from headgate.report_types import JobReport
from headgate.types import RequestRecord


class Jobs(Protocol):
    """Jobs as those see them who submit them. Another tenant's job is not found. Raises DatabaseUnavailable."""

    async def submit(self, job: NewJob) -> tuple[Job, bool]:
        """Add a job; False: it is there already, as the one that was submitted with the same idempotency key, or as the
        child of the same name. A child has the priority, the times and the pause of its parent, or an earlier deadline.

        Raises Conflict if the idempotency key stands for another, and InvalidRequest below a job that is over.
        """

    async def add(self, job_id: str, items: Sequence[NewItem]) -> int:
        """Add items to a job that is not sealed; how many were not there before. Raises NotFound, and InvalidRequest
        if it is sealed or over."""

    async def seal(self, job_id: str) -> None:
        """No more items come: the job is over when they are. Raises NotFound."""

    async def get(self, job_id: str, tenant: str | None = None) -> Job:
        """Raises NotFound."""

    async def page(self, wanted: JobFilter, limit: int, after: str | None = None) -> tuple[list[Job], str | None]:
        """Jobs without parents, the newest first, and the cursor of the next page or None."""

    async def items(self, job_id: str, limit: int, after: int = 0, state: ItemState | None = None) -> list[Item]:
        """Items with a number above `after`, in their order."""

    async def command(self, job_id: str, command: Command, tenant: str | None = None) -> Job:
        """Do what is asked of a job and of its children. Raises NotFound, and InvalidRequest if it makes no sense any
        more."""


class DeadItems(Protocol):
    """Dead letters: the items that are dead, of all jobs. Raises DatabaseUnavailable."""

    async def page(self, wanted: DeadFilter, limit: int, after: DeadPlace | None = None) -> list[DeadItem]:
        """Those that died last first, after the place where the page before ended, which need not be there any more."""

    async def redrive(self, wanted: DeadFilter) -> int:
        """Let them begin anew, and what was made of them too; how many."""

    async def drop(self, wanted: DeadFilter) -> int:
        """They failed, and that is how it stays; how many."""


class JobUpkeep(Protocol):
    """What jobs take, and erasing them. Raises DatabaseUnavailable."""

    async def held(self, tenant: str) -> JobsHeld:
        """What a tenant's jobs take now."""

    async def open(self, scope: EraseScope, limit: int) -> list[str]:
        """Jobs without parents that are not over, or have something below them that is not."""

    async def erase(self, scope: EraseScope) -> int:
        """Erase some of those that are over; how many, 0 when none is left."""

    async def abandon(self, seconds: float) -> int:
        """Cancel some of those whose caller has sent no portion for so long, with all around them; how many."""

    async def expire(self, seconds: float) -> int:
        """Erase some of those that were over so long ago; how many."""

    async def erase_belongings(self, scope: EraseScope) -> int:
        """Erase what else a tenant or user left here; how much."""


class JobProspects(Protocol):
    """How far jobs are, with all that is below them. Raises DatabaseUnavailable."""

    async def version(self, job_id: str) -> int:
        """A number that grows with every change of a job or of one below it; cheap enough to be asked often; 0 if
        there is no such job."""

    async def of(self, job_id: str) -> Prospects:
        """What a forecast is made from."""


class Work(Protocol):
    """Jobs as workers see them. Raises DatabaseUnavailable.

    An item that was leased belongs to its worker until the lease runs out, by the database's clock.
    """

    async def claim(self, worker: str, request_ids: Sequence[str], seconds: float) -> list[Lease]:
        """Lease the next items, at most one for each id: by priority, then in turn between tenants.

        The ids are kept before anything is dispatched, so that every row of the ledger finds its job.
        """

    async def keep(self, worker: str, seconds: float) -> frozenset[tuple[str, int, int]]:
        """Extend all leases of a worker: (job, number, token) of those it still has. The others are not its own."""

    async def finish(self, worker: str, ends: Sequence[ItemEnd]) -> list[bool]:
        """Say what became of a worker's items; False for each that it had no more, of which nothing changes."""

    async def sweep(self, rules: RetryRules) -> int:
        """Take back what lost workers had, end what is too late, and let begin whose time has come; how many."""

    async def book_duplicates(self) -> list[RequestRecord]:
        """Calls that were lost with their workers and done again are duplicates in the ledger from here on; those whose
        rows have come since the last time, as they were charged."""

    async def backlog(self) -> Backlog:
        """What waits."""


class Checkpoints(Protocol):
    """What a worker keeps of an item that takes several steps. Raises DatabaseUnavailable.

    Whoever lost the item writes nothing any more: the statements name the lease's token.
    """

    async def begin(self, worker: str, lease: Lease, request_id: str) -> bool:
        """Keep the id of another request before it is sent, as `Work.claim` does for the first; False: it was lost."""

    async def read(self, lease: Lease) -> dict[str, bytes]:
        """The results of the steps that were done, by name."""

    async def write(self, worker: str, lease: Lease, name: str, result: bytes, asked: Sequence[str] = ()) -> bool:
        """Keep what a step came to, unless it was kept before; False: the item was lost. `asked` are the ids of the
        requests it was made of, which are not made again."""


class GateBoard(Protocol):
    """Where processes tell each other what their dispatch gates have to know. Raises DatabaseUnavailable."""

    async def exchange(self, process: str, mine: Sequence[SeenOfModel], seconds: float) -> list[SeenOfModel]:
        """Tell what a process sees now, in place of what it told before, and hear what others told within so many
        seconds."""


class Purses(Protocol):
    """What single jobs may cost, all workers together. Raises DatabaseUnavailable."""

    async def has(self, root_id: str) -> bool:
        """Whether the job has a limit at all; that never changes."""

    async def hold(self, root_id: str, request_id: str, picousd: int) -> Hold:
        """Take the most that a request may cost, if there is so much left."""

    async def settle(self, request_id: str, cost_picousd: int) -> None:
        """Put back what a request did not need. Twice changes nothing."""

    async def resize(self, root_id: str, limit_picousd: int) -> None:
        """Another limit. Raises InvalidRequest if the job has none."""


class Reports(Protocol):
    """Looking back on jobs. Raises DatabaseUnavailable."""

    async def report(self, root_id: str, documents_id: str, shard_documents: int, most: int) -> JobReport:
        """All of a tree: costs by model, day and shard of the documents' job, its failures and slowest requests, at
        most so many of each."""
