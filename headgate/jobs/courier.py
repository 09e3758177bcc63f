"""Hands items over to providers' batch APIs and brings back what came of them. Decided by `policy/batching.py`.

Every step is on record before the next is taken, and each may be taken again but one: a batch is handed over once. If
that was cut short it is looked for at the provider; if it is not there its items go into another, with other ids, and
one which turns up later is known for what it is, stopped, and booked beside the other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from headgate.errors import DatabaseUnavailable, HeadgateError, NotFound, UpstreamAuth, UpstreamRejected
from headgate.gateway.fleet import Deployment, Setup
from headgate.job_types import ItemState
from headgate.jobs.batch_clearing import Clearing
from headgate.jobs.batch_lines import Booked, Surroundings, batch_price, booked, given_back, handover_of
from headgate.jobs.batch_means import CourierMeans, deployment_for
from headgate.jobs.batch_search import Search
from headgate.jobs.calls import call_of
from headgate.policy import access, batching
from headgate.policy.background import GateRules
from headgate.policy.batching import BatchRules, Execution, JobFacts
from headgate.policy.estimating import estimate_prompt_tokens
from headgate.policy.retrying import is_retryable_status
from headgate.provider_batch_types import (
    LEASE_OF_ITEMS_SECONDS,
    AtProvider,
    LineEnd,
    LineResult,
    ProviderBatch,
    Stage,
    Taken,
    WaitingJob,
)
from headgate.types import Call

LEASE = "provider-batches"
LEASE_SECONDS = 300.0  # two thirds of it are longer than a batch can be on its way to its provider: two calls
LOOK_SECONDS = 5.0
IDLE_SECONDS = 60.0  # between looks for what was left undecided, when no model has batches any more
LOOKUP_SECONDS = 300.0  # after which what was handed over is at the provider, and in its list, or never will be
MOST_BYTES = 20_000_000  # of the requests of one batch: the least that any of the providers takes in one call
_BOOKED_AT_ONCE = 200
_NEVER = float("-inf")
_GONE = (404, 410)
_SPILLED = "spilled"  # it was in a batch, and what is left of it is done live

log = logging.getLogger(__name__)


class Courier:
    """One of them works at a time, in whichever process."""

    def __init__(self, name: str, means: CourierMeans) -> None:
        self._name = name
        self._means = means
        self._asked_at: dict[str, float] = {}  # when a provider was asked how a batch stands, by our id
        self._search = Search()
        self._clearing = Clearing(means)
        self._idle_until, self._leased_at = 0.0, _NEVER

    async def run_forever(self) -> None:
        """Look, every few seconds."""
        while True:
            try:
                if self._means.accounts.loaded:  # else every key would be an unknown one
                    await self.look()
            except HeadgateError as error:
                log.warning("batches at providers wait: %s", error.message)
            except Exception:
                log.exception("a look at the batches at providers failed")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Go on with the batches there are, and begin new ones. Raises DatabaseUnavailable."""
        means = self._means
        if not await self._has_lease(0.0):
            return
        for batch in await means.batches.open():
            if not await self._has_lease():
                return
            await self._guarded(batch)
        now = means.clock.monotonic()
        if now < self._idle_until and not any(means.rules(model).use != "never" for model in self._setup.models):
            return
        self._idle_until = now + IDLE_SECONDS
        jobs = await means.batches.waiting()
        batches = await means.batches.open() if jobs else []
        for job in jobs:
            if not await self._has_lease():
                return
            await self._decided(job, [batch for batch in batches if batch.job_id == job.job_id])

    async def _has_lease(self, seconds: float = LEASE_SECONDS / 3) -> bool:
        """Whether it is still ours, which is asked if it was taken longer ago: the way through all may be long."""
        now = self._means.clock.now()
        if now - self._leased_at >= seconds:
            taken = await self._means.leases.take(LEASE, self._name, LEASE_SECONDS)
            self._leased_at = now if taken is not None else _NEVER
        return self._leased_at != _NEVER

    # --- what is decided ---

    async def _decided(self, job: WaitingJob, batches: Sequence[ProviderBatch]) -> None:
        """One job that cannot be decided on leaves the others alone."""
        try:
            await self._decide(job, batches)
        except DatabaseUnavailable:
            raise
        except HeadgateError as error:
            log.warning("%s waits for a provider's batch API: %s", job.job_id, error.message)
        except Exception:
            log.exception("how %s is executed could not be decided", job.job_id)

    async def _decide(self, job: WaitingJob, batches: Sequence[ProviderBatch]) -> None:
        """How a job is executed that has these batches."""
        now = self._means.clock.now()
        try:
            call = call_of(job.kind, job.first_request, "", job.user)
        except HeadgateError as error:  # a worker will say so of the item
            await self._means.batches.decide(job.job_id, Execution.LIVE, f"its first request is wrong: {error.message}")
            return
        rules = self._means.rules(call.model)
        if rules.use == "never" and not job.execution:
            return
        deployment, obstacle = deployment_for(self._setup, call)
        price = None if deployment is None else deployment.spec.price
        facts = JobFacts(
            waiting=job.waiting,
            deadline_at=job.deadline_at,
            obstacle=obstacle,
            is_cheaper=price is not None and (price.batch is not None or rules.discount > 0),
        )
        choice = batching.choose(facts, rules, now)
        if choice.execution is Execution.LIVE or deployment is None:
            how = _SPILLED if job.execution == Execution.BATCH else Execution.LIVE
            await self._means.batches.decide(job.job_id, how, choice.reason)
            return
        if job.execution != Execution.BATCH:
            await self._means.batches.decide(job.job_id, Execution.BATCH, choice.reason)
        if not await self._may_try(job, batches, now):
            return
        most = await self._most(job, call, deployment, rules)
        if most > 0:
            await self._begin(job, call, deployment, most)

    async def _may_try(self, job: WaitingJob, batches: Sequence[ProviderBatch], now: float) -> bool:
        """Nothing more is handed over while it is in doubt whether the last arrived, nor soon after it has not."""
        if any(batch.stage in (Stage.PREPARED, Stage.SENT) for batch in batches):
            return False
        failed = [batch.sent_at for batch in batches if batch.stage is Stage.ABANDONED and not batch.provider_id]
        if not failed:
            return True
        at = batching.next_try_at(len(failed), max(failed), LOOKUP_SECONDS)
        if at is None:
            await self._means.batches.decide(job.job_id, _SPILLED, f"{len(failed)} tries did not reach the provider")
        return at is not None and now >= at

    async def _most(self, job: WaitingJob, call: Call, deployment: Deployment, rules: BatchRules) -> int:
        """How many items may be handed over: as many as there is money for, and as fit into one call."""
        means = self._means
        try:
            caller = means.accounts.holder(job.key_id)
        except HeadgateError as error:
            await means.batches.decide(job.job_id, _SPILLED, f"its key cannot be used: {error.message}")
            return 0
        if not access.may_use(caller.tier, call.model):
            await means.batches.decide(job.job_id, _SPILLED, "its key may not use the model any more")
            return 0
        most = min(rules.max_items, job.waiting)
        price = batch_price(deployment, rules.discount)
        left = await means.gate.budgets.left_picousd(caller, call, means.gate.rules() or GateRules())
        if left is None or price is None:
            return most
        output = call.max_output_tokens or deployment.target.default_max_output_tokens
        each = price.input * estimate_prompt_tokens(call.body_bytes) + price.output * output * call.choices
        return min(most, left // each) if each else most

    # --- steps ---

    async def _begin(self, job: WaitingJob, call: Call, deployment: Deployment, most: int) -> None:
        means, now = self._means, self._means.clock.now()
        batch = ProviderBatch(
            id=means.clock.new_id("batch"),
            job_id=job.job_id,
            kind=job.kind,
            tenant=job.tenant,
            key_id=job.key_id,
            user_name=job.user,
            model=call.model,
            deployment=deployment.spec.name,
            key_fingerprint=deployment.keys.fingerprint(deployment.keys.named("")),
            deadline_at=job.deadline_at,
            stage=Stage.PREPARED,
            created_at=now,
        )
        ids = [means.clock.new_id("req") for _ in range(most)]
        taken = await means.batches.prepare(batch, ids, MOST_BYTES // 2)
        if taken:
            await self._guarded(msgspec.structs.replace(batch, size=len(taken)))

    async def _guarded(self, batch: ProviderBatch) -> None:
        """One batch that cannot go on leaves the others alone."""
        try:
            await self._go_on(batch)
        except DatabaseUnavailable:
            raise
        except HeadgateError as error:
            log.warning("the batch %s at %s waits: %s", batch.id, batch.deployment, error.message)
            await self._bear(batch, error)
        except Exception as error:
            log.exception("the batch %s at %s waits", batch.id, batch.deployment)
            await self._bear(batch, error)

    async def _bear(self, batch: ProviderBatch, error: Exception) -> None:
        """Its provider says nothing of a batch: that must not cost the deadline, and has an end."""
        means, now = self._means, self._means.clock.now()
        if batch.stage in (Stage.PREPARED, Stage.ABANDONED, Stage.OVER):
            return
        is_old = now >= batch.sent_at + LOOKUP_SECONDS  # what has just been made may not be everywhere yet
        if batch.provider_id and is_old and isinstance(error, UpstreamRejected) and error.upstream_status in _GONE:
            await self._abandon(batch, f"the provider does not have it any more: {error.message}", spills=True)
        elif now >= batch.sent_at + batching.WINDOW_SECONDS:
            await self._abandon(batch, f"the provider has not said what came of it: {error}", spills=True)
        elif batching.abandons(batch.deadline_at, means.rules(batch.model), now, is_heard=False):
            await self._abandon(batch, f"the deadline is near, and the provider says nothing: {error}", spills=True)

    async def _go_on(self, batch: ProviderBatch) -> None:
        now = self._means.clock.now()
        if batch.stage is Stage.ABANDONED and now >= batch.sent_at + batching.WINDOW_SECONDS:
            await self._end(batch)
            return
        if batch.stage is Stage.OVER:
            await self._clearing.go_on(batch)
            return
        if now < self._due_at(batch):
            return
        self._asked_at[batch.id] = now
        deployment = next((one for one in self._setup.deployments() if one.spec.name == batch.deployment), None)
        if deployment is None and batch.stage is Stage.PREPARED:
            taken = await self._means.batches.taken(batch)
            await self._over(batch, taken, f"{batch.deployment} is not configured any more")
            return
        if deployment is None:
            raise NotFound(f"{batch.deployment} is not configured any more.")
        around = self._around(batch, deployment)
        if batch.stage is Stage.PREPARED and not await self._means.batches.wanted(batch):
            await self._end(batch)  # it was cancelled since
        elif batch.stage is Stage.PREPARED:
            await self._send(batch, around)
        elif not batch.provider_id:
            await self._look_up(batch, around)
        else:
            await self._poll(batch, around)

    def _due_at(self, batch: ProviderBatch) -> float:
        """When its provider is asked next."""
        if batch.stage is Stage.PREPARED:
            return 0.0
        pause = self._means.rules(batch.model).poll_seconds
        if not batch.provider_id:
            pause = max(pause, LOOKUP_SECONDS) if batch.stage is Stage.ABANDONED else pause
            return max(batch.sent_at + LOOKUP_SECONDS, self._asked_at.get(batch.id, 0.0) + pause)
        return self._asked_at.get(batch.id, 0.0) + pause

    async def _send(self, batch: ProviderBatch, around: Surroundings) -> None:
        means = self._means
        taken = await means.batches.taken(batch)
        try:
            handover = handover_of(batch, around, taken)
        except HeadgateError as error:
            await self._over(batch, taken, f"not every item can be put to its provider: {error.message}")
            return
        batch = msgspec.structs.replace(batch, stage=Stage.SENT, sent_at=means.clock.now(), has_files=True)
        if not await means.batches.save(batch, was=Stage.PREPARED):
            return  # by another process, while this one was away
        api = means.api(around.deployment, batch.key_fingerprint)
        try:
            provider_id = await api.submit(handover)
        except (UpstreamRejected, UpstreamAuth) as error:
            if isinstance(error, UpstreamRejected) and is_retryable_status(error.upstream_status):
                raise  # whether it was carried out is looked up
            await self._over(batch, taken, f"the provider did not take it: {error.message}")
            return
        running = msgspec.structs.replace(batch, stage=Stage.RUNNING, provider_id=provider_id)
        if not await means.batches.save(running, was=Stage.SENT):  # it took so long that others gave it up
            await means.batches.save(msgspec.structs.replace(running, stage=Stage.ABANDONED), was=Stage.ABANDONED)

    async def _look_up(self, batch: ProviderBatch, around: Surroundings) -> None:
        """Its handing over may have failed, or have been cut short: the provider knows."""
        means, now = self._means, around.now
        api = means.api(around.deployment, batch.key_fingerprint)
        known = {one.provider_id for one in await means.batches.open() if one.deployment == batch.deployment}
        candidates = await api.find(batch.id, batch.size, batch.sent_at)
        line_ids = {one.request_id for one in await means.batches.taken(batch)}
        unknown = [one for one in candidates if one.provider_id not in known]
        found = await self._search.among(batch.id, api, unknown, line_ids)
        if found.provider_id:
            stage = Stage.ABANDONED if batch.stage is Stage.ABANDONED else Stage.RUNNING
            batch = msgspec.structs.replace(batch, stage=stage, provider_id=found.provider_id)
            await means.batches.save(batch)
            await self._poll(batch, around)
        elif batch.stage is Stage.ABANDONED:
            return
        elif not found.is_open:
            await self._abandon(batch, "its handing over was cut short, and the provider does not have it")
        elif batching.abandons(batch.deadline_at, means.rules(batch.model), now, is_heard=False):
            await self._abandon(batch, "the deadline is near, and whether the provider has it is unknown", spills=True)

    async def _poll(self, batch: ProviderBatch, around: Surroundings) -> None:
        means = self._means
        api = means.api(around.deployment, batch.key_fingerprint)
        standing = await api.standing(batch.provider_id)
        if standing.state is AtProvider.ENDED:
            await self._collect(batch, around, [result async for result in api.results(standing)])
            return
        if standing.state is AtProvider.FAILED:
            left = await means.batches.taken(batch)
            await self._over(batch, left, f"the provider refused the batch: {standing.error}")
            return
        await means.work.keep(batch.worker, LEASE_OF_ITEMS_SECONDS)
        if batch.stage is Stage.RUNNING and not await self._is_to_stop(batch):
            return
        if batch.stage is not Stage.ABANDONED:
            await means.batches.save(msgspec.structs.replace(batch, stage=Stage.CANCELLING))
            if batching.abandons(batch.deadline_at, means.rules(batch.model), around.now, is_heard=True):
                await self._abandon(batch, "the deadline is near, and the provider has not stopped it yet", spills=True)
        await api.cancel(batch.provider_id)  # each time, as it may not have been heard

    async def _collect(self, batch: ProviderBatch, around: Surroundings, results: Sequence[LineResult]) -> None:
        """Of lines whose ids are not ours nothing is known, and of ours that are missing nothing was done."""
        taken = {one.request_id: one for one in await self._means.batches.taken(batch)}
        ends: dict[str, LineResult] = {}
        for result in results:  # should a line be there twice, its answer counts
            if result.end.is_done and result.id in taken and (result.id not in ends or result.end is LineEnd.ANSWERED):
                ends[result.id] = result
        done, failed = list(ends.values()), 0
        for first in range(0, len(done), _BOOKED_AT_ONCE):
            some = [booked(taken[result.id], result, around) for result in done[first : first + _BOOKED_AT_ONCE]]
            await self._book(batch, some)
            failed += sum(line.end.state is ItemState.RETRYING for line in some)
        left = [one for line_id, one in taken.items() if line_id not in ends]
        reason = f"{len(left) + failed} of its requests were not done in the provider's batch" if left or failed else ""
        await self._over(batch, left, reason)

    async def _is_to_stop(self, batch: ProviderBatch) -> bool:
        """Whether the deadline is near, or nobody waits for any of it."""
        if batching.spills(batch.deadline_at, self._means.rules(batch.model), self._means.clock.now()):
            return True
        return not await self._means.batches.wanted(batch)

    # --- parts ---

    async def _book(self, batch: ProviderBatch, lines: Sequence[Booked]) -> None:
        """The ledger first: a row that is there already stays as it is, so nothing is charged twice."""
        records = [line.record for line in lines]
        await self._means.ledger.write(records)
        self._means.booked(records)
        await self._means.work.finish(batch.worker, [line.end for line in lines])

    async def _over(self, batch: ProviderBatch, left: Sequence[Taken], reason: str) -> None:
        """Nothing more comes of it: what is left is done live, and why."""
        means, now = self._means, self._means.clock.now()
        if batch.stage is not Stage.ABANDONED:
            if reason:
                await means.batches.decide(batch.job_id, _SPILLED, reason)
            if left:
                await means.work.finish(batch.worker, [given_back(one, now) for one in left])
        await self._end(batch)

    async def _abandon(self, batch: ProviderBatch, reason: str, *, spills: bool = False) -> None:
        """Its items are done otherwise, live if it `spills`; if it is done too, that is paid for beside them."""
        means, now = self._means, self._means.clock.now()
        log.warning("the batch %s at %s is given up: %s", batch.id, batch.deployment, reason)
        if spills:
            await means.batches.decide(batch.job_id, _SPILLED, reason)
        ends = [given_back(one, now, may_be_paid=True) for one in await means.batches.taken(batch)]
        if ends:
            await means.work.finish(batch.worker, ends)
        await means.batches.save(msgspec.structs.replace(batch, stage=Stage.ABANDONED))

    async def _end(self, batch: ProviderBatch) -> None:
        over = msgspec.structs.replace(batch, stage=Stage.OVER)
        await self._means.batches.save(over)
        self._asked_at.pop(batch.id, None)
        self._search.forget(batch.id)
        await self._clearing.go_on(over)

    def _around(self, batch: ProviderBatch, deployment: Deployment) -> Surroundings:
        price = batch_price(deployment, self._means.rules(batch.model).discount)
        return Surroundings(batch, deployment, price, self._setup.config_hash, self._means.clock.now())

    @property
    def _setup(self) -> Setup:
        return self._means.gate.pipeline.setup
