"""What a provider was paid for embedding texts, as the ledger has it: an attempt of the request that it was for, or a
row of its own where there is none."""

from __future__ import annotations

from headgate.gateway.journey import OURSELVES, Journey
from headgate.metering import EmbeddingUse
from headgate.ports import Used
from headgate.types import AttemptRecord, Outcome, RequestRecord, Route

TAG = "headgate-embedding"


def booked_on(journey: Journey) -> Used:
    """Books what is used on a request under way."""
    return lambda use: journey.attempts.append(_attempt(use, journey.call.id, journey.attempts_made + 1))


def row(use: EmbeddingUse) -> RequestRecord:
    """The ledger's row of texts that headgate embedded for itself. Its tenant is headgate."""
    return RequestRecord(
        id=use.id,
        started_at=use.started_at,
        tenant=OURSELVES,
        user=None,
        key_id=OURSELVES,
        route=Route.EMBEDDINGS,
        dialect="openai",
        model=use.model,
        stream=False,
        outcome=Outcome.DONE,
        status=200,
        deployment=f"{use.provider}/{use.model}",
        provider=use.provider,
        upstream_model=use.model,
        tags=(TAG,),
        usage=use.usage,
        cost_picousd=use.cost_picousd,
        price_version=use.price_version,
        e2e_seconds=use.seconds,
        attempts=(_attempt(use, use.id, 1),),
    )


def _attempt(use: EmbeddingUse, request_id: str, number: int) -> AttemptRecord:
    return AttemptRecord(
        id=use.id if use.id != request_id else f"{request_id}.{number}",
        request_id=request_id,
        number=number,
        started_at=use.started_at,
        deployment=f"{use.provider}/{use.model}",
        provider=use.provider,
        endpoint=use.endpoint,
        upstream_model=use.model,
        key_fingerprint=use.key_fingerprint,
        outcome=Outcome.DONE,
        status=200,
        usage=use.usage,
        cost_picousd=use.cost_picousd,
        price_version=use.price_version,
        seconds=use.seconds,
    )
