"""What a courier works with, and whose batch API a request may go to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from headgate.errors import HeadgateError
from headgate.gateway.accounts import Accounts
from headgate.gateway.background import BackgroundGate
from headgate.gateway.fleet import Deployment, Setup
from headgate.job_ports import Work
from headgate.job_types import NewJob
from headgate.jobs.calls import call_of
from headgate.policy import batching
from headgate.policy.batching import BatchRules, Execution, JobFacts
from headgate.ports import Clock, Leases, Ledger
from headgate.provider_batch_ports import BatchApi, ProviderBatches
from headgate.types import Api, Call, Frozen, RequestRecord, Route

KINDS = frozenset({"openai", "azure", "anthropic", "gemini"})
BATCHED = frozenset({"chat", "responses", "messages", "embed"})  # kinds of jobs


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


def deployment_for(setup: Setup, call: Call) -> tuple[Deployment | None, str]:
    """Whose batch API, or why there is none."""
    model = setup.models.get(call.model)
    if model is None:
        return None, f"'{call.model}' is a router, which chooses request by request"
    for deployment in model.deployments:
        dialogue = deployment.dialogues.get(call.route)
        if deployment.spec.kind not in KINDS or dialogue is None or not deployment.spec.endpoints:
            continue
        if dialogue.api is not Api.EMBED_CONTENTS and call.route is not Route.COMPLETIONS:
            return deployment, ""
    return None, f"no deployment of '{call.model}' has a batch API for this"


def may_be_batched(job: NewJob, rules: Mapping[str, BatchRules], now: float) -> bool:
    """By the rules of models with a batch API. Whether there is one, and money for it, is found out later."""
    asked = tuple(rules)
    if job.requests:
        try:
            asked = (call_of(job.kind, job.requests[0], "").model,)
        except HeadgateError:
            return False  # a worker will say what is wrong
    return any(
        batching.choose(JobFacts(len(job.requests) or one.min_items, job.deadline_at), one, now).execution
        is Execution.BATCH
        for one in (rules[name] for name in asked if name in rules)
    )
