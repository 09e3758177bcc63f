"""Route, when a router was asked for: facts of the call and of the models, the decision, and the model on the journey.

The decision is `policy.choosing`. Only requests that ask for a router come here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from headgate.errors import Forbidden, InvalidRequest, NotFound, RouteNotServed
from headgate.gateway import asking
from headgate.gateway.embedded import booked_on
from headgate.gateway.fleet import ServedModel, Setup
from headgate.gateway.journey import Journey
from headgate.gateway.preflight import estimate_prompt
from headgate.gateway.quotas import demand_of
from headgate.gateway.routers import ModelChoice, RouterSpec
from headgate.policy import access, choosing
from headgate.policy.choosing import Preference, Why, Wish
from headgate.policy.quota import Demand
from headgate.ports import Clock, Used
from headgate.route_ports import Sessions
from headgate.route_types import Answered, Candidate, Hardness, RouterGate, Signals
from headgate.types import Call, Caller, Route, Tier
from headgate.wire.signals import read_signals

USUAL_OUTPUT_TOKENS = 300  # of an answer, to compare prices by


class Scorer(Protocol):
    """Says how hard a question is."""

    async def score(self, router: RouterSpec, signals: Signals, used: Used) -> Hardness:
        """Never raises. `used` is told of every call that a provider may charge for."""


class Question(Protocol):
    """What a decision is about."""

    caller: Caller
    call: Call
    setup: Setup


class Choosing:
    """One process's routers: their decisions, and the conversations that keep their models."""

    def __init__(self, clock: Clock, scorer: Scorer, sessions: Sessions) -> None:
        self._clock = clock
        self._scorer = scorer
        self._sessions = sessions
        self.gates: Mapping[str, RouterGate] = {}  # by router
        # who finds out whose request it was that somebody appeals against
        self.answered: Callable[[str], Awaitable[Answered | None]] = _nobody
        self.embedded: Used = lambda use: None  # told what a provider is paid for where there is no request
        self._exchange: dict[str, float] = {}  # of routers with a target, as it has turned out here

    async def route(self, journey: Journey, router: RouterSpec) -> ServedModel:
        """Choose the model, and note why on the journey. Raises RouteNotServed if none can answer."""
        appealed = ""
        if journey.call.appeal is not None:
            appealed = await self._appealed(journey.caller, journey.call, router)
        chosen = await self.consider(journey, router, appealed, booked_on(journey))
        choice = chosen.choice
        if appealed and choice.why is not Why.APPEAL:
            raise RouteNotServed(f"No better model of '{router.name}' than '{appealed}' can answer this now.")
        if choice.model is None:
            raise RouteNotServed(f"No model of '{router.name}' can answer this request: {choice.reason}.")
        journey.chosen = chosen
        if choice.why is Why.TARGET and router.target_quality is not None:
            exchange = self._exchange.get(router.name, Preference.exchange)
            self._exchange[router.name] = choosing.adjusted(exchange, router.target_quality, choice.quality)
        is_new = chosen.signals.turn == 1 and journey.call.session is None
        better = router.members[router.members.index(choice.model) + 1 :] if is_new else ()
        self._keep(chosen, choice.model, better)  # of two conversations with one beginning, the better model is kept
        return journey.setup.models[choice.model]

    def gate(self, router: str) -> RouterGate | None:
        """Whether a router is closed, as far as this process knows; None: it never was."""
        return self.gates.get(router)

    async def consider(
        self, question: Question, router: RouterSpec, appealed: str = "", used: Used | None = None
    ) -> ModelChoice:
        """The decision on a call, without any effect. `appealed` is the model whose answer was not good enough, `used`
        is told what a provider is paid for, else it gets a row of its own."""
        caller, call, models = question.caller, question.call, question.setup.models
        signals = read_signals(call)
        session = _session(caller, call, router, signals)
        # Who begins anew with words that somebody began with before is another conversation.
        is_under_way = signals.turn > 1 or call.session is not None
        kept = await self._sessions.model(session) if router.session_seconds and is_under_way else ""
        # An unknown conversation that is under way is judged by its beginning, as it was when it began elsewhere.
        judged = signals if kept or signals.turn == 1 or call.session else _at_its_beginning(signals)
        hardness = await self._scorer.score(router, judged, used or self.embedded)
        demand, now = demand_of(call), self._clock.monotonic()
        candidates = [
            self._candidate(call, models[name], demand, now) for name in _members(router, caller.tier, models)
        ]
        preference = Preference(
            router.cost_quality,
            router.target_quality,
            self._exchange.get(router.name, Preference.exchange),
            router.max_ttft_seconds,
            0.0 if router.check_with else router.near,
        )
        wishes = _wishes(router, caller.tier, session, kept)
        gate = self.gate(router.name)
        if gate is not None and gate.closed:
            wishes[:0] = [Wish(model, Why.CLOSED, gate.reason) for model in reversed(router.members)]
        if appealed:
            wishes[:0] = _better(router, appealed, Why.APPEAL, "its user asked for a better answer")
        elif _is_challenge(router, signals):
            appealed = kept or router.members[0]
            wishes[:0] = _better(router, appealed, Why.CHALLENGE, "its user said that the answer was not good enough")
        choice = choosing.choose(candidates, signals, hardness, preference, wishes)
        return ModelChoice(router, signals, hardness, choice, session, appealed)

    async def _appealed(self, caller: Caller, call: Call, router: RouterSpec) -> str:
        """The model that answered the request that a caller appeals against.

        Raises Forbidden where there are no appeals, NotFound if it is not the caller's own, or InvalidRequest if the
        best model has answered it.
        """
        if not router.appeal:
            raise Forbidden(f"There are no appeals for '{router.name}'.", param="x-headgate-appeal")
        found = await self.answered(call.appeal or "")
        user = caller.user or call.user
        if (
            found is None
            or (found.tenant, found.router) != (caller.tenant, router.name)
            or (found.key_id != caller.key_id and (user is None or found.user != user))
        ):
            raise NotFound(
                f"There is no request '{call.appeal}' of yours that '{router.name}' has answered. It can be appealed"
                " against a second after its answer.",
                param="x-headgate-appeal",
            )
        if found.model == router.members[-1] or found.model not in router.members:
            raise InvalidRequest("The best model has answered this request already.", param="x-headgate-appeal")
        return found.model

    def keep(self, chosen: ModelChoice, model: str) -> None:
        """The conversation goes on with this model."""
        self._keep(chosen, model, ())

    def _keep(self, chosen: ModelChoice, model: str, unless: Sequence[str]) -> None:
        if chosen.router.session_seconds:
            self._sessions.keep(chosen.session, model, chosen.router.session_seconds, unless)

    def _candidate(self, call: Call, model: ServedModel, demand: Demand, now: float) -> Candidate:
        tokens = estimate_prompt(call, model.prompt_rules).tokens
        output = min(call.max_output_tokens or USUAL_OUTPUT_TOKENS, USUAL_OUTPUT_TOKENS)
        ask = asking.ask(call, model, input_tokens=tokens, output_tokens=output)
        can = [deployment.spec.capabilities for deployment in model.deployments]
        contexts = [one.context_tokens for one in can if one.context_tokens is not None]
        fastest = [one.ttft_seconds for one in model.deployments if one.ttft_seconds is not None and one.usable(now)]
        return Candidate(
            model=model.spec.name,
            prompt_tokens=tokens,
            cost_picousd=ask.input_picousd + output * ask.choices * ask.output_price,
            serves=model.serves(call.route) or call.route is Route.COUNT_TOKENS,
            tools=_known([one.tools for one in can]),
            images=_known([one.images for one in can]),
            json_schema=_known([one.json_schema for one in can]),
            context_tokens=min(contexts, default=None),
            usable=any(deployment.takes(demand, now) for deployment in model.deployments),
            ttft_seconds=min(fastest, default=None),
        )


