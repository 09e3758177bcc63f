"""Admit: may the request go in now? Turns a journey into what its meters are asked, and their no into an error.

What was asked is held by the store of counters under the request's id, kept while the request is under way, and
settled when it is over. The decision is `policy.admission`; this carries it out.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from headgate.errors import DatabaseUnavailable, HeadgateError, StoreUnavailable
from headgate.gateway import asking, degrading, rebuilding, refusing
from headgate.gateway.applying import Applying, RuleBook
from headgate.gateway.journey import Hold, Journey
from headgate.gateway.preflight import COUNT_MARGIN, check_context, count_prompt
from headgate.gateway.routers import OPERATOR
from headgate.gateway.waiting import WaitingRoom
from headgate.metering import Admission, Ask, Charge, Meter, Refusal, Verdict
from headgate.policy import metered
from headgate.policy.calendar import zone_of
from headgate.policy.groups import Amounts
from headgate.policy.metered import Subject
from headgate.policy.panel import Standings, amounts_of
from headgate.ports import Clock, Counters, TokenCounter
from headgate.types import Caller, Measure, MeterKind, Outcome, RequestRecord, Rule, Scope

KEEP_EVERY_SECONDS = 10.0
HELD_WAIT_SECONDS = 1.0  # for money that others hold
LOOK_AGAIN_SECONDS = 0.1  # whether another process has settled
_ANSWERED = (Outcome.CACHED, Outcome.DONE)  # without a provider too: from the cache, or with a count of tokens

log = logging.getLogger(__name__)


@runtime_checkable
class CountersAtHand(Protocol):
    """Counters in this process's memory can also be asked without waiting."""

    def admit_plain(self, hold_id: str, tenant: str, meters: Sequence[Meter], asked: Amounts) -> Standings | None:
        """As `Counters.admit` if every meter lets the request pass as it is; None, and nothing is held, else."""

    def dispatched(self, hold_id: str) -> None:
        """A provider has the request; as `Counters.keep` says it, which also keeps the hold."""

    def settle_all(self, over: Sequence[tuple[str, str, Charge]]) -> None:
        """As `Counters.settle` for each hold with its tenant, in one go."""


class Operator(Protocol):
    """Who says what the rules are, and is told what they said no to."""

    def rules_of(self, tenant: str) -> Iterable[Rule]:
        """Every rule that any key of a tenant may have."""

    def refused(self, tenant: str, refusal: Refusal) -> None: ...

    def unenforced(self, tenant: str, refusal: Refusal) -> None:
        """A limit that is only tried would have refused this: told once for each rule."""


