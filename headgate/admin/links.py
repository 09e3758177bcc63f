"""What of a job may be seen with a key, or with a signed link that headgate made: its report, and its events."""

from __future__ import annotations

from typing import Annotated

import msgspec

from headgate.admin.endpoint import Input, Name, Visit
from headgate.job_types import Job


class LinkedJob(Input, frozen=True):
    """Which job; `expires` and `signature` stand in links to its report."""

    job_id: Name
    expires: Annotated[str, msgspec.Meta(max_length=20)] | None = None
    signature: Annotated[str, msgspec.Meta(max_length=100)] | None = None


async def linked_job(visit: Visit, query: LinkedJob) -> Job:
    """The job. Raises LinkExpired, NotFound, and what `Visit.caller` raises."""
    desk = visit.services.job_desk
    if query.signature is None:
        return await desk.jobs.get(query.job_id, visit.caller().tenant)
    await desk.deliveries.check_report_link(query.job_id, query.expires or "", query.signature)
    return await desk.jobs.get(query.job_id)
