"""Where documents come to jobs that wait for them, and where is said beforehand what a job will cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headgate.errors import InvalidRequest
from headgate.job_ports import Jobs, Purses, Reports
from headgate.job_types import Command, Job
from headgate.jobs.documents import MOST_DOCUMENTS, Document, documents_id, items_of, open_documents
from headgate.jobs.extract import EXTRACT, EXTRACT_ONE, ExtractKind, ExtractOptions, most
from headgate.jobs.models import Models
from headgate.jobs.summaries import prompt_tokens
from headgate.jobs.summarize import READ, SUMMARIZE, Plan, SummarizeKind, SummarizeOptions, plan_of
from headgate.policy.mapreduce import Load, Share, shares
from headgate.ports import Clock
from headgate.types import Caller, Frozen

ITEM_KINDS = {SUMMARIZE: READ, EXTRACT: EXTRACT_ONE}


class Estimate(Frozen, frozen=True):
    """What a job takes, at most: shares and money of the model that reads, and of the one that combines."""

    plan: Plan
    read: Share
    combined: Share
    read_picousd: int
    combined_picousd: int


class DocumentDesk:
    """`ring` wakes the worker of this process."""

    def __init__(
        self, jobs: Jobs, purses: Purses, reports: Reports, models: Models, clock: Clock, ring: Callable[[], None]
    ) -> None:
        self.jobs = jobs
        self.reports = reports
        self._purses = purses
        self._models = models
        self._clock = clock
        self._ring = ring

    async def add(self, root: Job, documents: Sequence[Document], first: int, *, is_last: bool) -> Job:
        """Documents numbered from `first`; those that are there already stay as they are. The job of the documents.

        Raises InvalidRequest if the job takes no documents, or no more."""
        kind = ITEM_KINDS.get(root.kind)
        if kind is None:
            raise InvalidRequest(f"A job of the kind '{root.kind}' takes no documents.", param="job_id")
        if root.is_over:
            raise InvalidRequest(f"The job is {root.state}: it takes no more documents.", param="job_id")
        if first + len(documents) - 1 > MOST_DOCUMENTS:
            raise InvalidRequest(f"A job has at most {MOST_DOCUMENTS} documents.", param="first")
        below = await open_documents(self.jobs, root, kind, self._clock.now(), is_fed=True)
        if documents and not below.sealed:
            await self.jobs.add(below.id, items_of(documents, first))
        elif below.sealed and first + len(documents) - 1 > below.counts.total:
            raise InvalidRequest("The job has all of its documents already.", param="first")
        if is_last and not below.sealed:
            await self.jobs.seal(below.id)
        self._ring()
        return await self.jobs.get(documents_id(root.id))

    def estimate(self, caller: Caller, options: SummarizeOptions, load: Load) -> Estimate:
        """Raises InvalidRequest and ModelNotFound."""
        SummarizeKind.check_options(caller, options, self._models)
        plan = plan_of(options, self._models)
        read, combined = shares(load, prompt_tokens(options.system(is_reduce=False)), plan.rules)
        reader, combiner = self._models.facts(options.model), self._models.facts(options.combining_model)
        return Estimate(
            plan,
            read,
            combined,
            reader.most_picousd(read.input_tokens, read.output_tokens),
            combiner.most_picousd(combined.input_tokens, combined.output_tokens),
        )

    def estimate_extract(self, caller: Caller, options: ExtractOptions, load: Load) -> tuple[Share, int]:
        """What an extraction takes at most, and its pico-dollars. Raises InvalidRequest and ModelNotFound."""
        ExtractKind.check_options(caller, options, self._models)
        share = most(options, load)
        return share, self._models.facts(options.model).most_picousd(share.input_tokens, share.output_tokens)

    async def raise_limit(self, job: Job, limit_picousd: int) -> Job:
        """Let a job cost so much, and go on if it was paused. Raises InvalidRequest."""
        await self._purses.resize(job.id, limit_picousd)
        if not job.is_over:
            await self.jobs.command(job.id, Command.RESUME)
        self._ring()
        return await self.jobs.get(job.id)
