"""Where jobs are submitted: checks what can be checked at once, so that a mistake is told now and not tomorrow."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from headgate.deliveries.desk import DeliveryDesk, Wanted
from headgate.errors import Forbidden, HeadgateError, InvalidRequest
from headgate.job_ports import Jobs
from headgate.job_types import Command, DeadFilter, Job, JobFilter, NewItem, NewJob, OffPeak, Owner
from headgate.jobs.dead import DeadLetterOffice
from headgate.jobs.erasing import Upkeep
from headgate.jobs.file_documents import FileDocuments
from headgate.jobs.kinds import Kinds, ReadsFiles, kind_named
from headgate.jobs.outlook import Outlooks
from headgate.policy.off_peak import opens_at, read_hours
from headgate.ports import Clock
from headgate.types import Caller, Frozen

MAX_ITEMS = 50_000  # of one submission, or of one portion
MAX_ITEMS_IN_ALL = 1_000_000  # of a job


class Submission(Frozen, frozen=True):
    """What a caller wants done. `start_at` and `deadline_at` in Unix seconds; None: at once, never."""

    kind: str
    requests: tuple[bytes, ...]
    priority: int = 0
    start_at: float | None = None
    deadline_at: float | None = None
    deadline_seconds: float | None = None  # from when it could begin, in place of `deadline_at`
    max_cost_picousd: int | None = None
    told: Wanted = Wanted()
    window: str | None = None  # the hours in which its items may begin, as 01:00-06:00
    timezone: str | None = None  # of the window; None: the tenant's


class Portion(Frozen, frozen=True):
    """Requests for a job that is open, numbered from `first`; after the last one no more come."""

    requests: tuple[bytes, ...]
    first: int
    is_last: bool


class Offices(Frozen, frozen=True):
    """What has to do with jobs besides doing them."""

    deliveries: DeliveryDesk
    dead: DeadLetterOffice
    outlooks: Outlooks
    upkeep: Upkeep
    files: FileDocuments


class JobDesk:
    """Takes submissions of the public `kinds`; `ring` wakes the worker of this process, `is_undecided` tells of a job
    whether it may go to a provider's batch API."""

    def __init__(
        self,
        jobs: Jobs,
        offices: Offices,
        clock: Clock,
        kinds: Kinds,
        ring: Callable[[], None],
        is_undecided: Callable[[NewJob], bool] = lambda job: False,
    ) -> None:
        self.jobs = jobs
        self.deliveries = offices.deliveries
        self.dead = offices.dead
        self.outlooks = offices.outlooks
        self.upkeep = offices.upkeep
        self._files = offices.files
        self._clock = clock
        self._kinds = {name: kind for name, kind in kinds.items() if kind.public}
        self._ring = ring
        self._is_undecided = is_undecided

    async def submit(
        self,
        caller: Caller,
        wanted: Submission,
        idempotency_key: str | None = None,
        origin: str = "",
        *,
        is_listed: bool = False,
    ) -> tuple[Job, bool]:
        """The job, and whether it is new. Errors call its one request `request`, unless it came in a list: then that
        is `requests[0]`. Raises InvalidRequest, ModelNotFound or NotFound for the first item that is
        wrong, WebhookRefused, MailRefused or ReplyRefused for somebody who cannot be told, Conflict for an idempotency
        key that stands for another job, DatabaseUnavailable."""
        return await self._submit(caller, wanted, idempotency_key, origin, is_listed=is_listed)

    async def open(self, caller: Caller, wanted: Submission, idempotency_key: str | None = None) -> Job:
        """A job whose requests come later, and which is paused until they are there. Raises as `submit`."""
        job, _ = await self._submit(caller, wanted, idempotency_key, "", is_open=True)
        is_begun = job.sealed or job.paused or job.counts.total  # else this was cut short here when it was sent before
        return job if is_begun else await self.jobs.command(job.id, Command.PAUSE)

    async def add(self, caller: Caller, job_id: str, portion: Portion) -> Job:
        """Requests for an open job; those that are there already stay as they are. With the last one it begins. Raises
        NotFound, Forbidden, InvalidRequest, and as `submit` for a request that is wrong."""
        job, last = await self.jobs.get(job_id, caller.tenant), portion.first + len(portion.requests) - 1
        if job.root_id != job.id or job.kind not in self._kinds or (job.is_over and last > job.counts.total):
            raise InvalidRequest(f"The job takes no requests: it is {job.state}.", param="job_id")
        if job.owner.key_id != caller.key_id:
            raise Forbidden("A job takes requests with the key that it was submitted with.")
        if last > (job.counts.total if job.sealed else MAX_ITEMS_IN_ALL):
            raise InvalidRequest(f"The job has {job.counts.total} requests and takes no more.", param="first")
        if job.sealed:
            return job
        if portion.requests:
            await self._check(caller, job.kind, portion.requests, portion.first)
            items = [NewItem(number, request) for number, request in enumerate(portion.requests, portion.first)]
            await self.jobs.add(job.id, items)
        if portion.is_last:
            if not last:
                raise InvalidRequest("A job needs at least one request.", param="requests")
            await self.jobs.command(job.id, Command.RESUME)
            await self.jobs.seal(job.id)  # last: who sends the portion again finds it open until all of this is done
            self._ring()
        return await self.jobs.get(job.id)

    async def _submit(
        self,
        caller: Caller,
        wanted: Submission,
        idempotency_key: str | None,
        origin: str = "",
        *,
        is_listed: bool = False,
        is_open: bool = False,
    ) -> tuple[Job, bool]:
        now = self._clock.now()
        begins, deadline_at, off_peak = _times(caller, wanted, now)
        new = NewJob(
            id=self._clock.new_id("job"),
            owner=Owner(caller.tenant, caller.key_id, caller.user),
            kind=wanted.kind,
            requests=wanted.requests,
            created_at=now,
            priority=wanted.priority,
            start_at=wanted.start_at or 0.0,
            deadline_at=deadline_at,
            idempotency_key=idempotency_key,
            digest=hashlib.sha256(msgspec.json.encode(wanted)).hexdigest(),
            off_peak=off_peak,
            max_cost_picousd=wanted.max_cost_picousd,
            origin=origin,
            sealed=not is_open,
            is_fed=is_open,
        )
        try:
            if deadline_at is not None and deadline_at <= begins:
                raise InvalidRequest("The deadline comes before the job could begin.", param="deadline_at")
            kind_named(self._kinds, wanted.kind)
            if not is_open:
                first = int(is_listed or len(wanted.requests) > 1)
                await self._check(caller, wanted.kind, wanted.requests, first)
            new = msgspec.structs.replace(new, targets=await self.deliveries.targets(caller, wanted.told))
        except HeadgateError:
            if not await self._is_known(new):
                raise
        job, is_new = await self.jobs.submit(msgspec.structs.replace(new, undecided=self._is_undecided(new)))
        self._ring()
        return job, is_new

    async def _check(self, caller: Caller, kind_name: str, requests: Sequence[bytes], first: int) -> None:
        """Requests of a list are numbered from `first`; 0: it is one, and in no list."""
        kind, count = kind_named(self._kinds, kind_name), len(requests)
        if not count:
            raise InvalidRequest("A job needs at least one request.", param="requests")
        if count > MAX_ITEMS:
            raise InvalidRequest(f"At most {MAX_ITEMS} requests are submitted at once, not {count}.", param="requests")
        size = sum(map(len, requests))
        for index, request in enumerate(requests, start=max(0, first - 1)):
            with _placed(index if first else None):
                kind.check(caller, request)
                if isinstance(kind, ReadsFiles):
                    size += await self._files.size(kind.files(request), caller.tenant)
        await self.upkeep.admit(caller, size, count)

    async def _is_known(self, new: NewJob) -> bool:
        """Whether the job is there: then it was all right when it was submitted for the first time."""
        if new.idempotency_key is None:
            return False
        same = JobFilter(tenant=new.owner.tenant, idempotency_key=new.idempotency_key)
        return bool((await self.jobs.page(same, 1))[0])

    async def redrive(self, wanted: DeadFilter) -> int:
        """As `DeadItems.redrive`."""
        moved = await self.dead.items.redrive(wanted)
        self._ring()
        return moved

    async def command(self, job_id: str, command: Command, tenant: str | None = None) -> Job:
        """As `Jobs.command`."""
        job = await self.jobs.command(job_id, command, tenant)
        self._ring()
        return job


def _times(caller: Caller, wanted: Submission, now: float) -> tuple[float, float | None, OffPeak | None]:
    """When a job could begin, its deadline, its hours. Raises InvalidRequest for hours or a zone that are none."""
    begins, off_peak = max(now, wanted.start_at or 0.0), None
    if wanted.window is not None:
        hours = read_hours(wanted.window, wanted.timezone or caller.timezone)
        begins, off_peak = opens_at(hours, begins), OffPeak(wanted.window, hours.zone_name)
    seconds = wanted.deadline_seconds
    return begins, wanted.deadline_at if seconds is None else begins + seconds, off_peak


@contextmanager
def _placed(index: int | None) -> Iterator[None]:
    """Errors name the request that they are of."""
    try:
        yield
    except HeadgateError as error:
        place = "request" if index is None else f"requests[{index}]"
        error.param = place if error.param is None else f"{place}.{error.param}"
        raise