class Admissions:
    """One process's entrance."""

    def __init__(
        self,
        counters: Counters,
        ledger: rebuilding.Past,
        clock: Clock,
        room: WaitingRoom,
        counter: TokenCounter,
        operator: Operator | None = None,
    ) -> None:
        self._counters = counters
        self._at_hand = counters if isinstance(counters, CountersAtHand) else None
        self._clock = clock
        self.room = room
        self._counter = counter
        self._operator = operator
        self._rules = RuleBook()
        self._known: set[str] = set()  # tenants that the counters have known
        self._rebuilder = rebuilding.Rebuilder(counters, ledger, clock, operator.rules_of if operator else None)

    async def admit(self, journey: Journey) -> None:
        """Hold what the request needs, lower its ceiling on output if need be, or raise LimitRefusal.

        Raises ContextTooLong, and StoreUnavailable when the store is away and `on_store_failure` is deny. A request
        that no limit concerns costs nothing.
        """
        assert journey.model is not None, "the request was routed"
        if journey.model.spec.context_tokens is not None:
            await check_context(journey.call, journey.model, self._counter)
        if not journey.caller.tier.rules and not journey.setup.global_rules:
            return
        applying = self._applying(journey)
        try:
            ask = asking.needed(journey, applying)
            if self._at_hand is not None and _admit_plain(self._at_hand, journey, applying, ask):
                return
            applying, ask, decision = await self._decide(journey, applying, ask)
        except (StoreUnavailable, DatabaseUnavailable) as error:
            if journey.setup.on_store_failure == "allow" and journey.caller.tenant != OPERATOR:
                journey.is_unheld = True
                return
            raise _cannot_be_checked(error) from None
        if self._operator is not None and (decision.refusal is not None or decision.unenforced):
            _tell(self._operator, journey.caller.tenant, decision)
        journey.requests, journey.tokens = decision.requests, decision.tokens
        if decision.refusal is not None:
            raise refusing.error(decision)
        _enter(journey, ask, decision.output_tokens, applying)

    async def admit_unpaid(self, journey: Journey) -> None:
        """As `admit` for a request that no provider is asked for: it counts as one, and needs neither tokens nor money.

        A tenant whose money is spent still gets what costs nothing.
        """
        if not journey.caller.tier.rules and not journey.setup.global_rules:
            return
        applying = self._applying(journey)
        if not applying.request_meters:
            return
        unpaid = applying._replace(meters=applying.request_meters, caps=())
        ask = Ask(0, 0, fingerprint=asking.fingerprint(journey.call) if applying.looks_for_repeats else 0)
        try:
            ask, decision = await self._put(journey, unpaid, ask)
        except (StoreUnavailable, DatabaseUnavailable) as error:
            if journey.setup.on_store_failure == "allow":
                return
            raise _cannot_be_checked(error) from None
        if self._operator is not None and (decision.refusal is not None or decision.unenforced):
            _tell(self._operator, journey.caller.tenant, decision)
        journey.requests, journey.tokens = decision.requests, decision.tokens
        if decision.refusal is not None:
            raise refusing.error(decision)
        journey.hold = Hold(ask, 0, None)

    async def extend(self, journey: Journey) -> None:
        """Hold more before a dearer model is asked. Raises LimitRefusal if there is not so much money."""
        hold, model = journey.hold, journey.model
        if hold is None or model is None or hold.model is model:
            return
        held = hold.ask
        dearer = asking.ask(journey.call, model, input_tokens=held.input_tokens, output_tokens=held.output_tokens)
        if spent := journey.weak_picousd:
            dearer = msgspec.structs.replace(dearer, input_picousd=dearer.input_picousd + spent)
        decision = await self._counters.extend(journey.call.id, journey.caller.tenant, dearer, hold.output_tokens)
        if decision.refusal is not None:
            raise refusing.error(decision)
        hold.grow(dearer, model)

    async def ready(self, caller: Caller) -> None:
        """The counters know the caller's tenant, so that they can be read: else they are rebuilt from the ledger.

        Raises StoreUnavailable or DatabaseUnavailable.
        """
        tenant, nothing = caller.tenant, self._clock.new_id("look")
        if (await self._counters.admit(nothing, tenant, (), Ask(0, 0))).known:
            self._counters.settle(nothing, tenant, Charge(released=True))
        else:
            await self._rebuild(caller)

    def dispatched(self, journey: Journey) -> None:
        """A provider is asked: from here on the request may cost something, whatever becomes of this process."""
        hold = journey.hold
        if hold is not None and not hold.is_out:
            hold.dispatched = hold.is_out = True
            if self._at_hand is not None:
                self._at_hand.dispatched(journey.call.id)
            else:
                self._counters.keep(journey.call.id, journey.caller.tenant, dispatched=True)

    def came_back(self, journey: Journey) -> None:
        """The provider failed: whoever dies before the next attempt owes nothing, if nothing was paid before."""
        hold = journey.hold
        if hold is not None and hold.is_out and not journey.set_aside:
            hold.is_out = False
            self._counters.keep(journey.call.id, journey.caller.tenant, dispatched=False)

    def settle(self, journeys: Sequence[Journey]) -> None:
        """Replace what was held by what it came to."""
        over = [_settlement(journey, hold) for journey in journeys if (hold := journey.hold) is not None]
        if self._at_hand is not None:
            self._at_hand.settle_all(over)
        else:
            for hold_id, tenant, charge in over:
                self._counters.settle(hold_id, tenant, charge)
        for tenant in dict.fromkeys([tenant for _, tenant, _ in over]):  # in order, so that runs can be repeated
            self.room.wake(tenant)
        for journey in journeys:
            if journey.is_unheld:
                self._rebuilder.read_later(journey.caller)

    async def take_back(self, caller: Caller, record: RequestRecord) -> None:
        """What a request was charged is not its caller's to pay after all: its budgets have that much more again, if
        the windows they are of are still open. Limits that move with the time forget it by themselves.

        Raises StoreUnavailable.
        """
        rules = [
            rule
            for rule in caller.tier.rules
            if rule.kind is MeterKind.BUDGET and rule.counts_budget and rule.scope is not Scope.REQUEST
        ]
        subject = Subject(record.key_id, record.user, record.model, record.session, record.tags)
        applied = metered.meters(rules, subject, zone_of(caller.timezone), record.started_at)
        meters = [meter for meter in applied if meter.resets_at is None or meter.resets_at > self._clock.now()]
        if not meters:
            return
        hold_id = f"{record.id}-back"
        if (await self._counters.admit(hold_id, caller.tenant, meters, Ask(0, 0))).known:  # else they are rebuilt
            tokens = record.usage.input + record.usage.output
            self._counters.settle(hold_id, caller.tenant, Charge(-tokens, -record.cost_picousd))

    async def keep_alive(self, under_way: Callable[[], Iterable[Journey]]) -> None:
        """For ever: holds of requests under way do not expire, and what was rebuilt comes to know all that was used."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_holds(under_way))
            group.create_task(self._rebuilder.keep_reading())

    # --- parts ---

    async def _keep_holds(self, under_way: Callable[[], Iterable[Journey]]) -> None:
        while True:
            await asyncio.sleep(KEEP_EVERY_SECONDS)
            for journey in tuple(under_way()):
                if journey.hold is not None:
                    self._counters.keep(journey.call.id, journey.caller.tenant, dispatched=journey.hold.is_out)

    def _applying(self, journey: Journey) -> Applying:
        caller, call, model = journey.caller, journey.call, journey.model
        name = call.model if model is None else model.spec.name  # not routed yet, if no provider is to be asked
        return self._rules.applying(caller, call, name, journey.setup.global_rules, self._clock.now())

    async def _decide(self, journey: Journey, applying: Applying, ask: Ask) -> tuple[Applying, Ask, Admission]:
        """As far as need be: with the caller's model, with the number of the prompt's tokens, with a cheaper model."""
        ask, decision = await self._put(journey, applying, ask)
        ask, decision = await self._count(journey, applying, ask, decision)
        while decision.refusal is not None and (cheaper := degrading.cheaper(journey, decision.refusal)) is not None:
            degrading.go_on_with(journey, cheaper)
            applying = self._applying(journey)
            applying = applying._replace(meters=tuple(map(degrading.without_brake, applying.meters)))
            ask, decision = await self._put(journey, applying, asking.needed(journey, applying))
            ask, decision = await self._count(journey, applying, ask, decision)
        return applying, ask, decision

    async def _count(
        self, journey: Journey, applying: Applying, ask: Ask, decision: Admission
    ) -> tuple[Ask, Admission]:
        """A refusal by the bound of the prompt's tokens that a smaller prompt might not have had is decided again by
        their number, which takes longer to find out."""
        if decision.refusal is not None and _is_near(decision.refusal) and ask.input_tokens:
            model = journey.model
            assert model is not None, "the request was routed"
            counted = await count_prompt(journey.call, model.deployments[0], self._counter)
            exact = math.ceil(counted * (1 + COUNT_MARGIN))
            if exact < ask.input_tokens:
                return await self._put(journey, applying, asking.needed(journey, applying, exact))
        return ask, decision

    async def _put(self, journey: Journey, applying: Applying, ask: Ask) -> tuple[Ask, Admission]:
        tried: tuple[Refusal, ...] = ()
        if applying.caps and not applying.passes_caps(amounts_of(ask)):
            ask, refusal, tried = _request_caps(applying.caps, ask)
            if refusal is not None:
                return ask, Admission(refusal, unenforced=tried)
        decision = await self._try(journey, applying.meters, ask)
        if decision.refusal is not None and decision.refusal.verdict is Verdict.HELD:
            decision = await self._wait_for_money(journey, applying.meters, ask, decision)
        if tried:
            decision = msgspec.structs.replace(decision, unenforced=(*tried, *decision.unenforced))
        return ask, decision

    async def _try(self, journey: Journey, meters: tuple[Meter, ...], ask: Ask) -> Admission:
        """What the counters say, once they know the tenant."""
        tenant, hold_id = journey.caller.tenant, journey.call.id
        decision = await self._counters.admit(hold_id, tenant, meters, ask)
        if not decision.known:
            await self._rebuild(journey.caller)
            decision = await self._counters.admit(hold_id, tenant, meters, ask)
            if not decision.known:
                raise StoreUnavailable("The counters were lost again while they were rebuilt.")
        self._known.add(tenant)
        return decision

    async def _rebuild(self, caller: Caller) -> None:
        await self._rebuilder.rebuild(caller, were_known=caller.tenant in self._known)

    async def _wait_for_money(
        self, journey: Journey, meters: tuple[Meter, ...], ask: Ask, decision: Admission
    ) -> Admission:
        """Money that is only held may come free any moment, here or in another process: wait a little for it."""
        tenant, monotonic = journey.caller.tenant, self._clock.monotonic
        with self.room.enter(tenant, tenant, monotonic() + HELD_WAIT_SECONDS) as place:
            while await place.turn(monotonic() + LOOK_AGAIN_SECONDS):
                decision = await self._try(journey, meters, ask)
                if decision.refusal is None or decision.refusal.verdict is not Verdict.HELD:
                    break
        return decision


def _settlement(journey: Journey, hold: Hold) -> tuple[str, str, Charge]:
    """The hold's id and tenant and what it came to; the journey has it no more."""
    journey.hold = None
    released = not hold.dispatched and journey.outcome not in _ANSWERED
    tokens = picousd = 0
    for past in journey.attempts:
        tokens += past.usage.input + past.usage.output
        picousd += past.cost_picousd
    return journey.call.id, journey.caller.tenant, Charge(tokens, picousd, released)


