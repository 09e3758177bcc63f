"""Erasing what tenants and users left here, and how much they may leave."""

from __future__ import annotations

from collections.abc import Callable

from headgate.errors import Conflict, NotFound
from headgate.job_errors import JobQuotaExceeded
from headgate.job_ports import Jobs, JobUpkeep
from headgate.job_types import Command, Erased, EraseScope, JobQuota, JobsHeld
from headgate.ports import Clock
from headgate.types import Caller

AGAIN_SECONDS = 60.0  # until a tenant may have fewer items that are not over
COUNT_SECONDS = 5.0  # what a tenant has is counted anew after that; what it submits here counts at once
_NAMED = 3
_CANCELLED_AT_ONCE = 100

QuotaOf = Callable[[Caller], JobQuota]


class Upkeep:
    """What jobs take and how long it is kept."""

    def __init__(self, jobs: Jobs, upkeep: JobUpkeep, clock: Clock, quota_of: QuotaOf) -> None:
        self._jobs = jobs
        self._upkeep = upkeep
        self._clock = clock
        self._quota_of = quota_of
        self._held: dict[str, tuple[float, JobsHeld]] = {}  # by tenant, and when it was counted

    async def admit(self, caller: Caller, request_bytes: int, items: int) -> None:
        """Raises JobQuotaExceeded if a tenant would have more than it may."""
        quota = self._quota_of(caller)
        if quota.bytes is None and quota.open_items is None:
            return
        held = await self._of(caller.tenant)
        would = JobsHeld(held.bytes + request_bytes, held.open_items + items)
        if quota.bytes is not None and would.bytes > quota.bytes:
            raise JobQuotaExceeded(
                f"The jobs of {caller.tenant} have {held.bytes:,} bytes of requests and results, and may have "
                f"{quota.bytes:,}: these {request_bytes:,} are too many. Erase old ones: DELETE /v1/jobs/ID.",
                param="requests",
            )
        if quota.open_items is not None and would.open_items > quota.open_items:
            raise JobQuotaExceeded(
                f"The jobs of {caller.tenant} have {held.open_items:,} items that are not over, and may have "
                f"{quota.open_items:,}: {items:,} more are too many. Submit them when some of those are done.",
                param="requests",
                retry_after_seconds=AGAIN_SECONDS,
            )
        counted_at = self._held[caller.tenant][0]
        self._held[caller.tenant] = (counted_at, would)

    async def erase(self, scope: EraseScope, *, cancel: bool) -> Erased:
        """Erase jobs, and of a tenant or user also files and answers by idempotency key.

        Nothing is erased while it runs: raises Conflict unless it is to be cancelled first, or if a provider has it in
        a batch. Raises NotFound for a job that is not there.
        """
        if scope.job_id is not None:
            job = await self._jobs.get(scope.job_id, scope.tenant)
            if job.root_id != job.id:
                raise NotFound(f"'{job.id}' is a part of {job.root_id}: erase that.", param="job_id")
        cancelled: set[str] = set()
        while open_ones := await self._upkeep.open(scope, _CANCELLED_AT_ONCE):
            named = ", ".join(open_ones[:_NAMED]) + (", ..." if len(open_ones) > _NAMED else "")
            if not cancel:
                raise Conflict(f"Not over yet: {named}. Cancel first, or send 'cancel': true.", param="cancel")
            if cancelled.issuperset(open_ones):
                raise Conflict(
                    f"Cancelled, but a provider still has requests of {named}, which will be charged. Erase again when "
                    "it has given them back.", param="cancel",
                )  # fmt: skip
            for job_id in open_ones:
                await self._jobs.command(job_id, Command.CANCEL)
            cancelled.update(open_ones)
        count = 0
        while gone := await self._upkeep.erase(scope):
            count += gone
        belongings = await self._upkeep.erase_belongings(scope) if scope.job_id is None else 0
        self._held.clear()
        return Erased(count, belongings)

    async def abandon(self, seconds: float) -> int:
        """Cancel jobs whose caller has sent no portion for so long; how many."""
        count = 0
        while gone := await self._upkeep.abandon(seconds):
            count += gone
        return count

    async def expire(self, seconds: float) -> int:
        """Erase jobs that were over so long ago; how many."""
        count = 0
        while gone := await self._upkeep.expire(seconds):
            count += gone
        return count

    async def _of(self, tenant: str) -> JobsHeld:
        now = self._clock.monotonic()
        counted_at, held = self._held.get(tenant, (float("-inf"), JobsHeld()))
        if now - counted_at >= COUNT_SECONDS:
            held = await self._upkeep.held(tenant)
            self._held[tenant] = (now, held)
        return held
