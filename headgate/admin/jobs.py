"""Jobs over HTTP, for callers: submit, look, follow, take the results, and commands. Each sees its tenant's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec

from headgate.admin.endpoint import Count, Input, Name, Number, Reply, Visit
from headgate.admin.job_shapes import Execution, ItemList, ItemView, JobId, JobList, JobView, Problem, Progress
from headgate.admin.links import LinkedJob, linked_job
from headgate.admin.moments import Moment, UnixSeconds, moment
from headgate.deliveries.desk import Wanted
from headgate.errors import Conflict, InvalidRequest
from headgate.job_types import Command, Item, ItemState, Job, JobFilter, JobState
from headgate.jobs.batch_kind import BATCH_KIND
from headgate.jobs.calls import body_of
from headgate.jobs.desk import Portion, Submission
from headgate.jobs.outlook import NOTHING, Outlook
from headgate.policy.pricing import format_usd
from headgate.types import PICO_PER_USD

EVENT_SECONDS = 0.25  # between looks for news
_KEEP_ALIVE_SECONDS = 15.0
_LONGEST_KEY = 255
_LONGEST_EVENT_ID = 19  # digits

Usd = Annotated[float, msgspec.Meta(ge=0.000001, le=1_000_000)]


class SubmitJob(Input, frozen=True):
    """One `request`, or several `requests`, each the body that the kind's route takes: `chat` chat completions, `embed`
    embeddings, `messages` Anthropic's, `responses` OpenAI's. Times are Unix seconds; higher priorities go first. Items
    begin within the hours of `window` only, such as `01:00-06:00` in `timezone`, by default the tenant's.
    `deadline_seconds` counts from when it could begin. A job is paused before it costs more than `max_cost_usd`.
    With `open` in place of requests they come later, in portions, and the job begins with the last of them.
    When the job ends, `webhook` is called, `mail` is written to, and its answer is sent to the topic or queue
    `reply_to`."""

    kind: Name = "chat"
    request: Any = None
    requests: list[Any] | None = None
    open: bool = False
    priority: Annotated[int, msgspec.Meta(ge=-100, le=100)] = 0
    start_at: UnixSeconds | None = None
    deadline_at: UnixSeconds | None = None
    deadline_seconds: Annotated[float, msgspec.Meta(gt=0, le=31_536_000)] | None = None
    max_cost_usd: Usd | None = None
    window: Name | None = None
    timezone: Name | None = None
    webhook: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    mail: str | list[str] | None = None
    reply_to: Annotated[str, msgspec.Meta(min_length=1, max_length=500)] | None = None


class AddRequests(Input, frozen=True):
    """A portion of requests, numbered from `first`: sending it again changes nothing. `last`: there are no more."""

    job_id: Name
    requests: list[Any]
    first: Number = 1
    last: bool = False


class JobsQuery(Input, frozen=True):
    """Which jobs: the newest first, after the cursor that the page before gave as `next`."""

    state: JobState | None = None
    kind: Name | None = None
    user: Name | None = None
    since: Moment | None = None
    until: Moment | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    after: Name | None = None


class ItemsQuery(Input, frozen=True):
    """Which items of a job, after the number that the page before gave as `next`."""

    job_id: Name
    state: ItemState | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    after: Count = 0


class ResultQuery(ItemsQuery, frozen=True):
    """Which items of a job that is over; `expires` and `signature` stand in links of mails."""

    expires: Annotated[str, msgspec.Meta(max_length=20)] | None = None
    signature: Annotated[str, msgspec.Meta(max_length=100)] | None = None


async def submit(visit: Visit, command: SubmitJob) -> Reply:
    """Have requests answered later: 202 and the job. With an `Idempotency-Key` the same body is the same job."""
    if (command.request is not None) + (command.requests is not None) + command.open != 1:
        raise InvalidRequest(
            "Send either 'request' or 'requests', or 'open': true and requests later.", param="request"
        )
    bodies = [command.request] if command.request is not None else command.requests or []
    wanted = Submission(
        kind=command.kind,
        requests=tuple(map(body_of, bodies)),
        priority=command.priority,
        start_at=command.start_at,
        deadline_at=command.deadline_at,
        deadline_seconds=command.deadline_seconds,
        max_cost_picousd=None if command.max_cost_usd is None else picousd_of(command.max_cost_usd),
        window=command.window,
        timezone=command.timezone,
        told=Wanted(command.webhook, _addresses(command.mail), command.reply_to),
    )
    desk, caller, key = visit.services.job_desk, visit.caller(), idempotency_key(visit)
    if command.open:
        job = await desk.open(caller, wanted, key)
    else:
        job, _ = await desk.submit(caller, wanted, key, is_listed=command.requests is not None)
    return Reply(msgspec.json.encode(view(job)), 202)


async def add_requests(visit: Visit, command: AddRequests) -> JobView:
    """Give requests to a job that was submitted with `open`. With the last portion it begins."""
    portion = Portion(tuple(map(body_of, command.requests)), command.first, command.last)
    return view(await visit.services.job_desk.add(visit.caller(), command.job_id, portion))


def picousd_of(usd: float) -> int:
    """As money is counted inside."""
    return round(usd * PICO_PER_USD)


def _addresses(mail: str | list[str] | None) -> tuple[str, ...]:
    return (mail,) if isinstance(mail, str) else tuple(mail or ())


async def list_jobs(visit: Visit, query: JobsQuery) -> JobList:
    """The tenant's jobs, the newest first."""
    now = visit.services.clock.now()
    wanted = JobFilter(
        tenant=visit.caller().tenant,
        state=query.state,
        kind=query.kind,
        user=query.user,
        since=moment(query.since, now, "since"),
        until=moment(query.until, now, "until"),
    )
    jobs, cursor = await visit.services.job_desk.jobs.page(wanted, query.limit, query.after)
    return JobList([view(job) for job in jobs], cursor)


