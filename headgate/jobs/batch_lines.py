"""What a line of a provider's batch comes to: the ledger's row, and what becomes of its item."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headgate.errors import InvalidRequest
from headgate.gateway.fleet import Deployment
from headgate.job_types import ItemEnd, ItemState
from headgate.jobs.calls import body_of, call_of
from headgate.policy import pricing
from headgate.policy.retrying import is_retryable_status
from headgate.provider_batch_types import BatchLine, Handover, LineEnd, LineResult, ProviderBatch, Taken
from headgate.types import AttemptRecord, Call, Frozen, Outcome, Price, RequestRecord, Usage
from headgate.wire import openai
from headgate.wire.speakers import speaker
from headgate.wire.translation import Ask

_REJECTED = "upstream_rejected"
_INPUT = {"responses": "input", "embed": "input"}  # of kinds whose requests have no messages


class Surroundings(Frozen, frozen=True):
    """What the lines of one batch have in common. `now` is Unix seconds."""

    batch: ProviderBatch
    deployment: Deployment
    price: Price | None
    config_hash: str
    now: float


class Booked(Frozen, frozen=True):
    """What came of one line."""

    end: ItemEnd
    record: RequestRecord


def handover_of(batch: ProviderBatch, around: Surroundings, taken: Sequence[Taken]) -> Handover:
    """Raises InvalidRequest or Untranslatable for the first item that cannot be put to the provider."""
    route = call_of(batch.kind, taken[0].request, "", batch.user_name).route
    api = around.deployment.dialogues[route].api
    lines = tuple(line_of(one, around) for one in taken)
    return Handover(batch.id, api, around.deployment.spec.upstream_model, lines)


def line_of(taken: Taken, around: Surroundings) -> BatchLine:
    """A request as its provider's API takes it. Raises InvalidRequest or Untranslatable."""
    call, ask = _call(taken, around), _ask(around)
    if call.model != around.batch.model:
        raise InvalidRequest(f"Its items ask for '{around.batch.model}' and for '{call.model}'.", param="model")
    return BatchLine(taken.request_id, around.deployment.dialogues[call.route].ask(call, ask).body)


def booked(taken: Taken, result: LineResult, around: Surroundings) -> Booked:
    """What a line that the provider has done with comes to."""
    if result.end is LineEnd.ANSWERED:
        return _answered(taken, result, around)
    return _failed(taken, around, openai.error_message(result.body), result.status)


def given_back(taken: Taken, now: float, *, may_be_paid: bool = False) -> ItemEnd:
    """The item of a line that was not done, or of which nothing is known: that is not its fault."""
    return ItemEnd(taken.job_id, taken.number, taken.token, ItemState.RETRYING, next_at=now, may_be_paid=may_be_paid)


def batch_price(deployment: Deployment, discount: float) -> Price | None:
    """What a token costs in a batch: as the price list says, else the usual price less the discount."""
    price = deployment.spec.price
    if price is None or price.batch is not None:
        return None if price is None else price.batch
    share = 1.0 - discount

    def less(amount: int | None) -> int | None:
        return None if amount is None else round(amount * share)

    return msgspec.structs.replace(
        price,
        input=round(price.input * share),
        output=round(price.output * share),
        cached_input=less(price.cached_input),
        reasoning=less(price.reasoning),
        cache_write=less(price.cache_write),
        cache_write_1h=less(price.cache_write_1h),
        long_context=None
        if price.long_context is None
        else msgspec.structs.replace(
            price.long_context,
            price=msgspec.structs.replace(
                price.long_context.price,
                input=round(price.long_context.price.input * share),
                output=round(price.long_context.price.output * share),
                cached_input=less(price.long_context.price.cached_input),
            ),
        ),
        version=f"{price.version}-batch",
    )


def _answered(taken: Taken, result: LineResult, around: Surroundings) -> Booked:
    call = _call(taken, around)
    try:
        answer = around.deployment.dialogues[call.route].read_whole(call, _ask(around), result.body)
    except ValueError as error:
        return _failed(taken, around, f"The provider's answer cannot be read: {error}.", 502)
    if answer.failed or answer.empty:
        return _failed(taken, around, answer.failed or "The provider answered with nothing.", 502)
    body = result.body if answer.body is None else answer.body
    end = ItemEnd(taken.job_id, taken.number, taken.token, ItemState.SUCCEEDED, body)
    return Booked(end, _record(taken, around, call, (Outcome.DONE, 200, ""), answer.usage or Usage()))


def _failed(taken: Taken, around: Surroundings, words: str, status: int) -> Booked:
    """What may go better another time is done live; what the provider calls wrong stays so."""
    again = status == 0 or is_retryable_status(status)
    end = ItemEnd(
        taken.job_id,
        taken.number,
        taken.token,
        ItemState.RETRYING if again else ItemState.FAILED,
        error_code=_REJECTED,
        error=f"in the provider's batch: {words}",
        next_at=around.now,
        counts_as_retry=again,
    )
    outcome = Outcome.FAILED if again else Outcome.REJECTED
    return Booked(end, _record(taken, around, _call(taken, around), (outcome, status or 502, _REJECTED), Usage()))


def _record(
    taken: Taken, around: Surroundings, call: Call, ended: tuple[Outcome, int, str], usage: Usage
) -> RequestRecord:
    batch, spec, (outcome, status, error) = around.batch, around.deployment.spec, ended
    cost = pricing.cost_picousd(usage, around.price) if around.price is not None else 0
    version = around.price.version if around.price is not None else "free"
    seconds = max(0.0, around.now - batch.sent_at)
    attempt = AttemptRecord(
        id=f"{taken.request_id}.1",
        request_id=taken.request_id,
        number=1,
        started_at=batch.sent_at,
        deployment=spec.name,
        provider=spec.provider,
        endpoint=spec.endpoints[0],
        upstream_model=spec.upstream_model,
        key_fingerprint=batch.key_fingerprint,
        outcome=outcome,
        status=status,
        error=error,
        upstream_id=batch.provider_id,
        usage=usage,
        cost_picousd=cost,
        price_version=version,
        seconds=seconds,
    )
    return RequestRecord(
        id=taken.request_id,
        started_at=batch.sent_at,
        tenant=batch.tenant,
        user=batch.user_name,
        key_id=batch.key_id,
        route=str(call.route),
        dialect=speaker(call.route).family,
        model=batch.model,
        stream=False,
        outcome=outcome,
        status=status,
        error=error,
        deployment=spec.name,
        provider=spec.provider,
        upstream_model=spec.upstream_model,
        usage=usage,
        cost_picousd=cost,
        price_version=version,
        config_hash=around.config_hash,
        e2e_seconds=seconds,
        bytes_in=call.body_bytes,
        attempts=(attempt,),
    )


def _call(taken: Taken, around: Surroundings) -> Call:
    """Of a request that was erased only that it was one: it is paid for all the same."""
    batch = around.batch
    erased = {"model": batch.model, _INPUT.get(batch.kind, "messages"): []}
    return call_of(batch.kind, taken.request or body_of(erased), taken.request_id, batch.user_name)


def _ask(around: Surroundings) -> Ask:
    return Ask(around.deployment.target, None, False, int(around.now))
