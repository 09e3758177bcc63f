"""Where batches are submitted, looked at and cancelled."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial

import msgspec

from headgate.errors import BodyTooLarge, Conflict, HeadgateError, InvalidRequest, NotFound, SlowSender
from headgate.file_ports import Batches
from headgate.file_types import Batch, BatchCounts, BatchPage, BatchStatus, Dialect, LineProblem, NewBatch, StoredFile
from headgate.job_ports import Jobs
from headgate.job_types import Command, Job, JobState, NewJob, Owner
from headgate.jobs.batch_kind import BATCH_KIND
from headgate.jobs.file_lines import requests_id
from headgate.jobs.filing import REQUESTS, UPLOAD_SECONDS, FileDesk, FileWriter
from headgate.policy import batches as policy
from headgate.ports import Clock
from headgate.types import Caller
from headgate.wire.batches import anthropic
from headgate.wire.batches.inline import RequestsReader

WINDOW_SECONDS = 86_400.0
UNSEEN_SECONDS = 8 * 86_400.0  # a batch that was not looked at for so long after it was made is none any more
MAX_INLINE_BYTES = 256 * 2**20
_PREFIXES = {Dialect.OPENAI: "batch", Dialect.ANTHROPIC: "msgbatch"}


class BatchDesk:
    """Takes batches in; `ring` wakes the worker of this process."""

    def __init__(self, batches: Batches, files: FileDesk, jobs: Jobs, clock: Clock, ring: Callable[[], None]) -> None:
        self._batches = batches
        self.files = files
        self._jobs = jobs
        self._clock = clock
        self._ring = ring

    async def create(self, caller: Caller, asked: NewBatch, idempotency_key: str | None = None) -> Batch:
        """A batch of a file that is there. Raises InvalidRequest, and Conflict for an idempotency key that stands for
        another job."""
        if asked.dialect is Dialect.OPENAI:
            file = await self.files.get(asked.input_file_id, caller.tenant)
            if file.purpose != "batch":
                message = f"The file's purpose is '{file.purpose}'. Upload it with the purpose 'batch'."
                raise InvalidRequest(message, param="input_file_id")
        return await self._create(caller, asked, self._clock.new_id(_PREFIXES[asked.dialect]), idempotency_key)

    async def _create(self, caller: Caller, asked: NewBatch, job_id: str, idempotency_key: str | None = None) -> Batch:
        same = msgspec.structs.replace(asked, created_at=0.0, expires_at=0.0)
        new = NewJob(
            id=job_id,
            owner=Owner(caller.tenant, caller.key_id, caller.user),
            kind=BATCH_KIND,
            requests=(msgspec.json.encode(asked),),
            created_at=asked.created_at,
            idempotency_key=idempotency_key,
            digest=hashlib.sha256(msgspec.json.encode(same)).hexdigest(),
        )
        job, _ = await self._jobs.submit(new)
        await self._batches.add(Batch(job.id, caller.tenant, caller.user, asked, lines=asked.requests))
        self._ring()
        return await self._batches.get(job.id)

    async def create_inline(self, caller: Caller, body: AsyncIterator[bytes]) -> Batch:
        """A batch of the requests in a body of Anthropic's shape, which are kept in a file of their own. Raises
        MalformedJson, InvalidRequest, BodyTooLarge, SlowSender or FileQuotaExceeded: then nothing of it is kept."""
        settings, now = self.files.settings(), self._clock.now()
        writer = FileWriter(self.files.files, self.files.new_id())
        try:
            async with asyncio.timeout(UPLOAD_SECONDS):  # what was written first is kept longer than that
                count = await self._keep_requests(writer, body)
            # Should this process die before the batch is made, nobody sees the file who could delete it.
            name, kept = f"{writer.id}.jsonl", now + min(settings.keep_seconds, UNSEEN_SECONDS)
            file = StoredFile(writer.id, caller.tenant, caller.user, REQUESTS, name, 0, now, kept)
            await writer.finish(file, settings.tenant_bytes)
        except TimeoutError:
            await self.files.files.drop(writer.id)
            raise SlowSender(f"The requests did not arrive within {UPLOAD_SECONDS:g} seconds.") from None
        except Exception:
            await self.files.files.drop(writer.id)
            raise
        expires_at = now + WINDOW_SECONDS
        asked = NewBatch(Dialect.ANTHROPIC, anthropic.ENDPOINT, anthropic.KIND, writer.id, now, expires_at)
        asked, job_id = msgspec.structs.replace(asked, requests=count), self._clock.new_id(_PREFIXES[asked.dialect])
        try:
            return await self._create(caller, asked, job_id)
        except Exception:
            with suppress(HeadgateError):
                await self._drop_unless_submitted(writer.id, job_id)
            raise

    async def _drop_unless_submitted(self, file_id: str, job_id: str) -> None:
        """A worker makes the batch of a job that is there: then the file stays."""
        try:
            await self._jobs.get(job_id)
        except NotFound:
            await self.files.files.delete(file_id)

    async def get(self, batch_id: str, tenant: str, dialect: Dialect | None = None) -> Batch:
        """Raises NotFound. None: of any dialect."""
        batch = await self._batches.get(batch_id, tenant)
        if dialect not in (None, batch.asked.dialect):
            raise NotFound(f"There is no batch '{batch_id}'.", param="batch_id")
        return await self._as_it_stands(batch)

    async def page(self, wanted: BatchPage) -> tuple[list[Batch], bool]:
        """The newest first, and whether there are more."""
        found, more = await self._batches.page(wanted)
        shown: list[Batch] = []
        for batch in found:
            with suppress(NotFound):  # its job is being erased
                shown.append(await self._as_it_stands(batch))
        return shown, more

    async def cancel(self, batch_id: str, tenant: str, dialect: Dialect | None = None) -> Batch:
        """What is under way is stopped; what was answered stays. Raises NotFound, and Conflict if it is too late."""
        batch = await self.get(batch_id, tenant, dialect)
        if batch.has_ended:
            policy.cancelling(batch, self._clock.now())
        await self._batches.change(batch_id, partial(policy.cancelling, now=self._clock.now()))
        if (await self._jobs.get(batch_id)).paused:
            await self._jobs.command(batch_id, Command.RESUME)  # else nobody would write what there is
        with suppress(NotFound):  # no request has begun: the worker that looks at the file begins none
            await self._jobs.command(requests_id(batch_id), Command.CANCEL)
        self._ring()
        return await self.get(batch_id, tenant, dialect)

    async def delete(self, batch_id: str, tenant: str, dialect: Dialect) -> None:
        """Forget a batch that has ended, and its results. Raises NotFound, and Conflict before the end."""
        batch = await self.get(batch_id, tenant, dialect)
        if not batch.has_ended:
            raise Conflict("The batch has not ended: cancel it first.", param="batch_id")
        for file_id in (batch.asked.input_file_id, batch.output_file_id, batch.error_file_id):
            if file_id is not None:
                with suppress(NotFound):  # its time was over
                    await self.files.files.delete(file_id)
        await self._batches.delete(batch_id)

    async def results(self, batch: Batch) -> AsyncIterator[bytes]:
        """What came of the requests. Raises NotFound if it is not there, or not there any more."""
        if batch.output_file_id is None:
            raise NotFound("The batch has no results yet." if not batch.has_ended else "The batch has no results.")
        return self.files.content(await self.files.files.get(batch.output_file_id, batch.tenant))

    async def _as_it_stands(self, batch: Batch) -> Batch:
        """With the counts of now; as its job says if that was ended from without."""
        if batch.has_ended:
            return batch
        try:
            items = (await self._jobs.get(requests_id(batch.id))).counts
            batch = msgspec.structs.replace(batch, counts=policy.counts_of(items, batch.lines))
        except NotFound:
            pass
        job = await self._jobs.get(batch.id)
        if not job.is_over:
            return batch
        latest = await self._batches.get(batch.id)  # a job that ended since was ended by its worker, after its batch
        return latest if latest.has_ended else _ended_by(job, batch)

    async def _keep_requests(self, writer: FileWriter, body: AsyncIterator[bytes]) -> int:
        """How many there are."""
        reader, seen, received = RequestsReader(self.files.settings().line_bytes), set[str](), 0
        async for piece in body:
            received += len(piece)
            if received > MAX_INLINE_BYTES:
                raise BodyTooLarge(f"The body is larger than {MAX_INLINE_BYTES} bytes.")
            for element in reader.feed(piece):
                custom_id, line = anthropic.kept_line(element, len(seen))
                if custom_id in seen:
                    place = f"requests[{len(seen)}].custom_id"
                    raise InvalidRequest(f"{place}: '{custom_id}' is not unique in the batch.", param=place)
                seen.add(custom_id)
                if len(seen) > policy.MAX_LINES:
                    raise InvalidRequest(f"A batch has at most {policy.MAX_LINES} requests.", param="requests")
                await writer.write(line)
        reader.end()
        if not seen:
            raise InvalidRequest("A batch needs at least one request.", param="requests")
        return len(seen)


def _ended_by(job: Job, batch: Batch) -> Batch:
    cancelled = job.state is JobState.CANCELLED
    status = BatchStatus.CANCELLED if cancelled else BatchStatus.FAILED
    problems = () if cancelled else (LineProblem(job.error_code or "failed", job.error),)
    counts = batch.counts or BatchCounts()
    ended_at, left = job.finished_at, counts.processing
    counts = msgspec.structs.replace(counts, processing=0, cancelled=counts.cancelled + left)
    return msgspec.structs.replace(batch, status=status, problems=problems, counts=counts, ended_at=ended_at)
