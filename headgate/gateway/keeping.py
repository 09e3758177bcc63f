"""Keep: is a complete answer one to give again, and to whom?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import msgspec

from headgate.cache_types import CachedAnswer, Ending, NotKept
from headgate.gateway.journey import Journey, Ticket
from headgate.policy import caching
from headgate.policy.pii.rules import Scope
from headgate.ports import CacheStore, Clock
from headgate.wire import endings
from headgate.wire.speakers import speaker

if TYPE_CHECKING:
    from headgate.policy.pii.keeping import Keep

MOST_CHARACTERS = 20_000  # of prompt and answer that are looked through on the event loop


class CacheObserver(Protocol):
    """Told what becomes of requests that were looked for."""

    def found(self, kind: str, saved_picousd: int) -> None:
        """An answer was there; `kind` is exact, semantic or coalesced."""

    def missed(self) -> None: ...

    def kept(self) -> None: ...

    def not_kept(self, reason: NotKept) -> None: ...


class Keeper:
    """Puts answers into the store."""

    def __init__(self, store: CacheStore, clock: Clock, observer: CacheObserver) -> None:
        self._store = store
        self._clock = clock
        self._observer = observer
        self._deciding: set[asyncio.Task[None]] = set()

    def keep(self, journey: Journey, ticket: Ticket, body: bytes, tail: bytes) -> None:
        """Keep an answer, if it may be. A long one is looked through in the background."""
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
            return
        answer = self._answer(journey, ticket, body, tail)
        asked = _asked(journey)
        if sum(map(len, (*asked, *ending.texts))) > MOST_CHARACTERS:
            task = asyncio.get_running_loop().create_task(self._decide_apart(journey, answer, ticket, asked, ending))
            self._deciding.add(task)
            task.add_done_callback(self._deciding.discard)
        else:
            self._put(answer, ticket, _decide(journey, asked, ending))

    async def finish(self) -> None:
        """Wait for what is decided in the background."""
        if self._deciding:
            await asyncio.wait(self._deciding)

    async def _decide_apart(
        self, journey: Journey, answer: CachedAnswer, ticket: Ticket, asked: list[str], ending: Ending
    ) -> None:
        self._put(answer, ticket, await asyncio.to_thread(_decide, journey, asked, ending))

    def _put(self, answer: CachedAnswer, ticket: Ticket, decision: Keep) -> None:
        if decision.scope is Scope.NOTHING:
            self._observer.not_kept(NotKept.PRIVATE)
            return
        if decision.scope is Scope.USER:
            answer = msgspec.structs.replace(answer, key=ticket.private_key)
        self._observer.kept()
        self._store.put(answer)

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
        )


def _refuses(journey: Journey, ticket: Ticket) -> NotKept | None:
    """Why an answer is not kept, whatever is in it."""
    attempt, model = journey.attempt, journey.model
    assert attempt is not None and model is not None, "there is an answer"
    if ticket.ttl_seconds <= 0:
        return NotKept.UNWANTED
    if model.spec.name not in journey.setup.caches[journey.call.model].models:
        return NotKept.OTHER_MODEL
    return NotKept.DROPPED if attempt.dropped else None


def _asked(journey: Journey) -> list[str]:
    call = journey.call
    return speaker(call.route).prompt_texts(call)


def _decide(journey: Journey, asked: list[str], ending: Ending) -> Keep:
    """What the rules for personal data say. Of the question no more than a digest is kept."""
    from headgate.policy.pii.keeping import keep  # what looks for it takes a while to load

    user = journey.caller.user or journey.call.user
    return keep(journey.setup.pii, "", "\n".join(ending.texts), user=user, context=asked)
