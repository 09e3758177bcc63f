"""Documents for jobs over HTTP, what a job will cost, what it may, and the report on it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from headgate.admin.endpoint import Count, Input, Name, Number, Reply, Visit
from headgate.admin.job_shapes import EstimateView, JobView, ModelEstimate
from headgate.admin.jobs import Usd, picousd_of, view
from headgate.admin.links import LinkedJob, linked_job
from headgate.admin.report_page import page
from headgate.admin.report_views import CostView, ReportView
from headgate.errors import InvalidRequest
from headgate.job_types import Job
from headgate.jobs.calls import body_of
from headgate.jobs.documents import Document, documents_id, read_options
from headgate.jobs.extract import EXTRACT, ExtractOptions
from headgate.jobs.summarize import SUMMARIZE, SummarizeOptions
from headgate.policy.mapreduce import Load, Share
from headgate.policy.pricing import format_usd
from headgate.types import Frozen

MOST_LISTED = 1000
SECONDS_PER_DAY = 86_400


class AddDocuments(Input, frozen=True):
    """A portion of documents, numbered from `first`: sending it again changes nothing. `last`: there are no more."""

    job_id: Name
    documents: list[Document]
    first: Number = 1
    last: bool = False


class Documents(Frozen, frozen=True):
    """How many documents a job has so far."""

    total: int


class AskEstimate(Input, frozen=True):
    """What a job would take: its `request`, and of its documents how many there are, the requests they are read with
    (one for each piece), and the tokens of their texts."""

    request: Any
    kind: Literal["summarize", "extract"] = "summarize"
    documents: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    requests: Count = 0
    text_tokens: Count = 0


class RaiseBudget(Input, frozen=True):
    """What a job may cost from now on; if it was paused it goes on."""

    job_id: Name
    max_cost_usd: Usd


class ReportQuery(LinkedJob, frozen=True):
    """The report on a job, as `json`, as a page of `html` that needs nothing else and follows the job while it runs, or
    as `link`: path and query of that page, which a browser opens without a key, for a day."""

    format: Literal["json", "html", "link"] = "json"
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_LISTED)] = 50


async def add_documents(visit: Visit, command: AddDocuments) -> Documents:
    """Give documents to a job that was submitted with `open`."""
    job = await _job(visit, command.job_id)
    desk = visit.services.document_desk
    below = await desk.add(job, command.documents, command.first, is_last=command.last)
    return Documents(below.counts.total)


async def estimate(visit: Visit, command: AskEstimate) -> EstimateView:
    """What a job would take, before it is submitted."""
    load = Load(command.documents, max(command.requests, command.documents), command.text_tokens)
    if command.kind == EXTRACT:
        wanted = read_options(body_of(command.request), ExtractOptions)
        share, picousd = visit.services.document_desk.estimate_extract(visit.caller(), wanted, load)
        return EstimateView([_model_estimate(wanted.model, share, picousd)], format_usd(picousd), 0, 0, 0)
    options = read_options(body_of(command.request), SummarizeOptions)
    found = visit.services.document_desk.estimate(visit.caller(), options, load)
    return EstimateView(
        models=[
            _model_estimate(options.model, found.read, found.read_picousd),
            _model_estimate(options.combining_model, found.combined, found.combined_picousd),
        ],
        cost_usd=format_usd(found.read_picousd + found.combined_picousd),
        chunk_tokens=found.plan.chunk_tokens,
        context_tokens=found.plan.rules.context_tokens,
        fan_in=found.plan.rules.fan_in,
    )


async def raise_budget(visit: Visit, command: RaiseBudget) -> JobView:
    """Change what a job may cost; a job that was paused because it was spent goes on."""
    job = await _job(visit, command.job_id)
    return view(await visit.services.document_desk.raise_limit(job, picousd_of(command.max_cost_usd)))


async def report(visit: Visit, query: ReportQuery) -> Reply:
    """Where the money of a job went, what failed and what was slow, while it runs and after."""
    job = await linked_job(visit, query)
    if job.root_id != job.id:
        raise InvalidRequest(f"'{job.id}' is a part of '{job.root_id}': ask for that one's report.", param="job_id")
    if query.format == "link":
        visit.caller()  # who has a link makes no other one
        link = await visit.services.job_desk.deliveries.report_link(job.id)
        return Reply(link.encode(), content_type="text/plain; charset=utf-8")
    (item,) = await visit.services.document_desk.jobs.items(job.id, 1) or (None,)
    shard = read_options(item.request, SummarizeOptions).shard_documents if item and job.kind == SUMMARIZE else 1
    found = await visit.services.document_desk.reports.report(job.id, documents_id(job.id), shard, query.limit)
    costs = [
        CostView(
            row.model, _date(row.day), row.shard, row.requests, row.input_tokens, row.cached_input_tokens,
            row.output_tokens, format_usd(row.cost_picousd), format_usd(row.duplicate_picousd),
        )
        for row in found.costs
    ]  # fmt: skip
    result = msgspec.Raw(item.result if item and item.result and job.counts.total == 1 else b"null")
    whole = ReportView(
        view(job), list(found.parts), costs, found.failure_count, list(found.failures), list(found.slowest), result
    )
    if query.format == "html":
        return Reply(page(whole).encode(), content_type="text/html; charset=utf-8")
    return Reply(msgspec.json.encode(whole))


async def _job(visit: Visit, job_id: str) -> Job:
    return await visit.services.job_desk.jobs.get(job_id, visit.caller().tenant)


def _model_estimate(model: str, share: Share, picousd: int) -> ModelEstimate:
    return ModelEstimate(model, share.requests, share.input_tokens, share.output_tokens, format_usd(picousd))


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * SECONDS_PER_DAY, UTC).date().isoformat()
