"""The corridor: what happens to a request, top to bottom.

    authenticate -> look up -> route -> admit -> dispatch -> settle

Knows nothing of HTTP: the edge, and later job workers, WebSockets, the batch API and the simulator, all come in through
`Pipeline.handle`. Every decision is made by a pure function in `policy/`; every effect goes through a port.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from headgate.errors import (
    Draining,
    FeatureNotAllowed,
    HeadgateError,
    InternalError,
    InvalidRequest,
    ModelNotFound,
    RouteNotServed,
    TotalTimeout,
)
from headgate.gateway.admission import Admissions
from headgate.gateway.answers import Answer
from headgate.gateway.blaming import outcome_of
from headgate.gateway.cache import Cache
from headgate.gateway.choosing import Choosing
from headgate.gateway.dispatch import Dispatcher
from headgate.gateway.escalating import Escalating
from headgate.gateway.events import EventLog
from headgate.gateway.fleet import ServedModel, Setup
from headgate.gateway.idempotency import Idempotency, is_a_result
from headgate.gateway.journey import Journey
from headgate.gateway.patience import Patience
from headgate.gateway.settling import Settler
from headgate.gateway.watchdog import Deadlines, Watchdog
from headgate.policy import access, pricing
from headgate.policy.access import Denial
from headgate.ports import Clock, Take
from headgate.types import CacheMode, Call, Caller, Features, Outcome, RequestRecord, Route
from headgate.wire import sse
from headgate.wire.messages.call import write_count
from headgate.wire.speakers import speaker
from headgate.writing import Batch

ALL_FEATURES = Features(tools=True, images=True)
NO_FEATURES = Features()
DETACHED_LOG_BYTES = 4_000_000


class Stream:
    """A stream on its way to the client, settled before its end is shown."""

    __slots__ = ("_attempt", "_epoch", "_journey", "_over", "_pipeline", "log")

    def __init__(self, pipeline: Pipeline, journey: Journey) -> None:
        assert journey.attempt is not None, "there is an answer"
        self._pipeline = pipeline
        self._journey = journey
        self._attempt = journey.attempt
        self._over = False
        self.log = EventLog(DETACHED_LOG_BYTES) if journey.setup.on_disconnect == "detach" else None
        self._epoch = self.log.claim() if self.log is not None else 0

    async def relay(self, take: Take) -> bool:
        """As `Answer.relay`."""
        journey, pipeline = self._journey, self._pipeline
        if self._over:
            return True
        try:
            if not await self._attempt.relay(self._noting(take)):
                return False
            if not self._attempt.saw_done:
                pipeline.missing_done(self._attempt.deployment.spec.name)
            if journey.keyed is not None:
                await pipeline.idempotency.finished(journey, b"", self._attempt.tail)
            await pipeline.settle(journey, Outcome.DONE)
            if journey.keyed is not None:
                pipeline.idempotency.answered(journey, b"", self._attempt.tail)
            if journey.ticket is not None:
                pipeline.cache.answered(journey, b"", self._attempt.tail)
            cost = pricing.format_usd(journey.cost_picousd)
            last = sse.comment(f"x-headgate-cost-usd={cost}") + self._attempt.tail
        except HeadgateError as error:
            if journey.ticket is not None:
                pipeline.cache.left(journey, error)
            last = speaker(journey.call.route).error_event(error, journey.call.id)
            keyed = journey.keyed if is_a_result(error) else None
            if keyed is not None:
                await pipeline.idempotency.finished(journey, b"", last)
            await pipeline.settle(journey, outcome_of(error), error)
            if keyed is not None:
                pipeline.idempotency.answered(journey, b"", error=error)
            error.__traceback__ = None  # or the journey would know its frames, and they the journey
        self._over = True
        if self.log is not None:
            self.log.append(self._epoch, last)
            self.log.close(self._epoch, journey.error)
        take(last)
        return True

    def _noting(self, take: Take) -> Take:
        """Notes what goes to the client, for one who comes back, and for those who asked the same."""
        log, epoch = self.log, self._epoch
        ticket, keyed = self._journey.ticket, self._journey.keyed
        if log is None and ticket is None and keyed is None:
            return take
        flights = [one.flight for one in (ticket, keyed) if one is not None and one.flight is not None]
        ahead_bytes = 0

        def noting(piece: bytes) -> bool:
            nonlocal ahead_bytes
            if log is not None:
                log.append(epoch, piece)
            for flight in flights:
                flight.write(piece)
            if take(piece):
                ahead_bytes = 0
                return True
            ahead_bytes += len(piece)
            return any(flight.goes_on(ahead_bytes) for flight in flights)

        return noting


class Passage:
    """One call's way through the corridor. Entering takes it to its answer, leaving settles it, exactly once.

    Use: `async with pipeline.handle(caller, call) as answer`. Entering raises HeadgateError when there is no answer to
    show. Leaving before the last event counts as a client that went away.
    """

    __slots__ = ("_journey", "_pipeline")

    def __init__(self, pipeline: Pipeline, journey: Journey) -> None:
        self._pipeline = pipeline
        self._journey = journey

    @property
    def cost_picousd(self) -> int:
        """What the caller has to pay for it, once it was left or could not be entered."""
        return self._journey.cost_picousd

    async def __aenter__(self) -> Answer:
        pipeline, journey = self._pipeline, self._journey
        pipeline.under_way[journey] = None
        try:
            # authenticate: the caller comes authenticated (accounts.py)
            pipeline.identify(journey)
            if (answer := await pipeline.look_up(journey)) is not None:
                return answer
            if (router := journey.router) is None:
                pipeline.route(journey, journey.setup.models[journey.call.model])
            else:
                pipeline.route(journey, await pipeline.choosing.route(journey, router))
            await pipeline.admit(journey)
            if journey.counts_tokens_here:
                return await pipeline.counted_answer(journey)
            await pipeline.dispatcher.dispatch(journey)
            if journey.chosen is not None:
                await pipeline.escalating.improve(journey)
            if journey.call.stream:
                return pipeline.stream_answer(journey)
            if journey.ticket is not None:
                pipeline.cache.complete(journey)
            if journey.keyed is not None and journey.attempt is not None:
                await pipeline.idempotency.finished(journey, journey.attempt.body)
            await pipeline.settle(journey, Outcome.DONE)
            return pipeline.whole_answer(journey)
        except BaseException as error:
            await self._leave(error)
            raise

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        await self._leave(error)

    async def _leave(self, error: BaseException | None) -> None:
        pipeline, journey = self._pipeline, self._journey
        pipeline.under_way.pop(journey, None)
        if journey.ticket is not None:
            pipeline.cache.left(journey, error)
        if journey.keyed is not None:
            pipeline.idempotency.left(journey, error)
        if journey.is_settled:
            return
        if isinstance(error, HeadgateError):
            error.attempts = journey.attempts_told()
            await pipeline.settle(journey, outcome_of(error), error)
        elif isinstance(error, Exception):
            await pipeline.settle(journey, Outcome.FAILED, InternalError(f"headgate failed: {type(error).__name__}."))
        else:
            await pipeline.settle(journey, Outcome.DISCONNECTED)


class Pipeline:
    """One process's corridor, made inside its event loop.

    `setup` is replaced as a whole by a reload; requests under way keep theirs.
    """

    def __init__(
        self,
        setup: Setup,
        clock: Clock,
        settler: Settler,
        admissions: Admissions,
        looking: tuple[Cache, Idempotency],
        choosing: Choosing,
    ) -> None:
        self.setup = setup
        self.under_way: dict[Journey, None] = {}  # in the order of arrival
        self._deadlines = Deadlines(asyncio.get_running_loop(), clock.monotonic)
        self._patience = Patience()
        self._clock = clock
        self._settler = settler
        self._admissions = admissions
        self.cache, self.idempotency = looking
        # told of every request of a router, when it was answered
        self.routed: Callable[[Journey], None] = lambda journey: None
        # told the deployment of a stream that was complete but for its [DONE]
        self.missing_done: Callable[[str], None] = lambda deployment: None
        self.dispatcher = Dispatcher(clock, settler, admissions)
        self.choosing = choosing
        choosing.embedded = settler.embedded
        self.escalating = Escalating(self.dispatcher, admissions, settler, self.choosing)

    # --- from outside ---

    @property
    def in_flight(self) -> int:
        """Requests between arrival and settlement."""
        return len(self.under_way)

    def handle(self, caller: Caller, call: Call, batch: Batch | None = None) -> Passage:
        """Take an authenticated call through the corridor. It is booked when there is an answer.

        With `batch` it is booked with others before the batch is sent, which is less work. Then the answer, or the
        error, must be written to it before anything is awaited, with what to send instead if it cannot be booked.
        """
        journey = self._journey(caller, call)
        journey.batch = batch
        return Passage(self, journey)

    def refuse(self, caller: Caller, call: Call, error: HeadgateError) -> None:
        """Record a request that was refused before it could become a call: its body could not be read, say."""
        journey = self._journey(caller, call)
        journey.ends(Outcome.REFUSED, error)
        self._settler.record(journey)

    async def take_back(self, caller: Caller, record: RequestRecord) -> None:
        """As `Admissions.take_back`."""
        await self._admissions.take_back(caller, record)

    def undelivered(self, request_id: str) -> None:
        """The last write of a settled answer did not reach the client."""
        self._settler.undelivered(request_id)

    def interrupt(self, error: Callable[[], Draining]) -> None:
        """End every request still under way with a typed error of its own."""
        for journey in list(self.under_way):
            if journey.watchdog is not None:
                journey.watchdog.interrupt(error())
            else:
                self._patience.end(journey, error())

    # --- the steps ---

    def identify(self, journey: Journey) -> None:
        """Make sure that there is what is asked for, and that the caller's tier lets the request have it."""
        call, tier = journey.call, journey.caller.tier
        model = journey.setup.models.get(call.model)
        used = (
            NO_FEATURES if tier.features == ALL_FEATURES else speaker(call.route).features(call)
        )  # looking for images takes time
        decision = access.decide(tier, call, used)
        journey.router = router = journey.setup.routers.get(call.model) if model is None else None
        if (model is None and router is None) or decision.denied is Denial.MODEL:
            raise ModelNotFound(
                f"The model '{call.model}' does not exist or your key may not use it. GET /v1/models lists yours.",
                param="model",
            )
        if decision.denied is not None:
            raise FeatureNotAllowed(
                f"Your key may not send {decision.denied}: {decision.reason}.", param=decision.denied
            )
        if model is None:  # which of the router's models serve it is for the router
            servable = call.route is not Route.EMBEDDINGS  # vectors of different models do not compare
        else:
            servable = model.serves(call.route) or call.route is Route.COUNT_TOKENS
        if not servable:
            raise RouteNotServed(f"The model '{call.model}' cannot be asked through /v1/{call.route}.", param="model")

    async def look_up(self, journey: Journey) -> Answer | None:
        """The answer, if it is there already or on its way to somebody else."""
        call = journey.call
        is_keyed = call.idempotency_key is not None and call.route is not Route.COUNT_TOKENS
        if is_keyed:
            answer = await self._patience.until(journey, self.idempotency.look_up(journey, self.settle))
            if answer is not None:
                return answer
        if call.appeal is not None:
            if journey.router is None:
                words = f"Only what a router has chosen can be appealed against, and '{call.model}' is none."
                raise InvalidRequest(words, param="x-headgate-appeal")
            return None  # another answer is wanted than the one that is there
        if not journey.setup.caches and call.cache.mode is not CacheMode.ONLY:
            return None
        return await self._patience.until(journey, self.cache.look_up(journey, self.settle))

    def route(self, journey: Journey, model: ServedModel) -> None:
        """Ask this model, and say how long its answer may be."""
        call = journey.call
        journey.model = model
        journey.lowered_to = access.lowered_to(journey.caller.tier, call, model.spec.max_output_tokens)
        journey.tried = model.mute[call.route]

    async def admit(self, journey: Journey) -> None:
        """Let the request in if it can be accounted for, and hold its share of all limits and budgets."""
        self._settler.check(journey.setup.on_database_failure)
        came = self._deadlines.monotonic()
        await self._admissions.admit(journey)
        waited_seconds = self._deadlines.monotonic() - came
        if journey.interruption is not None:
            raise journey.interruption
        assert journey.model is not None, "the request was routed"
        journey.is_let_in = True
        seconds = journey.model.spec.total_seconds
        journey.watchdog = Watchdog(
            self._deadlines,
            seconds - waited_seconds,
            lambda: TotalTimeout(f"The request was not finished within {seconds:g} seconds."),
        )

    def outlives(self, request_id: str, cancel: Callable[[], object]) -> bool:
        """Whether a request whose client left goes on for others. `cancel` is called when the last of them left."""
        return self.idempotency.outlives(request_id, cancel) or self.cache.outlives(request_id, cancel)

    async def settle(self, journey: Journey, outcome: Outcome, error: HeadgateError | None = None) -> None:
        """Book what the request used. Raises LedgerFull: then the client must not get the end of its answer."""
        journey.ends(outcome, error)
        if not self._settler.settle_now(journey):
            await self._settler.settle(journey)
        if journey.router is not None and outcome in (Outcome.DONE, Outcome.CACHED):
            self.routed(journey)

    # --- answers ---

    def whole_answer(self, journey: Journey) -> Answer:
        """A JSON answer, settled before it is shown."""
        assert journey.attempt is not None, "there is an answer"
        if journey.keyed is not None:
            self.idempotency.answered(journey, journey.attempt.body)
        if journey.ticket is not None:
            self.cache.answered(journey, journey.attempt.body)
        return Answer(journey.head(), journey.attempt.body)

    async def counted_answer(self, journey: Journey) -> Answer:
        """How many tokens a prompt has, for a model whose provider cannot be asked that."""
        assert journey.model is not None, "the request was routed"
        tokens = await self._settler.count_prompt(journey.call, journey.model.deployments[0])
        body = write_count(tokens)
        await self.settle(journey, Outcome.DONE)
        return Answer(journey.head(), body)

    def stream_answer(self, journey: Journey) -> Answer:
        """A stream, settled before its end is shown."""
        if journey.keyed is not None:
            self.idempotency.committed(journey)
        if journey.ticket is not None:
            self.cache.committed(journey)
        return Answer(journey.head(), stream=Stream(self, journey))

    def _journey(self, caller: Caller, call: Call) -> Journey:
        return Journey(caller, call, self.setup, started=self._clock.monotonic(), started_at=self._clock.now())
