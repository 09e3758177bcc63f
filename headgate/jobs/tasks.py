"""One item in a worker's hands, as the kinds of jobs see it: asking models, keeping steps, submitting more work.

A kind may be stopped at any line and run again from its first, by another worker: what it did with `step` is not done
again, and what it submitted with `child` and `add` is there already.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import ClassVar, Protocol

from msgspec.structs import replace

from headgate.errors import DatabaseUnavailable
from headgate.gateway.accounts import Accounts
from headgate.gateway.background import BackgroundGate
from headgate.gateway.pipeline import Pipeline
from headgate.job_ports import Checkpoints, Jobs
from headgate.job_types import Job, Lease, NewItem, NewJob, Parent
from headgate.jobs.calls import call_of
from headgate.jobs.purse import Purse
from headgate.ports import Clock
from headgate.types import Caller, Frozen

AGAIN_SECONDS = 1.0  # when the database is away

log = logging.getLogger(__name__)


class Waiting(Exception):
    """Raised by a kind whose children are under way: its item begins again when one of them is over."""


class LeaseLost(Exception):
    """The item belongs to another worker, or is over: nothing that is done for it counts any more."""


def is_being_cancelled() -> bool:
    """Whether somebody has cancelled the task that runs this. If not, a CancelledError is its own doing."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class JobObserver(Protocol):
    """Told of what becomes of items."""

    def claimed(self, items: int) -> None: ...

    def ended(self, how: str, items: int = 1) -> None: ...

    def asked(self, cost_picousd: int) -> None: ...

    def duplicated(self, cost_picousd: int) -> None: ...


class Means(Frozen, frozen=True, kw_only=True):
    """What a worker works with."""

    pipeline: Pipeline
    gate: BackgroundGate
    accounts: Accounts
    jobs: Jobs
    checkpoints: Checkpoints
    purse: Purse
    clock: Clock
    observer: JobObserver
    is_undecided: Callable[[NewJob], bool] = lambda job: False  # whether it may go to a provider's batch API


class Task:
    """A leased item. `worker` is the name of who has it."""

    _asked: ClassVar[ContextVar[list[str]]] = ContextVar("asked")  # the ids of the requests of the step under way

    def __init__(self, lease: Lease, worker: str, means: Means) -> None:
        self.lease = lease
        self.jobs = means.jobs
        self._is_undecided = means.is_undecided
        self.clock = means.clock
        self._worker = worker
        self._means = means
        self._request_ids = [lease.request_id]
        self._steps: dict[str, bytes] | None = None

    @property
    def caller(self) -> Caller:
        """Whose item it is, with what the key may do now. Raises Unauthenticated."""
        return self._means.accounts.holder(self.lease.owner.key_id)

    async def ask(self, kind: str, body: bytes) -> bytes:
        """The answer to a request of one of the kinds in `calls`, through the corridor, as if the key's holder had
        sent it, as soon as the gate lets it. Raises what the corridor raises, BackgroundHeld, what `Purse.paying`
        raises, InvalidRequest for a body it cannot read, and LeaseLost."""
        request_id = await self._next_request_id()
        self._asked.get([]).append(request_id)
        call = call_of(kind, body, request_id, self.lease.owner.user)
        caller, means = self.caller, self._means
        async with means.purse.paying(self.lease.root_id, call) as bill, means.gate.passing(caller, call):
            passage = means.pipeline.handle(caller, call)
            try:
                async with passage as answer:
                    means.observer.asked(answer.head.cost_picousd or 0)
                    return answer.body
            finally:
                bill.cost_picousd = passage.cost_picousd

    async def step(self, name: str, work: Callable[[], Awaitable[bytes]]) -> bytes:
        """What `work` came to, once and for all: after a crash it is read and not done again. The name is the step's
        own within the item. Raises what `work` raises, and LeaseLost."""
        if self._steps is None:
            found = await self._means.checkpoints.read(self.lease)
            if self._steps is None:  # steps may go on side by side
                self._steps = found
        if name not in self._steps:
            asked: list[str] = []
            outer = self._asked.set(asked)
            try:
                result = await work()
            finally:
                self._asked.reset(outer)
            await self._keep(name, result, asked)
            self._steps[name] = result
        return self._steps[name]

    async def _keep(self, name: str, result: bytes, asked: Sequence[str]) -> None:
        """It may have been paid for: while the database is away it is waited for, until the worker takes the item for
        lost and stops this. Raises LeaseLost."""
        while True:
            try:
                stands = await self._means.checkpoints.write(self._worker, self.lease, name, result, asked)
            except DatabaseUnavailable as error:
                log.warning("a step of job %s waits for the database: %s", self.lease.job_id, error.message)
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            if stands:
                return
            raise LeaseLost

    async def child(self, name: str, kind: str, deadline_at: float | None = None) -> Job:
        """The job of that name below this item, which is submitted if it is not there: same owner, same priority, same
        times, or with an earlier deadline. It takes items until it is sealed."""
        lease = self.lease
        plain = NewJob(
            id=f"{lease.job_id}-{name}",
            owner=lease.owner,
            kind=kind,
            requests=(),
            created_at=self.clock.now(),
            deadline_at=deadline_at,
            parent=Parent(lease.job_id, lease.number, lease.root_id),
            sealed=False,
        )
        return (await self.jobs.submit(replace(plain, undecided=self._is_undecided(plain))))[0]

    async def add(self, job: Job, items: Sequence[NewItem]) -> None:
        """Items for a child; those whose numbers are there already stay as they are."""
        await self.jobs.add(job.id, items)

    async def seal(self, job: Job) -> None:
        """The child has all of its items."""
        await self.jobs.seal(job.id)

    async def _next_request_id(self) -> str:
        if self._request_ids:  # of the first request: on record since the item was claimed
            return self._request_ids.pop()
        request_id = self.clock.new_id("req")
        if not await self._means.checkpoints.begin(self._worker, self.lease, request_id):
            raise LeaseLost
        return request_id
