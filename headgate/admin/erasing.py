"""Erasing over HTTP: a caller's own job, and everything of a user or tenant for operators. Both are in the trail."""

from __future__ import annotations

import msgspec

from headgate.admin.audit import Auditor, auditor
from headgate.admin.endpoint import Input, Name, Visit
from headgate.cache_types import CacheScope
from headgate.errors import InvalidRequest
from headgate.job_types import Erased, EraseScope
from headgate.types import Frozen


class EraseJob(Input, frozen=True):
    """Which job; `cancel` ends one that is not over first."""

    job_id: Name
    cancel: bool = False


class Erase(Input, frozen=True):
    """A job, everything of a tenant, or everything of one of its users; `cancel` ends what is not over first."""

    job: Name | None = None
    tenant: Name | None = None
    user: Name | None = None
    cancel: bool = False


class ErasedView(Frozen, frozen=True):
    """What is gone: jobs with their requests and results; files and answers that were kept by idempotency key; answers
    in the cache to the requests of the tenant or user. The ledger keeps its rows."""

    jobs: int
    files_and_keys: int
    cached: int


async def erase_job(visit: Visit, command: EraseJob) -> ErasedView:
    """Erase a job that is over: requests, results, steps, what was to be told about it. The ledger keeps its rows."""
    caller, services = visit.caller(), visit.services
    scope = EraseScope(job_id=command.job_id, tenant=caller.tenant)
    erased = await services.job_desk.upkeep.erase(scope, cancel=command.cancel)
    view = _view(erased, 0)
    trail = Auditor(services.settings.store, services.clock, by=f"key {caller.key_id}", request_id=visit.request_id)
    await trail.note(command, command.job_id, after=msgspec.json.encode(view).decode())
    return view


async def erase(visit: Visit, command: Erase) -> ErasedView:
    """Erase a job, or all that a tenant or one of its users left here: jobs, files, answers that were kept."""
    if (command.job is None) == (command.tenant is None) or (command.user is not None and command.tenant is None):
        raise InvalidRequest("Send either 'job', or 'tenant' with or without 'user'.", param="tenant")
    scope = EraseScope(job_id=command.job, tenant=command.tenant, user=command.user)
    erased = await visit.services.job_desk.upkeep.erase(scope, cancel=command.cancel)
    cached = 0 if command.tenant is None else await visit.services.flush(CacheScope(command.tenant, user=command.user))
    view = _view(erased, cached)
    subject = command.job or " ".join(name for name in (command.tenant, command.user) if name)
    await auditor(visit).note(command, subject, after=msgspec.json.encode(view).decode())
    return view


def _view(erased: Erased, cached: int) -> ErasedView:
    return ErasedView(erased.jobs, erased.belongings, cached)
