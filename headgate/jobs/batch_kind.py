"""What a worker does with a batch: look at its file, have its requests done as the items of a job below, write what
came of them. It may be stopped at any line and begins again from the first."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from headgate.errors import NotFound
from headgate.file_errors import BatchFileInvalid
from headgate.file_ports import Batches
from headgate.file_types import Batch, BatchStatus, LineProblem, NewBatch
from headgate.job_types import Command, Job
from headgate.jobs.file_lines import REQUESTS_NAME, BatchLines, ResultFiles, write_results
from headgate.jobs.filing import FileDesk
from headgate.jobs.tasks import Task, Waiting
from headgate.policy import batches as policy
from headgate.policy.batches import Survey
from headgate.types import Caller

BATCH_KIND = "batch"

_GONE = LineProblem("file_not_found", "The input file is not there any more: it was deleted, or its time was over.")
_problems = msgspec.json.Decoder(tuple[LineProblem, ...])


class BatchKind:
    """A batch is a job of one item, and has the same id."""

    public = False

    def __init__(self, batches: Batches, desk: FileDesk) -> None:
        self._batches = batches
        self._desk = desk

    def check(self, caller: Caller, body: bytes) -> None:
        """As `Kind.check`: batches are checked where they are made."""

    async def run(self, task: Task) -> bytes:
        """As `Kind.run`. Raises BatchFileInvalid, which ends it, and Conflict if another worker has it."""
        lease = task.lease
        asked = msgspec.json.decode(lease.request, type=NewBatch)
        await self._batches.add(Batch(lease.job_id, lease.owner.tenant, lease.owner.user, asked, lines=asked.requests))
        batch = await self._batches.get(lease.job_id)
        lines = BatchLines(self._desk.files, batch, self._desk.settings().line_bytes)
        found = msgspec.json.decode(await task.step("survey", partial(_survey, lines)), type=Survey)
        if found.problems:
            await self._change(task, policy.failed, found.lines, found.problems)
            raise BatchFileInvalid(found.problems[0].message)
        child = await task.child(REQUESTS_NAME, asked.kind, asked.expires_at)
        if not child.is_over:
            await self._change(task, policy.started, found.lines)
        try:
            problems = _problems.decode(await task.step("lines", partial(self._add, task, child, lines)))
        except NotFound:  # the file, since it was looked at
            await task.jobs.command(child.id, Command.CANCEL)
            await self._change(task, policy.failed, found.lines, (_GONE,))
            raise BatchFileInvalid(_GONE.message) from None
        child = await task.jobs.get(child.id)
        if not child.is_over:
            raise Waiting
        return await self._end(task, child, problems)

    async def _add(self, task: Task, child: Job, lines: BatchLines) -> bytes:
        async def is_cancelled() -> bool:
            return (await self._batches.get(task.lease.job_id)).status is BatchStatus.CANCELLING

        problems = await lines.add_to(task, child, is_cancelled)
        await task.seal(child)
        if await is_cancelled():
            await task.jobs.command(child.id, Command.CANCEL)
        return msgspec.json.encode(problems)

    async def _end(self, task: Task, child: Job, problems: tuple[LineProblem, ...]) -> bytes:
        batch = await self._change(task, policy.finalizing)
        now = task.clock.now()
        kept = batch.asked.output_seconds or self._desk.settings().keep_seconds

        async def name() -> bytes:
            return msgspec.json.encode(ResultFiles(self._desk.new_id(), self._desk.new_id(), now + kept))

        wanted = msgspec.json.decode(await task.step("files", name), type=ResultFiles)
        files = await write_results(self._desk.files, task.jobs, batch, problems, wanted)
        cancelled = sum(problem.code == "batch_cancelled" for problem in problems)
        counts = policy.counts_of(child.counts, batch.lines, len(problems) - cancelled)
        if cancelled:
            counts = msgspec.structs.replace(counts, processing=0, cancelled=counts.cancelled + cancelled)
        await self._change(task, policy.ended, counts, files)
        return msgspec.json.encode(counts)

    async def _change(self, task: Task, change: Callable[..., Batch], *facts: object) -> Batch:
        now = task.clock.now()
        lease = task.lease  # a worker that has lost it must not turn back what another has done
        return await self._batches.change(lease.job_id, lambda batch: change(batch, *facts, now), lease.token)


async def _survey(lines: BatchLines) -> bytes:
    try:
        return msgspec.json.encode(await lines.survey())
    except NotFound:
        return msgspec.json.encode(Survey(0, (_GONE,)))
