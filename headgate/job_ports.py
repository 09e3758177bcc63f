"""The ports of jobs, as those see them who submit them and as workers do; all others are in `ports.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headgate.job_types import Backlog, Command, Item, ItemEnd, ItemState, Job, JobFilter, Lease, NewJob, RetryRules


class Jobs(Protocol):
    """Jobs as those see them who submit them. Another tenant's job is not found. Raises DatabaseUnavailable."""

    async def submit(self, job: NewJob) -> tuple[Job, bool]:
        """Add a job; False: it is the one that was submitted with the same idempotency key before.

        Raises Conflict if that one was another.
        """

    async def get(self, job_id: str, tenant: str | None = None) -> Job:
        """Raises NotFound."""

    async def page(self, wanted: JobFilter, limit: int, after: str | None = None) -> tuple[list[Job], str | None]:
        """Jobs, the newest first, and the cursor of the next page or None."""

    async def items(self, job_id: str, limit: int, after: int = 0, state: ItemState | None = None) -> list[Item]:
        """Items with a number above `after`, in their order."""

    async def command(self, job_id: str, command: Command, tenant: str | None = None) -> Job:
        """Do what is asked of a job. Raises NotFound, and InvalidRequest if it makes no sense any more."""


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

    async def backlog(self) -> Backlog:
        """What waits."""
