"""Hands items over to providers' batch APIs and brings back what came of them. Decided by `policy/batching.py`.

Every step is on record before the next is taken, and each may be taken again: a batch whose handing over may have
failed is looked for at the provider first, results that were read before change nothing when they are read again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from headgate.errors import DatabaseUnavailable, HeadgateError, UpstreamAuth, UpstreamRejected
from headgate.gateway.accounts import Accounts
from headgate.gateway.background import BackgroundGate
from headgate.gateway.fleet import Deployment, Setup
from headgate.job_ports import Work
from headgate.job_types import ItemEnd
from headgate.jobs.batch_lines import Booked, Surroundings, batch_price, booked, given_back, line_of
from headgate.jobs.calls import call_of
from headgate.policy import access, batching
from headgate.policy.background import GateRules
from headgate.policy.batching import BatchRules, Execution, JobFacts
from headgate.policy.estimating import estimate_prompt_tokens
from headgate.policy.retrying import is_retryable_status
from headgate.ports import Clock, Leases, Ledger
from headgate.provider_batch_ports import BatchApi, ProviderBatches
from headgate.provider_batch_types import (
    LEASE_OF_ITEMS_SECONDS,
    AtProvider,
    Handover,
    LineResult,
    ProviderBatch,
    Stage,
    Taken,
    WaitingJob,
)
from headgate.types import Api, Call, Frozen, RequestRecord, Route

KINDS = frozenset({"openai", "azure", "anthropic", "gemini"})
LEASE = "provider-batches"
LEASE_SECONDS = 300.0  # two thirds of it are longer than a batch can be on its way to its provider: two calls
LOOK_SECONDS = 5.0
LOOKUP_SECONDS = 300.0  # after which what was handed over is at the provider, and in its list, or never will be
MOST_BYTES = 20_000_000  # of the requests of one batch: the least that any of the providers takes in one call
_BOOKED_AT_ONCE = 200
_NEVER = float("-inf")
_SPILLED = "spilled"  # it was in a batch, and what is left of it is done live

log = logging.getLogger(__name__)


class CourierMeans(Frozen, frozen=True):
    """What a courier works with. `rules` are those of a public model, `api` opens a deployment's batch API with a key,
    `booked` is told of rows that are in the ledger."""

    batches: ProviderBatches
    work: Work
    ledger: Ledger
    leases: Leases
    accounts: Accounts
    gate: BackgroundGate
    clock: Clock
    rules: Callable[[str], BatchRules]
    api: Callable[[Deployment, str], BatchApi]
    booked: Callable[[Sequence[RequestRecord]], None]


class Courier:
    """One of them works at a time, in whichever process."""

    def __init__(self, name: str, means: CourierMeans) -> None:
        self._name = name
        self._means = means
        self._asked_at: dict[str, float] = {}  # when a provider was asked how a batch stands, by our id
        self._leased_at = _NEVER

    async def run_forever(self) -> None:
        """Look, every few seconds."""
        while True:
            try:
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
            await self._guarded(batch.id, self._go_on(batch))
        if not any(means.rules(model).use != "never" for model in self._setup.models):
            return
        for job in await means.batches.waiting():
            if not await self._has_lease():
                return
            await self._guarded(job.job_id, self._decide(job))

    async def _has_lease(self, seconds: float = LEASE_SECONDS / 3) -> bool:
        """Whether it is still ours, which is asked if it was taken longer ago: the way through all may be long."""
        now = self._means.clock.now()
        if now - self._leased_at >= seconds:
            taken = await self._means.leases.take(LEASE, self._name, LEASE_SECONDS)
            self._leased_at = now if taken is not None else _NEVER
        return self._leased_at != _NEVER

    async def _guarded(self, name: str, step: Coroutine[Any, Any, None]) -> None:
        """One that cannot go on leaves the others alone. Raises DatabaseUnavailable."""
        try:
            await step
        except DatabaseUnavailable:
            raise
        except HeadgateError as error:
            log.warning("%s waits for a provider's batch API: %s", name, error.message)
        except Exception:
            log.exception("%s failed inside headgate", name)

    # --- what is decided ---

    async def _decide(self, job: WaitingJob) -> None:
        if job.execution in (Execution.LIVE, _SPILLED):
            return  # once workers have begun, they go on
        now = self._means.clock.now()
        try:
            call = call_of(job.kind, job.first_request, "", job.user)
        except HeadgateError:
            return  # a worker will say what is wrong
        rules = self._means.rules(call.model)
        if rules.use == "never" and not job.execution:
            return
        deployment, obstacle = self._deployment_for(call)
        price = None if deployment is None else deployment.spec.price
        facts = JobFacts(
            waiting=job.waiting,
            deadline_at=job.deadline_at,
            obstacle=obstacle,
            is_cheaper=price is not None and (price.batch is not None or rules.discount > 0),
        )
        choice = batching.choose(facts, rules, now)
        if choice.execution is Execution.LIVE or deployment is None:
            await self._means.batches.decide(job.job_id, _SPILLED if job.execution else Execution.LIVE, choice.reason)
            return
        if job.execution != Execution.BATCH:
            await self._means.batches.decide(job.job_id, Execution.BATCH, choice.reason)
        most = await self._most(job, call, deployment, rules)
        if most > 0:
            await self._begin(job, call, deployment, most)

    def _deployment_for(self, call: Call) -> tuple[Deployment | None, str]:
        """Whose batch API, or why there is none."""
        model = self._setup.models.get(call.model)
        if model is None:
            return None, f"'{call.model}' is a router, which chooses request by request"
        for deployment in model.deployments:
            dialogue = deployment.dialogues.get(call.route)
            if deployment.spec.kind not in KINDS or dialogue is None or not deployment.spec.endpoints:
                continue
            if dialogue.api is not Api.EMBED_CONTENTS and call.route is not Route.COMPLETIONS:
                return deployment, ""
        return None, f"no deployment of '{call.model}' has a batch API for this"

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
        most = min(rules.max_items, job.waiting, max(1, MOST_BYTES // max(1, 2 * len(job.first_request))))
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
        taken = await means.batches.prepare(batch, [means.clock.new_id("req") for _ in range(most)])
        if taken:
            await self._go_on(msgspec.structs.replace(batch, size=len(taken)))

    async def _go_on(self, batch: ProviderBatch) -> None:
        means, now = self._means, self._means.clock.now()
        deployment = next((one for one in self._setup.deployments() if one.spec.name == batch.deployment), None)
        if deployment is None:
            log.warning("the batch %s is at %s, which is not configured any more", batch.id, batch.deployment)
            return
        around = self._around(batch, deployment)
        if batch.stage is Stage.PREPARED:
            await self._send(batch, around)
        elif batch.stage is Stage.SENT:
            if now >= batch.sent_at + LOOKUP_SECONDS:
                await self._look_up(batch, around)
        elif now >= self._asked_at.get(batch.id, 0.0) + means.rules(batch.model).poll_seconds:
            self._asked_at[batch.id] = now
            await self._poll(batch, around)

    async def _send(self, batch: ProviderBatch, around: Surroundings) -> None:
        means = self._means
        taken = await means.batches.taken(batch)
        try:
            handover = self._handover(batch, around, taken)
        except HeadgateError as error:
            await self._over(batch, taken, f"not every item can be put to its provider: {error.message}")
            return
        batch = msgspec.structs.replace(batch, stage=Stage.SENT, sent_at=means.clock.now())
        await means.batches.save(batch)
        api = means.api(around.deployment, batch.key_fingerprint)
        try:
            provider_id = await api.submit(handover)
        except (UpstreamRejected, UpstreamAuth) as error:
            if isinstance(error, UpstreamRejected) and is_retryable_status(error.upstream_status):
                raise  # whether it was carried out is looked up
            await self._over(batch, taken, f"the provider did not take it: {error.message}")
            return
        await means.batches.save(msgspec.structs.replace(batch, stage=Stage.RUNNING, provider_id=provider_id))

    async def _look_up(self, batch: ProviderBatch, around: Surroundings) -> None:
        """Its handing over may have failed, or have been cut short: the provider knows."""
        means = self._means
        taken = await means.batches.taken(batch)
        api = means.api(around.deployment, batch.key_fingerprint)
        provider_id = await api.find(self._handover(batch, around, taken), batch.sent_at)
        known = {one.provider_id for one in await means.batches.open()}
        if provider_id is not None and provider_id not in known:
            await means.batches.save(msgspec.structs.replace(batch, stage=Stage.RUNNING, provider_id=provider_id))
        else:
            await self._send(batch, around)

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
        await means.batches.save(msgspec.structs.replace(batch, stage=Stage.CANCELLING))
        await api.cancel(batch.provider_id)  # each time, as it may not have been heard

    async def _collect(self, batch: ProviderBatch, around: Surroundings, results: Sequence[LineResult]) -> None:
        """Of lines whose ids are not ours nothing is known, and of ours that are missing nothing was done."""
        taken = {one.request_id: one for one in await self._means.batches.taken(batch)}
        done = [result for result in results if result.end.is_done and result.id in taken]
        for first in range(0, len(done), _BOOKED_AT_ONCE):
            some = done[first : first + _BOOKED_AT_ONCE]
            await self._book(batch, [booked(taken[result.id], result, around) for result in some])
        for result in done:
            taken.pop(result.id, None)
        reason = f"{len(taken)} of its requests were not done in the provider's batch" if taken else ""
        await self._over(batch, list(taken.values()), reason)

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
        if reason:
            await means.batches.decide(batch.job_id, _SPILLED, reason)
        ends: list[ItemEnd] = [given_back(one, now) for one in left]
        if ends:
            await means.work.finish(batch.worker, ends)
        await means.batches.save(msgspec.structs.replace(batch, stage=Stage.OVER))
        self._asked_at.pop(batch.id, None)

    def _handover(self, batch: ProviderBatch, around: Surroundings, taken: Sequence[Taken]) -> Handover:
        """Raises InvalidRequest or Untranslatable for the first item that cannot be put to the provider."""
        route = call_of(batch.kind, taken[0].request, "", batch.user_name).route
        api = around.deployment.dialogues[route].api
        lines = tuple(line_of(one, around) for one in taken)
        return Handover(batch.id, api, around.deployment.spec.upstream_model, lines)

    def _around(self, batch: ProviderBatch, deployment: Deployment) -> Surroundings:
        price = batch_price(deployment, self._means.rules(batch.model).discount)
        return Surroundings(batch, deployment, price, self._setup.config_hash, self._means.clock.now())

    @property
    def _setup(self) -> Setup:
        return self._means.gate.pipeline.setup
