"""Look up: is there an answer to a question that means the same?

Whether one is near enough is decided by `policy.semantic`; this embeds the question, finds its neighbours, and feeds
what turns out later back into the decision. Only plain text is looked for: what a user message says, in its context.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Protocol

from headgate.cache_types import CachedAnswer, CacheScope, SemanticRules, Sharing
from headgate.errors import EmbedderUnavailable
from headgate.gateway.embedded import booked_on
from headgate.gateway.journey import Journey
from headgate.gateway.semantic_checks import Checks, Comparison, said_by
from headgate.gateway.semantic_memory import Asked, Dropped, Entered, Learned, Left, Notes, Scope, SemanticMemory
from headgate.gateway.tickets import Ticket
from headgate.metering import EmbeddingUse
from headgate.policy.semantic.partition import Decision, Settings, Verified
from headgate.policy.semantic.sketch import sketch
from headgate.policy.semantic.switch import Switch
from headgate.ports import CacheStore, Clock, Embedder, Vector
from headgate.vector_ports import EntryLog
from headgate.wire import texts

LEAST_SIMILARITY = 0.6  # of a candidate that is worth a comparison after a miss: what is farther away teaches nothing
MOST_TRIES = 3  # entries whose answers are not there any more, until a question is a miss
CHECKS_AT_ONCE = 16  # beyond, a comparison is left out
LATE_AT_ONCE = 100  # beyond, a vector that comes too late is given up

log = logging.getLogger(__name__)

MayBeGiven = Callable[[CachedAnswer], bool]


class SemanticObserver(Protocol):
    """Told what becomes of questions that were looked for."""

    def decided(self, model: str, reason: str) -> None:
        """`reason` is served, or why not: a guard's name, unsure, off, nothing_near, unavailable, refuted ..."""

    def verified(self, model: str, *, served: bool, correct: bool) -> None:
        """An answer was compared with a fresh one: one that was served, or one that would have been the best."""

    def switched(self, scope: Scope, switch: Switch) -> None:
        """A scope serves no more, or again."""


