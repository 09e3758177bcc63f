"""A request that every deployment would take, but for its provider's quota: until when it waits, and what it is told
when it has waited in vain."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from functools import partial

from headgate.errors import HeadgateError, NoDeployment, ProviderQuota
from headgate.gateway.fleet import Deployment, ServedModel
from headgate.gateway.journey import Journey
from headgate.gateway.waiting import Place, WaitingRoom
from headgate.gateway.watchdog import Terms
from headgate.policy import health, quota
from headgate.policy.quota import Decision

_LEFT_FOR_AN_ATTEMPT_SECONDS = 0.1  # of the request's deadline: waiting to the very end helps nobody
_SHORTEST_RETRY_AFTER_SECONDS = 0.05
_MOST_PROMISES = 10_000  # for each tenant and model


class Promises:
    """When those were told to come back who were refused: whoever is refused next is told a later time."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: dict[Hashable, dict[str, deque[float]]] = {}  # by topic and tenant, in the order of time

    def open(self, topic: Hashable, now: float) -> dict[str, int]:
        """How many have yet to come, by tenant."""
        tenants = self._times.get(topic)
        if not tenants:
            return {}
        for tenant, times in tuple(tenants.items()):
            while times and times[0] <= now:
                times.popleft()
            if not times:
                del tenants[tenant]
        return {tenant: len(times) for tenant, times in tenants.items()}

    def add(self, topic: Hashable, tenant: str, at: float) -> None:
        """Somebody was told to come back then."""
        times = self._times.setdefault(topic, {}).setdefault(tenant, deque(maxlen=_MOST_PROMISES))
        times.append(max(at, times[-1]) if times else at)


class QuotaWait:
    """The wait of one request, in the line of those who ask for the same model."""

    __slots__ = ("_fallbacks", "_journey", "_promises", "_room", "_terms", "deadline", "topic")

    def __init__(
        self,
        journey: Journey,
        fallbacks: list[ServedModel],
        terms: Terms,
        room: WaitingRoom,
        promises: Promises,
    ) -> None:
        self._journey = journey
        self._fallbacks = fallbacks
        self._terms = terms
        self._room = room
        self._promises = promises
        self.topic = topic_of(journey)
        left = terms.watchdog.seconds_left() - _LEFT_FOR_AN_ATTEMPT_SECONDS
        self.deadline = terms.clock.monotonic() + max(0.0, min(journey.setup.quota_wait_seconds, left))

    def enter(self) -> Place:
        """A place in the room.

        Raises NoDeployment if it is not for a quota that it would wait, ProviderQuota if it would wait in vain, and
        WaitingRoomFull.
        """
        now = self._terms.clock.monotonic()
        decision = self._decision(self._ahead(now))
        if self.deadline <= now or (decision.at >= self.deadline and not decision.may_be_sooner):
            raise self._error(decision, now)
        return self._room.enter(self._journey.caller.tenant, self.topic, self.deadline)

    def until(self) -> float:
        """When it is worth trying again, unless the room is woken before, as it is when a quota changes."""
        decision, now = self._decision(0), self._terms.clock.monotonic()
        for deployment in self._in_question(now):
            deployment.quota.wake_when_changed(self.topic, partial(self._room.wake, self.topic))
        return decision.at

    def error(self) -> HeadgateError:
        """What the caller is told after the deadline."""
        now = self._terms.clock.monotonic()
        return self._error(self._decision(self._ahead(now)), now)

    def _ahead(self, now: float) -> int:
        """How many will be served before, as far as is known."""
        promised = self._promises.open(self.topic, now)
        return self._room.ahead(self.topic, self._journey.caller.tenant, promised)

    def _decision(self, ahead: int) -> Decision:
        """What the quotas of all that could answer say together; those ahead are taken to ask for as much."""
        now = self._terms.clock.monotonic()
        shares = sum(1 for _ in self._in_question(now)) or 1
        demand = self._terms.demand.times(ahead // shares + 1)
        together: Decision | None = None
        for deployment in self._in_question(now):
            decision = deployment.fits(demand, now)
            if not decision.fits:
                decision = _named(deployment, decision)
            together = decision if together is None else quota.sooner(together, decision)
        if together is None:
            raise nothing_usable(self._journey, now)
        return together

    def _in_question(self, now: float) -> Iterator[Deployment]:
        """The deployments that are usable and were not tried, of the model and its fallbacks."""
        journey = self._journey
        assert journey.model is not None, "the request was routed"
        models = [(journey.model, journey.tried)]
        models += [(fallback, fallback.mute[journey.call.route]) for fallback in self._fallbacks]
        for model, tried in models:
            for index, deployment in enumerate(model.deployments):
                if index not in tried and deployment.usable(now):
                    yield deployment

    def _error(self, decision: Decision, now: float) -> ProviderQuota:
        seconds = max(_SHORTEST_RETRY_AFTER_SECONDS, decision.at - now)
        self._promises.add(self.topic, self._journey.caller.tenant, now + seconds)
        why = f": {decision.reason}" if decision.reason else ""
        return ProviderQuota(
            f"The provider's quota for '{self._journey.call.model}' is used up{why}. Send the request again in"
            f" {seconds:.3g} seconds.",
            retry_after_seconds=seconds,
        )


def topic_of(journey: Journey) -> Hashable:
    """What a request waits for: all that ask for one model stand in one line."""
    return ("quota", journey.asked_for.spec.name)


def nothing_usable(journey: Journey, now: float) -> NoDeployment:
    """Every deployment that could answer is switched off by its breaker."""
    model = journey.asked_for
    waits = [health.opens_again_in_seconds(d.breaker, d.spec.rules, now) for d in model.deployments]
    return NoDeployment(
        f"No deployment of '{model.spec.name}' can be used now: every breaker is open. Try again later.",
        retry_after_seconds=max(1.0, min(waits, default=1.0)),
    )


def _named(deployment: Deployment, decision: Decision) -> Decision:
    reason = f"{deployment.spec.name}: {decision.reason}"
    return Decision(decision.fits, decision.at, reason, decision.may_be_sooner)