async def get_job(visit: Visit, query: JobId) -> JobView:
    """How far a job is, what it has cost and will, when it will be over, and its place in the queue."""
    job = await _job(visit, query.job_id)
    return view(job, await visit.services.job_desk.outlooks.of(job))


async def partial(visit: Visit, query: ItemsQuery) -> ItemList:
    """The items of a job with the answers there are so far."""
    await _job(visit, query.job_id)
    return await _page(visit, query)


async def _page(visit: Visit, query: ItemsQuery) -> ItemList:
    found = await visit.services.job_desk.jobs.items(query.job_id, query.limit + 1, query.after, query.state)
    shown = found[: query.limit]
    return ItemList([_item_view(item) for item in shown], shown[-1].number if len(found) > query.limit else None)


async def result(visit: Visit, query: ResultQuery) -> Reply:
    """What came of a job that is over: the answer of a job of one request as it is, of several as a page of items. With
    the key it was submitted with, or with the `expires` and `signature` of a link that headgate made."""
    jobs = visit.services.job_desk.jobs
    if query.signature is not None:
        await visit.services.job_desk.deliveries.check_link(query.job_id, query.expires or "", query.signature)
        job = await jobs.get(query.job_id)
    else:
        job = await _job(visit, query.job_id)
    if not job.is_over:
        done, total = job.progress.done, job.progress.total
        raise Conflict(f"The job is {job.state}: {done} of {total} items are done. Ask for "
                       f"/v1/jobs/{job.id}/partial, or later.")  # fmt: skip
    if job.counts.total > 1:
        return Reply(msgspec.json.encode(await _page(visit, query)))
    (item,) = await jobs.items(job.id, 1) or (None,)
    if item is None or not item.result:
        why = (item and item.error) or "nothing was answered"
        raise Conflict(f"The job has no result, it is {job.state}: {why}")
    return Reply(item.result)


async def events(visit: Visit, query: LinkedJob) -> Reply:
    """The job as server-sent events: whenever it has changed, until it is over. `Last-Event-ID` resumes."""
    job = await linked_job(visit, query)
    last = visit.headers.get("last-event-id", "")
    seen = int(last) if last.isascii() and last.isdigit() and len(last) < _LONGEST_EVENT_ID else 0
    return Reply(b"", content_type="text/event-stream", stream=_follow(visit, job, seen))


async def cancel(visit: Visit, query: JobId) -> JobView:
    """End a job: what waits is not begun, what is under way is stopped. Results that are there stay."""
    job = await _job(visit, query.job_id)
    if job.kind == BATCH_KIND and not job.is_over:  # what was answered is still to come into its files
        await visit.services.batches.cancel(job.id, job.owner.tenant)
        return await get_job(visit, query)
    return await _command(visit, query, Command.CANCEL)