class Semantic:
    """One process's look-up by meaning. Notes of all replicas come in through `apply`."""

    def __init__(
        self,
        memory: SemanticMemory,
        embedder: Embedder,
        store: CacheStore,
        clock: Clock,
        checks: Checks,
        observer: SemanticObserver,
    ) -> None:
        self.memory = memory
        self._embedder = embedder
        self._store = store
        self._clock = clock
        self._checks = checks
        self._observer = observer
        self._notes = Notes()
        self._log: EntryLog | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._late: set[asyncio.Task[list[Vector]]] = set()  # vectors that nobody waits for any more

    def connect(self, entry_log: EntryLog) -> None:
        """Where notes go. They come back through `apply`."""
        self._log = entry_log

    def apply(self, data: bytes) -> None:
        """A note of this process or another one. What cannot be read is passed over."""
        try:
            note = self._notes.read(data)
            switch = self.memory.apply(note)
        except ValueError:
            log.warning("a note of another release about the semantic cache was passed over")
            return
        is_news = self._log is not None and self._log.is_current  # what happened before was told then
        if switch is not None and isinstance(note, Learned) and is_news:
            self._observer.switched(note.scope, switch)

    def forget(self, scope: CacheScope) -> None:
        """Answers were dropped: what is known of their questions goes too, in all processes."""
        self._tell(self._notes.write(Dropped(scope.tenant, scope.model, scope.prompt_version, scope.user)))

    async def aclose(self) -> None:
        """Give up comparisons that are under way."""
        tasks = [*self._running, *self._late]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- a request on its way ---

    async def look_up(self, journey: Journey, ticket: Ticket, may_be_given: MayBeGiven) -> CachedAnswer | None:
        """An answer to a question that means the same, or None. What is learned about the question is on the ticket."""
        rules = journey.setup.caches[journey.call.model].semantic
        if rules is None or (text := _text(ticket, rules)) is None:
            return None
        model, (stored, marker) = journey.call.model, _as_stored(journey, text)
        vector = await self._embed(journey, stored, rules)
        if vector is None:
            self._observer.decided(model, "unavailable")
            return None
        question, scope = sketch(stored), _scope(journey, ticket, rules)
        partition = ticket.question.partition.hex() + marker
        for _ in range(MOST_TRIES):
            decision, nearest = self.memory.ask(scope, partition, vector, question, self._clock.random.random())
            ticket.asked = Asked(scope, partition, text, question, vector, decision, nearest)
            if not decision.serve:
                break
            kept = await self._kept(decision)
            if kept is None:
                continue
            if not may_be_given(kept) or self._clock.now() - kept.stored_at > rules.ttl_seconds:
                break
            if rules.verifier and not await self._checks.still_applies(journey.caller, rules.verifier, text, kept):
                self._observer.decided(model, "refuted")
                return None
            self._observer.decided(model, "served")
            return kept
        self._observer.decided(model, "gone" if decision.serve else decision.reason)
        return None

    def kept(self, journey: Journey, ticket: Ticket, kept: CachedAnswer) -> None:
        """The answer of a request that found none is kept: the next question may be near to this one."""
        asked = ticket.asked
        if asked is None or kept.key != ticket.question.key:
            return  # it was not looked for, or is for one user alone
        key = kept.key.hex()
        entered = Entered(
            asked.scope, asked.partition, key, asked.vector, asked.question, asked.nearest, kept.tenant, kept.user
        )  # fmt: skip
        self._tell(self._notes.write(entered))
        decision, evidence = asked.decision, asked.decision.evidence
        if decision.verify and not decision.serve and evidence and evidence.similarity >= LEAST_SIMILARITY:
            self._run(self._learn_from_miss(journey, asked, kept))

    def served(self, journey: Journey, ticket: Ticket, kept: CachedAnswer) -> None:
        """An answer was given. Now and then a provider is asked too, and the two are compared."""
        asked = ticket.asked
        if asked is not None and asked.decision.verify:
            self._run(self._learn_from_hit(journey, asked, kept))

    # --- parts ---

    async def _embed(self, journey: Journey, text: str, rules: SemanticRules) -> bytes | None:
        """What a provider takes for it is booked as an attempt of the request. What comes too late has been paid for
        too: it is a row of its own."""
        waits, booked = True, booked_on(journey)

        def used(use: EmbeddingUse) -> None:
            (booked if waits else self._checks.embedded)(use)

        asked = asyncio.get_running_loop().create_task(self._embedder.embed([text], used))
        try:
            async with asyncio.timeout(rules.wait_seconds):
                (vector,) = await asyncio.shield(asked)
                return vector
        except (EmbedderUnavailable, TimeoutError) as error:
            log.debug("a question was not embedded: %r", error)
            return None
        finally:
            waits = False
            if not asked.done():
                self._await_late(asked)

    def _await_late(self, asked: asyncio.Task[list[Vector]]) -> None:
        if len(self._late) >= LATE_AT_ONCE:
            asked.cancel()
        self._late.add(asked)
        asked.add_done_callback(self._late.discard)
        asked.add_done_callback(lambda late: late.cancelled() or late.exception())

    async def _kept(self, decision: Decision) -> CachedAnswer | None:
        """The answer of the best candidate. One that is not there any more is forgotten, by all."""
        assert decision.evidence is not None, "there is a candidate"
        kept = await self._store.get(bytes.fromhex(decision.evidence.entry))
        if kept is None and self._log is not None and self._log.healthy:  # else the answers may only be out of reach
            left = Left(decision.evidence.entry)
            self.memory.apply(left)
            self._tell(self._notes.write(left))
        return kept

    async def _learn_from_miss(self, journey: Journey, asked: Asked, fresh: CachedAnswer) -> None:
        evidence = asked.decision.evidence
        assert evidence is not None, "there is a candidate"
        cached = await self._kept(asked.decision)
        if cached is not None and cached.key != fresh.key:
            correct = await self._compare(journey, asked, said_by(fresh), cached)
            if correct is not None:
                self._learned(journey, asked, Verified(evidence, correct, fresh.key.hex()))

    async def _learn_from_hit(self, journey: Journey, asked: Asked, cached: CachedAnswer) -> None:
        evidence = asked.decision.evidence
        assert evidence is not None, "there is a candidate"
        said = await self._checks.ask_again(journey.caller, journey.call, cached.answered_by)
        if said:
            correct = await self._compare(journey, asked, said, cached)
            if correct is not None:
                self._learned(journey, asked, Verified(evidence, correct))

    async def _compare(self, journey: Journey, asked: Asked, fresh: str, cached: CachedAnswer) -> bool | None:
        rules, kept = journey.setup.caches[journey.call.model].semantic, said_by(cached)
        if rules is None or not fresh or not kept:
            return None
        return await self._checks.agree(journey.caller, rules.judge, Comparison(asked.text, fresh, kept))

    def _learned(self, journey: Journey, asked: Asked, verified: Verified) -> None:
        self._observer.verified(journey.call.model, served=not verified.entered, correct=verified.correct)
        self._tell(self._notes.write(Learned(asked.scope, verified)))

    def _tell(self, note: bytes) -> None:
        if self._log is not None:
            self._log.write(note)

    def _run(self, work: Coroutine[object, object, None]) -> None:
        """In the background, unless too much is going on there already."""
        if len(self._running) >= CHECKS_AT_ONCE:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("an answer of the semantic cache was not compared: %r", error, exc_info=error)


def _text(ticket: Ticket, rules: SemanticRules) -> str | None:
    """What is asked, if it may be looked for by its meaning."""
    question = ticket.question
    if not question.message or not (question.is_single_turn or rules.any_turn):
        return None
    try:
        text = texts.of_question(question.message)
    except ValueError:
        return None
    return text if text and text.strip() and len(text) <= rules.max_characters else None


def _as_stored(journey: Journey, text: str) -> tuple[str, str]:
    """A question without what is to be redacted, and a digest of that: only questions with the same are compared."""
    if not journey.setup.pii.redact:
        return text, ""
    from headgate.policy.pii.keeping import question_marker  # what looks for personal data takes a while to load

    return question_marker(journey.setup.pii, text)


def _scope(journey: Journey, ticket: Ticket, rules: SemanticRules) -> Scope:
    call = journey.call
    tenant = "" if ticket.rules.share is Sharing.EVERYBODY else journey.caller.tenant
    return Scope(tenant, call.model, call.prompt_version or "", Settings(rules.bound, rules.shadow_share))
