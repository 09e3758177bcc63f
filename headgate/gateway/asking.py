"""What a request needs at most, before it is sent: tokens of its prompt, a ceiling on its answer, and their price."""

from __future__ import annotations

import zlib

import msgspec

from headgate.gateway.applying import Applying
from headgate.gateway.cache_writes import cache_writes
from headgate.gateway.fleet import ServedModel
from headgate.gateway.journey import Hold, Journey
from headgate.gateway.preflight import estimate_prompt
from headgate.metering import Ask
from headgate.policy import pricing
from headgate.types import CacheControl, CacheMode, Call, Route

# Fewer are not worth asking for; 16 is also the least that OpenAI's Responses take.
LEAST_OUTPUT_TOKENS = 16
_WITHOUT_ANSWER = (Route.EMBEDDINGS, Route.COUNT_TOKENS)
_CONTENT_FIELDS = ("messages", "input", "prompt", "contents", "instructions", "system")


def needed(journey: Journey, applying: Applying, input_tokens: int | None = None) -> Ask:
    """What a routed request asks of its meters. `input_tokens` is the size of the prompt, if it was counted."""
    call, model = journey.call, journey.model
    assert model is not None, "the request was routed"
    repeated = fingerprint(call) if applying.looks_for_repeats else 0
    if not applying.counts_tokens:
        return Ask(0, 0, fingerprint=repeated)
    output_tokens, _ = ceiling(call, journey.lowered_to, model)
    if input_tokens is None:
        input_tokens = estimate_prompt(call, model.prompt_rules).tokens
    asked = ask(call, model, input_tokens=input_tokens, output_tokens=output_tokens)
    return msgspec.structs.replace(asked, fingerprint=repeated) if repeated else asked


def supposed(journey: Journey) -> Hold:
    """What a routed request would hold if a limit concerned it."""
    call, model = journey.call, journey.model
    assert model is not None, "the request was routed"
    output_tokens, _ = ceiling(call, journey.lowered_to, model)
    input_tokens = estimate_prompt(call, model.prompt_rules).tokens
    asked = ask(call, model, input_tokens=input_tokens, output_tokens=output_tokens)
    return Hold(asked, output_tokens, model)


def ceiling(call: Call, lowered_to: int | None, model: ServedModel) -> tuple[int, bool]:
    """The most tokens that one answer may have, and whether the provider has to be told, who knows no such limit."""
    if call.route in _WITHOUT_ANSWER:
        return 0, False
    told = lowered_to or call.max_output_tokens
    return model.output_ceiling if told is None else (told, False)


def ask(call: Call, model: ServedModel, *, input_tokens: int, output_tokens: int) -> Ask:
    """Priced as the dearest of the deployments that may answer."""
    if model.flat_price is not None:
        input_price, output_price = model.flat_price
        input_picousd = input_tokens * input_price
    else:
        written, for_an_hour = cache_writes(call, model, input_tokens)
        most = pricing.dearest(model.prices, input_tokens, for_an_hour=for_an_hour)
        input_picousd = (input_tokens - written) * most.input + written * most.cache_write
        output_price = most.output
    least = output_tokens if output_tokens < LEAST_OUTPUT_TOKENS else LEAST_OUTPUT_TOKENS
    return Ask(input_tokens, output_tokens, call.choices, input_picousd, output_price, least)


def again(call: Call, request_id: str, tags: tuple[str, ...]) -> Call:
    """A call once more, to compare answers: a request of its own, that no cache and no result of the first one answers.

    It has no part in what identifies the first one: its session, trace, idempotency key and appeal.
    """
    return msgspec.structs.replace(
        call,
        id=request_id,
        session=None,
        tags=tags,
        traceparent=None,
        appeal=None,
        cache=CacheControl(CacheMode.OFF),
        idempotency_key=None,
        is_repeatable=False,
    )


def fingerprint(call: Call) -> int:
    """Of what is asked, to notice the same request again; never 0."""
    value = zlib.crc32(call.model.encode())
    for name in _CONTENT_FIELDS:
        if name in call.fields:
            value = zlib.crc32(bytes(call.fields[name]), value)
    return value or 1