def _cannot_be_checked(error: HeadgateError) -> StoreUnavailable:
    return StoreUnavailable(f"Limits and budgets cannot be checked: {error.message} Try again.", retry_after_seconds=1)


def _tell(operator: Operator, tenant: str, decision: Admission) -> None:
    by_rule = {refusal.meter.rule.name: refusal for refusal in decision.unenforced}  # of a key, its user and its tenant
    for refusal in by_rule.values():
        operator.unenforced(tenant, refusal)
    if decision.refusal is not None:
        operator.refused(tenant, decision.refusal)


def _is_near(refusal: Refusal) -> bool:
    """Whether a prompt that is smaller than its bound could make the difference."""
    if refusal.verdict not in (Verdict.SPENT, Verdict.TOO_LARGE) or refusal.meter.rule.measure is Measure.REQUESTS:
        return False
    return 2 * (refusal.meter.limit - refusal.used) >= refusal.needed


def _admit_plain(counters: CountersAtHand, journey: Journey, applying: Applying, ask: Ask) -> bool:
    """Whether all lets it pass as it is, which nobody has to wait for."""
    asked = amounts_of(ask)
    if not applying.passes_caps(asked):
        return False
    standings = counters.admit_plain(journey.call.id, journey.caller.tenant, applying.meters, asked)
    if standings is None:
        return False
    journey.requests, journey.tokens = standings
    _enter(journey, ask, ask.output_tokens, applying)
    return True


