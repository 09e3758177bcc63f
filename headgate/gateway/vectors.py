"""Embeddings are kept one input at a time: a request that repeats some of its inputs asks for the others only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from headgate.cache_types import CachedAnswer, NotKept
from headgate.errors import StreamMalformed
from headgate.gateway.journey import Journey
from headgate.gateway.tickets import Inputs, Ticket
from headgate.policy import caching
from headgate.ports import CacheStore
from headgate.types import Usage
from headgate.wire import embedding_inputs
from headgate.wire.embedding_inputs import KeptVector

MOST_INPUTS = 2_048  # of a request that is taken apart


def inputs_of(journey: Journey, ticket: Ticket) -> Inputs | None:
    """The inputs, None for a request that is better taken as a whole."""
    call = journey.call
    try:
        texts = embedding_inputs.split(call.fields["input"])
    except (ValueError, RecursionError):
        return None
    if not 0 < len(texts) <= MOST_INPUTS:
        return None
    keys = [caching.part_key(ticket.question.partition, text) for text in texts]
    private = journey.setup.pii.private
    return Inputs(texts, keys, [caching.private(key, call, journey.caller) for key in keys] if private else [])


async def look(store: CacheStore, inputs: Inputs, may_be_given: Callable[[CachedAnswer], bool]) -> CachedAnswer | None:
    """The whole answer, if all of it is kept. What is found of it is noted."""
    kept = await store.get_all([*inputs.keys, *inputs.private_keys])
    if inputs.private_keys:
        half = len(inputs.keys)
        kept = [one or other for one, other in zip(kept[:half], kept[half:], strict=True)]
    places = [{*keys} for keys in zip(inputs.keys, inputs.private_keys or inputs.keys, strict=True)]
    given = {
        place: one
        for place, one in enumerate(kept)
        if one is not None and one.key in places[place] and may_be_given(one)  # made sure of, whatever a store does
    }
    if len({(one.origin, one.provider) for one in given.values()}) > 1:
        return None  # vectors of two deployments do not belong into one answer
    inputs.found = given
    if len(given) < len(inputs.keys):
        return None
    answers = list(given.values())
    vectors = [embedding_inputs.read_kept(one.body) for one in answers]
    return msgspec.structs.replace(
        answers[0],
        body=embedding_inputs.answer_of(vectors),
        cost_picousd=sum(one.cost_picousd for one in answers),
        usage=Usage(input=sum(one.usage.input for one in answers)),
        stored_at=min(one.stored_at for one in answers),
    )


def narrow(journey: Journey, inputs: Inputs) -> None:
    """Ask a provider for what is not there only, if the answer can come from where the rest came from alone."""
    model = journey.setup.models.get(journey.call.model)
    if not inputs.found or model is None or len(model.deployments) > 1 or model.spec.fallback:
        return
    inputs.asked = [place for place in inputs.asked if place not in inputs.found]
    raw = embedding_inputs.join([inputs.texts[place] for place in inputs.asked])
    journey.call = msgspec.structs.replace(journey.call, fields={**journey.call.fields, "input": raw})


def complete(inputs: Inputs, body: bytes) -> bytes:
    """The whole answer, out of what was found and what a provider has answered. Raises StreamMalformed."""
    if len(inputs.asked) == len(inputs.texts):
        return body
    try:
        answered = dict(zip(inputs.asked, embedding_inputs.read_vectors(body, len(inputs.asked)), strict=True))
        vectors = [answered.get(place) or _kept(inputs, place) for place in range(len(inputs.texts))]
        return embedding_inputs.with_vectors(body, vectors)
    except ValueError as error:
        raise StreamMalformed(f"The provider's answer cannot be read: {error}.") from None


def parts(answer: CachedAnswer, inputs: Inputs, body: bytes) -> Sequence[tuple[int, CachedAnswer]] | NotKept:
    """What is to be kept of a provider's answer, by the place of its input; `answer` is made of the whole of it."""
    try:
        vectors = embedding_inputs.read_vectors(body, len(inputs.texts))
    except ValueError:
        return NotKept.UNREADABLE
    asked = len(inputs.asked)
    share = msgspec.structs.replace(
        answer, cost_picousd=answer.cost_picousd // asked, usage=Usage(input=answer.usage.input // asked)
    )
    return [(place, _part(share, inputs.keys[place], vectors[place])) for place in inputs.asked]


def _part(share: CachedAnswer, key: bytes, vector: KeptVector) -> CachedAnswer:
    return msgspec.structs.replace(share, key=key, body=embedding_inputs.write_kept(vector))


def _kept(inputs: Inputs, place: int) -> KeptVector:
    return embedding_inputs.read_kept(inputs.found[place].body)