def _members(router: RouterSpec, tier: Tier, models: Mapping[str, ServedModel]) -> list[str]:
    return [name for name in access.members(tier, router.members) if name in models]


def _known(said: list[bool | None]) -> bool | None:
    """Whether every deployment can; None: nobody says that one cannot."""
    return False if False in said else True if all(said) else None


def _session(caller: Caller, call: Call, router: RouterSpec, signals: Signals) -> bytes:
    """What tells conversations apart: the session that the caller names, or how the conversation began."""
    who = f"{router.name}\0{caller.tenant}\0{caller.user or call.user or ''}\0{caller.key_id}\0{call.session or ''}"
    digest = hashlib.blake2b(who.encode(), digest_size=16)
    if not call.session:
        digest.update(signals.beginning)
    return digest.digest()


def _at_its_beginning(signals: Signals) -> Signals:
    return Signals(
        text=signals.first_text,
        first_text=signals.first_text,
        characters=len(signals.first_text),
        tools=signals.tools,
        images=signals.images,
        wants_json=signals.wants_json,
        json_schema=signals.json_schema,
    )


def _better(router: RouterSpec, model: str, why: Why, reason: str) -> list[Wish]:
    """The models above one, the next better first."""
    place = router.members.index(model) if model in router.members else 0
    return [Wish(better, why, reason) for better in router.members[place + 1 :]]


def _is_challenge(router: RouterSpec, signals: Signals) -> bool:
    if not router.challenges or signals.turn < 2:
        return False
    text = signals.text.lower()
    return any(phrase in text for phrase in router.challenges)


async def _nobody(request_id: str) -> Answered | None:
    return None


def _wishes(router: RouterSpec, tier: Tier, session: bytes, kept: str) -> list[Wish]:
    wishes = []
    if kept:
        wishes.append(Wish(kept, Why.SESSION, "the conversation keeps its model"))
    for number, flag in enumerate(router.flags):
        if (not flag.tiers or tier.name in flag.tiers) and _share(session, f"flag {number}") < flag.share:
            of = f"{flag.share:.0%} of conversations" if flag.share < 1 else f"the tier '{tier.name}'"
            wishes.append(Wish(flag.model, Why.FLAG, f"a flag of the router, for {of}"))
            break
    if router.weights and (model := choosing.weighted(router.weights, _share(session, "weights"))):
        wishes.append(Wish(model, Why.WEIGHTS, "the conversation is in this model's share"))
    return wishes


def _share(session: bytes, salt: str) -> float:
    """Where in [0, 1) a conversation falls: always at the same place."""
    digest = hashlib.blake2b(session, digest_size=8, salt=salt.encode()[:16])
    return int.from_bytes(digest.digest(), "big") / 2**64
