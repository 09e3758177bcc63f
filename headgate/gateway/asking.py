"""What a request needs at most, before it is sent: tokens of its prompt, a ceiling on its answer, and their price."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from headgate.gateway.fleet import DEFAULT_MAX_OUTPUT_TOKENS, Deployment, ServedModel
from headgate.metering import Ask
from headgate.policy import pricing
from headgate.types import Call, Route

# Fewer are not worth asking for; 16 is also the least that OpenAI's Responses take.
LEAST_OUTPUT_TOKENS = 16
_WITHOUT_ANSWER = (Route.EMBEDDINGS, Route.COUNT_TOKENS)
_CACHE_MARKS = (b"cache_control", b"cachePoint")
_MARKED_FIELDS = ("system", "tools", "messages", "cache_control")
_CONTENT_FIELDS = ("messages", "input", "prompt", "contents", "instructions", "system")


def ceiling(call: Call, lowered_to: int | None, model: ServedModel) -> tuple[int, bool]:
    """The most tokens that one answer may have, and whether the provider has to be told, who knows no such limit."""
    if call.route in _WITHOUT_ANSWER:
        return 0, False
    told = lowered_to or call.max_output_tokens
    if told is not None:
        return told, False
    known = [deployment.spec.capabilities.max_output_tokens for deployment in model.deployments]
    limits = [limit for limit in known if limit is not None]
    if len(limits) == len(known) and limits:
        return max(limits), False
    return max([*limits, DEFAULT_MAX_OUTPUT_TOKENS]), True


def ask(call: Call, deployments: Iterable[Deployment], *, input_tokens: int, output_tokens: int) -> Ask:
    """Priced as the dearest of the deployments that may answer."""
    marked = any(
        mark in bytes(call.fields[name]) for name in _MARKED_FIELDS if name in call.fields for mark in _CACHE_MARKS
    )
    input_price = output_price = 0
    for deployment in deployments:
        if deployment.spec.price is not None:
            dearest = pricing.dearest(deployment.spec.price, input_tokens, writes_cache=marked)
            input_price, output_price = max(input_price, dearest[0]), max(output_price, dearest[1])
    return Ask(
        input_tokens,
        output_tokens,
        choices=call.choices,
        input_picousd=input_tokens * input_price,
        output_price=output_price,
        least_output_tokens=min(LEAST_OUTPUT_TOKENS, output_tokens),
    )


def _is_marked(raw: bytes) -> bool:
    return any(mark in raw for mark in _CACHE_MARKS)


def fingerprint(call: Call) -> int:
    """Of what is asked, to notice the same request again; never 0."""
    value = zlib.crc32(call.model.encode())
    for name in _CONTENT_FIELDS:
        if name in call.fields:
            value = zlib.crc32(bytes(call.fields[name]), value)
    return value or 1
