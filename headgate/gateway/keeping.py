"""Keep: is a complete answer one to give again, and to whom?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from headgate.cache_types import CachedAnswer, NotKept
from headgate.gateway import saving, vectors
from headgate.gateway.journey import Journey
from headgate.gateway.tickets import Inputs, Ticket
from headgate.policy import caching
from headgate.policy.pii.rules import Scope
from headgate.ports import CacheStore, Clock
from headgate.wire import endings
from headgate.wire.speakers import speaker

if TYPE_CHECKING:
    from headgate.gateway.semantic import Semantic

MOST_AT_ONCE = 20_000  # characters of prompt and answer that are looked through in one go
LONGEST_TEXT = 200_000  # that is looked through at all
_NARROWEST_LAST = tuple(Scope)


class CacheObserver(Protocol):
    """Told what becomes of requests that were looked for and not found."""

    def missed(self) -> None: ...

    def kept(self) -> None: ...

    def not_kept(self, reason: NotKept) -> None: ...


class Keeper:
    """Puts answers into the store."""

    def __init__(self, store: CacheStore, clock: Clock, observer: CacheObserver) -> None:
        self._store = store
        self._clock = clock
        self._observer = observer
        self.semantic: Semantic | None = None  # who is told what may be found by its meaning
        self._deciding: set[asyncio.Task[None]] = set()

    def keep(self, journey: Journey, ticket: Ticket, body: bytes, tail: bytes) -> asyncio.Task[None] | None:
        """Keep an answer, if it may be. A long one is looked through in the background, by the task returned."""
        call = journey.call
        reason = _refuses(journey, ticket)
        ending = None
        if reason is None:
            try:
                ending = (endings.of_stream if call.stream else endings.of_whole)(call.route, body + tail)
            except (ValueError, RecursionError):
                reason = NotKept.UNREADABLE
            else:
                reason = caching.must_not_be_kept(call.route, ending)
        if reason is not None or ending is None:
            self._observer.not_kept(reason or NotKept.UNREADABLE)
            return None
        answer = self._answer(journey, ticket, body, tail)
        if ticket.inputs is not None:
            self._keep_vectors(journey, ticket.inputs, answer)
            return None
        asked, answered = speaker(call.route).prompt_texts(call), ending.texts
        lengths = [len(text) for text in (*asked, *answered)]
        if max(lengths, default=0) > LONGEST_TEXT:
            self._observer.not_kept(NotKept.TOO_LONG)
        elif sum(lengths) <= MOST_AT_ONCE:
            self._put(journey, answer, ticket, _scope(journey, asked, answered))
        else:
            task = asyncio.get_running_loop().create_task(self._look_on(journey, answer, ticket, asked, answered))
            self._deciding.add(task)
            task.add_done_callback(self._deciding.discard)
            return task
        return None

    def _keep_vectors(self, journey: Journey, inputs: Inputs, answer: CachedAnswer) -> None:
        """Each by itself; the words of one may be such that it must not be kept, those of the others not."""
        kept = vectors.parts(answer, inputs, answer.body)
        if isinstance(kept, NotKept):
            self._observer.not_kept(kept)
            return
        for place, part in kept:
            words = inputs.texts[place].decode()
            scope = Scope.NOTHING if len(words) > LONGEST_TEXT else _scope(journey, [words], [])
            if scope is Scope.NOTHING:
                self._observer.not_kept(NotKept.PRIVATE)
                continue
            key = inputs.private_keys[place] if scope is Scope.USER else part.key
            self._observer.kept()
            self._store.put(msgspec.structs.replace(part, key=key))

    async def finish(self) -> None:
        """Wait for what is decided in the background."""
        if self._deciding:
            await asyncio.wait(self._deciding)

    async def _look_on(
        self, journey: Journey, answer: CachedAnswer, ticket: Ticket, asked: Sequence[str], answered: Sequence[str]
    ) -> None:
        """Text after text, with others' turns between them."""
        scopes = [Scope.TENANT]
        for place in range(max(len(asked), len(answered))):
            scopes.append(_scope(journey, asked[place : place + 1], answered[place : place + 1]))
            await asyncio.sleep(0)
        self._put(journey, answer, ticket, max(scopes, key=_NARROWEST_LAST.index))

    def _put(self, journey: Journey, answer: CachedAnswer, ticket: Ticket, scope: Scope) -> None:
        if scope is Scope.NOTHING:
            self._observer.not_kept(NotKept.PRIVATE)
            return
        if scope is Scope.USER:
            answer = msgspec.structs.replace(answer, key=ticket.private_key)
        self._observer.kept()
        self._store.put(answer)
        if self.semantic is not None and scope is not Scope.USER:
            self.semantic.kept(journey, ticket, answer)

    def _answer(self, journey: Journey, ticket: Ticket, body: bytes, tail: bytes) -> CachedAnswer:
        call, caller, attempt, model = journey.call, journey.caller, journey.attempt, journey.model
        assert attempt is not None and model is not None, "there is an answer"
        spec, now = attempt.deployment.spec, self._clock.now()
        return CachedAnswer(
            key=ticket.question.key,
            request_id=call.id,
            tenant=caller.tenant,
            user=caller.user or call.user,
            model=call.model,
            prompt_version=call.prompt_version,
            route=str(call.route),
            stream=call.stream,
            answered_by=model.spec.name,
            origin=model.origins[spec.name],
            deployment=spec.name,
            provider=spec.provider,
            stored_at=now,
            expires_at=now + ticket.ttl_seconds,
            cost_picousd=journey.cost_picousd,
            body=body,
            tail=tail,
            usage=saving.usage_of(journey),
        )


def _refuses(journey: Journey, ticket: Ticket) -> NotKept | None:
    """Why an answer is not kept, whatever is in it."""
    attempt, model = journey.attempt, journey.model
    assert attempt is not None and model is not None, "there is an answer"
    if ticket.ttl_seconds <= 0:
        return NotKept.UNWANTED
    if model.spec.name not in journey.setup.caches[journey.call.model].models:
        return NotKept.OTHER_MODEL
    if journey.chosen is not None and model.spec.name in journey.chosen.choice.down:
        return NotKept.OTHER_MODEL  # what the router had chosen failed, or was too dear for this one caller
    return NotKept.DROPPED if attempt.dropped else None


def _scope(journey: Journey, asked: Sequence[str], answered: Sequence[str]) -> Scope:
    """For whom an answer may be kept. Of what was asked no more than a digest is kept."""
    from headgate.policy.pii.keeping import keep  # what looks for personal data takes a while to load

    user = journey.caller.user or journey.call.user
    return keep(journey.setup.pii, "", "\n".join(answered), user=user, context=asked).scope
