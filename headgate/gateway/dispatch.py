"""Dispatch: attempt after attempt until one reaches its commit point. The decisions are `policy.routing` and
`policy.retrying`; this carries them out."""

from __future__ import annotations

from headgate.errors import HeadgateError, InvalidRequest, Untranslatable, UpstreamError
from headgate.gateway.admission import Admissions
from headgate.gateway.attempts import Attempt
from headgate.gateway.blaming import blames_key, callers_fault, is_saturated, may_go_away
from headgate.gateway.fleet import Deployment, ServedModel
from headgate.gateway.journey import Journey
from headgate.gateway.quota_wait import Promises, QuotaWait, nothing_usable, topic_of
from headgate.gateway.quotas import demand_of
from headgate.gateway.settling import Settler
from headgate.gateway.waiting import NOW
from headgate.gateway.watchdog import Terms
from headgate.limit_errors import LimitRefusal
from headgate.policy import access, retrying, routing
from headgate.policy.quota import Demand
from headgate.policy.retrying import Failure, Move, Step
from headgate.ports import Clock


class Dispatcher:
    """Makes the attempts of a request, up to the commit point."""

    def __init__(self, clock: Clock, settler: Settler, admissions: Admissions) -> None:
        self._clock = clock
        self._settler = settler
        self._admissions = admissions
        self.room = admissions.room
        self._promises = Promises()

    async def dispatch(self, journey: Journey) -> None:
        """Leave a committed attempt in `journey.attempt`.

        Raises the last attempt's error, NoDeployment, ProviderQuota or WaitingRoomFull.
        """
        watchdog, fallbacks = journey.watchdog, self._fallbacks(journey)
        assert watchdog is not None, "the request was admitted"
        terms = Terms(self._clock, watchdog, demand_of(journey.call))
        index = await self._choose(journey, fallbacks, terms)
        failure: UpstreamError | None = None
        while True:
            if await self._afford(journey, failure) and not self._takes(journey, index, terms):
                index = await self._choose(journey, fallbacks, terms)
                continue
            try:
                attempt = journey.attempt = self._attempt(journey, index, terms)
            except InvalidRequest as error:
                if failure is None and not isinstance(error, Untranslatable):
                    raise
                journey.tried |= {index}
                index = await self._choose_other(journey, fallbacks, terms, failure or error)
                continue
            try:
                self._admissions.dispatched(journey)
                self._settler.begin(journey)
                await attempt.open()
                return
            except UpstreamError as error:
                journey.attempt, failure = None, error
                if is_saturated(error):
                    self._deployment(journey, index).refusals += 1
                self._settler.close_failed(journey, attempt, error)
                self._admissions.came_back(journey)
                step = self._after(journey, index, terms, error, len(fallbacks))
                if step.move is Move.GIVE_UP:
                    raise
            finally:
                watchdog.rest()
            if step.move is Move.RETRY:
                journey.retries_used += 1
                await watchdog.sleep(step.delay_seconds)
                if self._takes(journey, index, terms):
                    continue
                if not self._deployment(journey, index).usable(self._clock.monotonic()):
                    journey.tried |= {index}
            else:
                journey.tried |= {index}
                if step.move is Move.NEXT_MODEL:
                    self._fall_back(journey, fallbacks)
            index = await self._choose(journey, fallbacks, terms)

    async def _afford(self, journey: Journey, failure: UpstreamError | None) -> bool:
        """Hold more if a fallback is dearer than what was asked before: True if that may have taken a while.

        Raises what failed before, or LimitRefusal.
        """
        hold = journey.hold
        if hold is None or hold.model is journey.model:
            return False
        try:
            await self._admissions.extend(journey)
        except LimitRefusal as refusal:
            raise failure or refusal from None
        return True

    def _attempt(self, journey: Journey, index: int, terms: Terms) -> Attempt:
        model, number = journey.model, journey.attempts_made + 1
        assert model is not None, "the request was routed"
        deployment = model.deployments[index]
        return Attempt(journey.call, deployment, model.spec, number=number, lowered_to=journey.lowered_to, terms=terms)

    def _after(self, journey: Journey, index: int, terms: Terms, error: UpstreamError, other_models: int) -> Step:
        model, now = journey.model, self._clock.monotonic()
        assert model is not None, "the request was routed"
        deployment = model.deployments[index]
        others = sum(candidate.usable for candidate in model.candidates(now, journey.tried | {index}, terms.demand))
        another_key = blames_key(error) and len(deployment.keys) > 1 and deployment.keys.awake(now) > 0
        failure = Failure(
            retryable=may_go_away(error) or another_key,
            callers_fault=callers_fault(error),
            retry_after_seconds=None if another_key else error.retry_after_seconds,
            retries_used=journey.retries_used,
            retries_allowed=model.spec.retries,
            deployment_usable=deployment.usable(now),
            other_deployments=others,
            other_models=other_models,
            seconds_left=terms.watchdog.seconds_left(),
        )
        return retrying.next_step(failure, chance=self._clock.random.random())

    async def _choose(self, journey: Journey, fallbacks: list[ServedModel], terms: Terms) -> int:
        """The next deployment, of the model or of its fallbacks: now, or when a quota has room again.

        Whoever gets it must begin the attempt before it awaits anything. Raises NoDeployment, ProviderQuota, or
        WaitingRoomFull.
        """
        is_awaited = self.room.is_awaited(topic_of(journey))
        if not is_awaited and (index := self._pick(journey, fallbacks, terms.demand)) is not None:
            return index
        wait = QuotaWait(journey, fallbacks, terms, self.room, self._promises)
        with wait.enter() as place:
            until = NOW if is_awaited else wait.until()
            while await terms.watchdog.during(place.turn(until)):
                if (index := self._pick(journey, fallbacks, terms.demand)) is not None:
                    return index
                until = wait.until()
        raise wait.error()

    def _pick(self, journey: Journey, fallbacks: list[ServedModel], demand: Demand) -> int | None:
        """A deployment that can take the request now, of the model or of its fallbacks."""
        model, now = journey.model, self._clock.monotonic()
        assert model is not None, "the request was routed"
        model.turn += 1
        if len(model.deployments) == 1 and not journey.tried and model.deployments[0].takes(demand, now):
            return 0  # the usual case, in which there is nothing to decide
        index = self._pick_of(model, journey.tried, demand, now)
        for place, fallback in enumerate(fallbacks):
            if index is not None:
                break
            fallback.turn += 1
            index = self._pick_of(fallback, fallback.mute[journey.call.route], demand, now)
            if index is not None:
                del fallbacks[:place]
                self._fall_back(journey, fallbacks)
        return index

    def _pick_of(self, model: ServedModel, tried: frozenset[int], demand: Demand, now: float) -> int | None:
        return routing.choose(
            model.candidates(now, tried, demand),
            model.spec.balance,
            turn=model.turn,
            chance=self._clock.random.random(),
        ).index

    async def _choose_other(
        self, journey: Journey, fallbacks: list[ServedModel], terms: Terms, error: HeadgateError
    ) -> int:
        """A deployment whose API may have a word for what the last one's had none for.

        Fallbacks are for a model that failed or is switched off. Raises the error if there is no other deployment;
        never what a fallback cannot be asked, as the caller did not ask for it.
        """
        is_refused = isinstance(error, InvalidRequest)  # and not a failed attempt's
        if is_refused and journey.chosen is not None:
            pass  # another of the router's models may be able to, and the caller asked for none of them
        elif is_refused and journey.model is journey.asked_for:
            fallbacks = []
        elif is_refused:
            error = nothing_usable(journey, self._clock.monotonic())
        while True:
            model, now = journey.model, self._clock.monotonic()
            assert model is not None, "the request was routed"
            untried = (each for index, each in enumerate(model.deployments) if index not in journey.tried)
            if any(deployment.usable(now) for deployment in untried):
                return await self._choose(journey, [], terms)
            if not fallbacks:
                raise error
            self._fall_back(journey, fallbacks)

    def go_on_with(self, journey: Journey, name: str) -> None:
        """The next attempts are for another model of the router."""
        self._fall_back(journey, [journey.setup.models[name]])

    def _fall_back(self, journey: Journey, fallbacks: list[ServedModel]) -> None:
        journey.model = fallbacks.pop(0)
        journey.tried = journey.model.mute[journey.call.route]
        journey.retries_used = 0
        limit = journey.model.spec.max_output_tokens
        asked = journey.lowered_to or journey.call.max_output_tokens
        if limit is not None and asked is not None and limit < asked:
            journey.lowered_to = limit

    def _fallbacks(self, journey: Journey) -> list[ServedModel]:
        """The fallback models the caller may use, before them the others of the router if one was asked for.

        A real model never falls back to the simulated one.
        """
        model, models, tier, chosen = journey.model, journey.setup.models, journey.caller.tier, journey.chosen
        assert model is not None, "the request was routed"
        if not model.spec.fallback and chosen is None:
            return []
        names = [name for name in model.spec.fallback if name in models and access.may_use(tier, name)]
        if journey.set_aside:
            names = []  # only a better model's answer would do
        elif chosen is not None:
            names = [*chosen.choice.up, *chosen.choice.down, *names]
        found = [models[name] for name in dict.fromkeys(names) if name != model.spec.name]
        able = [fallback for fallback in found if fallback.serves(journey.call.route)]
        return [fallback for fallback in able if model.simulated or not fallback.simulated]

    def _takes(self, journey: Journey, index: int, terms: Terms) -> bool:
        return self._deployment(journey, index).takes(terms.demand, self._clock.monotonic())

    def _deployment(self, journey: Journey, index: int) -> Deployment:
        assert journey.model is not None, "the request was routed"
        return journey.model.deployments[index]
