"""Dispatch: attempt after attempt until one reaches its commit point. The decisions are `policy.routing` and
`policy.retrying`; this carries them out."""

from __future__ import annotations

from headgate.errors import HeadgateError, InvalidRequest, NoDeployment, Untranslatable, UpstreamError
from headgate.gateway.admission import Admissions
from headgate.gateway.attempts import Attempt, Timing, blames_key, callers_fault, may_go_away
from headgate.gateway.fleet import Deployment, ServedModel
from headgate.gateway.journey import Journey
from headgate.gateway.settling import Settler
from headgate.gateway.watchdog import Watchdog
from headgate.limit_errors import LimitRefusal
from headgate.policy import access, health, retrying, routing
from headgate.policy.retrying import Failure, Move, Step
from headgate.ports import Clock


class Dispatcher:
    """Makes the attempts of a request, up to the commit point."""

    def __init__(self, clock: Clock, settler: Settler, admissions: Admissions) -> None:
        self._clock = clock
        self._settler = settler
        self._admissions = admissions
        self._room = admissions.room

    async def dispatch(self, journey: Journey) -> None:
        """Leave a committed attempt in `journey.attempt`. Raises the last attempt's error, or NoDeployment."""
        watchdog, fallbacks = journey.watchdog, self._fallbacks(journey)
        assert watchdog is not None, "the request was admitted"
        index = self._choose(journey, fallbacks)
        failure: UpstreamError | None = None
        while True:
            await self._afford(journey, failure)
            try:
                attempt = journey.attempt = self._attempt(journey, index, watchdog)
            except InvalidRequest as error:
                if failure is None and not isinstance(error, Untranslatable):
                    raise
                journey.tried |= {index}
                index = self._choose_other(journey, fallbacks, failure or error)
                continue
            try:
                self._admissions.dispatched(journey)
                self._settler.begin(journey)
                await attempt.open()
                return
            except UpstreamError as error:
                journey.attempt, failure = None, error
                self._settler.close_failed(journey, attempt, error)
                step = self._after(journey, index, error, len(fallbacks))
                if step.move is Move.GIVE_UP:
                    raise
            finally:
                watchdog.rest()
            if step.move is Move.RETRY:
                journey.retries_used += 1
                await watchdog.sleep(step.delay_seconds)
                if not self._deployment(journey, index).usable(self._clock.monotonic()):
                    journey.tried |= {index}
                    index = self._choose(journey, fallbacks)
            else:
                journey.tried |= {index}
                if step.move is Move.NEXT_MODEL:
                    self._fall_back(journey, fallbacks)
                index = self._choose(journey, fallbacks)

    async def _afford(self, journey: Journey, failure: UpstreamError | None) -> None:
        """Hold more if a fallback is dearer than what was asked before. Raises what failed before, or LimitRefusal."""
        try:
            await self._admissions.extend(journey)
        except LimitRefusal as refusal:
            raise failure or refusal from None

    def _attempt(self, journey: Journey, index: int, watchdog: Watchdog) -> Attempt:
        model, number = journey.model, len(journey.attempts) + 1
        assert model is not None, "the request was routed"
        deployment = model.deployments[index]
        return Attempt(
            journey.call,
            deployment,
            model.spec,
            number=number,
            lowered_to=journey.lowered_to,
            timing=Timing(self._clock, watchdog),
        )

    def _after(self, journey: Journey, index: int, error: UpstreamError, other_models: int) -> Step:
        model, now = journey.model, self._clock.monotonic()
        assert model is not None and journey.watchdog is not None, "the request was routed and admitted"
        deployment = model.deployments[index]
        others = sum(candidate.usable for candidate in model.candidates(now, journey.tried | {index}))
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
            seconds_left=journey.watchdog.seconds_left(),
        )
        return retrying.next_step(failure, chance=self._clock.random.random())

    def _choose(self, journey: Journey, fallbacks: list[ServedModel]) -> int:
        """The next deployment, of the model or of its fallbacks. Raises NoDeployment."""
        while True:
            model, now = journey.model, self._clock.monotonic()
            assert model is not None, "the request was routed"
            model.turn += 1
            if len(model.deployments) == 1 and not journey.tried and model.deployments[0].usable(now):
                return 0  # the usual case, in which there is nothing to decide
            choice = routing.choose(
                model.candidates(now, journey.tried),
                model.spec.balance,
                turn=model.turn,
                chance=self._clock.random.random(),
            )
            if choice.index is not None:
                return choice.index
            if not fallbacks:
                raise self._nothing_usable(journey, now)
            self._fall_back(journey, fallbacks)

    def _choose_other(self, journey: Journey, fallbacks: list[ServedModel], error: HeadgateError) -> int:
        """A deployment whose API may have a word for what the last one's had none for.

        Fallbacks are for a model that failed or is switched off. Raises the error if there is no other deployment;
        never what a fallback cannot be asked, as the caller did not ask for it.
        """
        asked_for = journey.setup.models[journey.call.model]
        is_refused = isinstance(error, InvalidRequest)  # and not a failed attempt's
        if is_refused and journey.model is asked_for:
            fallbacks = []
        elif is_refused:
            error = self._nothing_usable(journey, self._clock.monotonic())
        while True:
            model, now = journey.model, self._clock.monotonic()
            assert model is not None, "the request was routed"
            if any(candidate.usable for candidate in model.candidates(now, journey.tried)):
                return self._choose(journey, [])
            if not fallbacks:
                raise error
            self._fall_back(journey, fallbacks)

    def _fall_back(self, journey: Journey, fallbacks: list[ServedModel]) -> None:
        journey.model = fallbacks.pop(0)
        journey.tried = journey.model.mute[journey.call.route]
        journey.retries_used = 0
        limit = journey.model.spec.max_output_tokens
        asked = journey.lowered_to or journey.call.max_output_tokens
        if limit is not None and asked is not None and limit < asked:
            journey.lowered_to = limit

    def _fallbacks(self, journey: Journey) -> list[ServedModel]:
        """The fallback models the caller may use; a real model never falls back to the simulated one."""
        model, models, tier = journey.model, journey.setup.models, journey.caller.tier
        assert model is not None, "the request was routed"
        if not model.spec.fallback:
            return []
        found = [models[name] for name in model.spec.fallback if name in models and access.may_use(tier, name)]
        able = [fallback for fallback in found if fallback.serves(journey.call.route)]
        return [fallback for fallback in able if model.simulated or not fallback.simulated]

    def _nothing_usable(self, journey: Journey, now: float) -> HeadgateError:
        model = journey.setup.models[journey.call.model]
        waits = [health.opens_again_in_seconds(d.breaker, d.spec.rules, now) for d in model.deployments]
        return NoDeployment(
            f"No deployment of '{model.spec.name}' can be used now: every breaker is open. Try again later.",
            retry_after_seconds=max(1.0, min(waits, default=1.0)),
        )

    def _deployment(self, journey: Journey, index: int) -> Deployment:
        assert journey.model is not None, "the request was routed"
        return journey.model.deployments[index]