def _enter(journey: Journey, ask: Ask, output_tokens: int, applying: Applying) -> None:
    model = journey.model
    assert model is not None, "the request was routed"
    journey.hold = Hold(ask, output_tokens, model)
    if ask.output_tokens == 0:
        return  # nothing counts tokens, or there will be none
    wanted, unknown_to_provider = asking.ceiling(journey.call, journey.lowered_to, model)
    journey.is_short_of_money = output_tokens < wanted
    if output_tokens < wanted or (unknown_to_provider and applying.has_budget):
        journey.lowered_to = output_tokens


def _request_caps(rules: Sequence[Rule], ask: Ask) -> tuple[Ask, Refusal | None, tuple[Refusal, ...]]:
    """The caps on a single request: the ceiling is lowered until it fits; a refusal if it cannot be low enough.

    And what caps that are only tried would have refused.
    """
    tried: list[Refusal] = []
    for rule in rules:
        if rule.scope is not Scope.REQUEST:
            continue
        is_money = rule.measure is Measure.USD
        base, unit = (ask.input_picousd, ask.output_price) if is_money else (ask.input_tokens, 1)
        if base + unit * ask.output_tokens * ask.choices <= rule.limit:
            continue
        affordable = (rule.limit - base) // (unit * ask.choices) if unit else -1
        if affordable >= ask.least_output_tokens:
            if rule.enforce:
                ask = msgspec.structs.replace(ask, output_tokens=affordable)
            continue
        least = base + unit * ask.least_output_tokens * ask.choices
        refusal = Refusal(Meter(rule.name, rule, "", None, rule.limit), Verdict.TOO_LARGE, 0, 0, least)
        if rule.enforce:
            return ask, refusal, tuple(tried)
        tried.append(refusal)
    return ask, None, tuple(tried)