async def pause(visit: Visit, query: JobId) -> JobView:
    """Begin nothing more of a job until it is resumed; what is under way goes on."""
    return await _command(visit, query, Command.PAUSE)


async def resume(visit: Visit, query: JobId) -> JobView:
    """Go on with a job that was paused."""
    return await _command(visit, query, Command.RESUME)


async def retry(visit: Visit, query: JobId) -> JobView:
    """Begin what did not succeed anew: dead letters, failed, expired and cancelled items."""
    return await _command(visit, query, Command.REDRIVE)


async def _command(visit: Visit, query: JobId, command: Command) -> JobView:
    return view(await visit.services.job_desk.command(query.job_id, command, visit.caller().tenant))


async def _job(visit: Visit, job_id: str) -> Job:
    return await visit.services.job_desk.jobs.get(job_id, visit.caller().tenant)


async def _follow(visit: Visit, job: Job, seen: int) -> AsyncIterator[bytes]:
    desk, quiet_seconds = visit.services.job_desk, 0.0
    while True:
        version = await desk.outlooks.version(job.id)
        if not version:
            return  # it was erased
        if version > seen:
            seen, quiet_seconds = version, 0.0
            job = await desk.jobs.get(job.id)
            told = msgspec.json.encode(view(job, await desk.outlooks.of(job)))
            yield b"event: %b\nid: %d\ndata: %b\n\n" % (b"done" if job.is_over else b"job", version, told)
        if job.is_over:
            return
        if quiet_seconds >= _KEEP_ALIVE_SECONDS:
            quiet_seconds = 0.0
            yield b": still at it\n\n"
        await asyncio.sleep(EVENT_SECONDS)
        quiet_seconds += EVENT_SECONDS


def idempotency_key(visit: Visit) -> str | None:
    """What a job is known by to whoever submits it. Raises InvalidRequest."""
    key = visit.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= _LONGEST_KEY:
        raise InvalidRequest(f"An idempotency key has 1 to {_LONGEST_KEY} characters.", param="idempotency-key")
    return key


def view(job: Job, outlook: Outlook = NOTHING) -> JobView:
    """A job as callers see it."""
    counts, cost, eta = job.progress, outlook.cost, outlook.eta
    return JobView(
        id=job.id,
        kind=job.kind,
        state=job.state,
        paused=job.paused,
        progress=Progress(counts.done, counts.total, outlook.text or None),
        items={name: count for name, count in msgspec.structs.asdict(counts).items() if count},
        cost_usd=format_usd(job.cost_picousd),
        duplicate_cost_usd=format_usd(job.duplicate_picousd),
        provisional_cost_usd=format_usd(job.provisional_picousd),
        forecast_usd=None if cost is None else format_usd(cost.cost_picousd),
        forecast_usd_between=None if cost is None else (format_usd(cost.low_picousd), format_usd(cost.high_picousd)),
        eta=None if eta is None else eta.at,
        eta_between=None if eta is None else (eta.low_at, eta.high_at),
        queue_position=outlook.queue_position,
        priority=job.priority,
        created_at=job.created_at,
        start_at=job.start_at or None,
        deadline_at=job.deadline_at,
        execution=_execution(job) if job.execution_reason else None,
        max_cost_usd=None if job.max_cost_picousd is None else format_usd(job.max_cost_picousd),
        window=None if job.off_peak is None else job.off_peak.window,
        timezone=None if job.off_peak is None else job.off_peak.timezone,
        opens_at=job.opens_at if counts.open else None,
        finished_at=job.finished_at,
        error=Problem(job.error_code, job.error) if job.error_code else None,
        version=job.version,
    )


def _item_view(item: Item) -> ItemView:
    return ItemView(
        number=item.number,
        state=item.state,
        attempts=item.attempts,
        finished_at=item.finished_at,
        result=msgspec.Raw(item.result or b"null"),
        error=Problem(item.error_code, item.error) if item.error_code else None,
        label=item.label or None,
    )


def _execution(job: Job) -> Execution:
    """What was in a batch and is done live now is live."""
    return Execution("batch" if job.execution == "batch" else "live", job.execution_reason)
