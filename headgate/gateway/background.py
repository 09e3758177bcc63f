"""The dispatch gate: lets background work through as far as interactive traffic leaves room. Decided by
`policy/background.py`; this looks at what is going on in this process, and holds what has to wait.

What a provider limits is shared between processes, and so is what it says of that and how slow it is; requests under
way are this process's own. A request that waits too long is given back, so that others of its worker get their turn.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from math import exp

from headgate.errors import DatabaseUnavailable, StoreUnavailable
from headgate.gateway.admission import Admissions
from headgate.gateway.applying import RuleBook
from headgate.gateway.fleet import Deployment, Setup
from headgate.gateway.pipeline import Pipeline
from headgate.gateway.quotas import demand_of
from headgate.limit_errors import BackgroundHeld
from headgate.policy import background as policy
from headgate.policy.background import Ceiling, GateRules, GateState, Sight, Verdict, Why
from headgate.policy.quota import Demand
from headgate.ports import Clock, Counters
from headgate.types import Call, Caller, Measure

LOOK_SECONDS = 0.25
HOLD_SECONDS = 5.0
AGAIN_SECONDS = 5.0  # until what was given back is tried again
MONEY_AGAIN_SECONDS = 60.0
BUDGET_LOOK_SECONDS = 1.0
STREAMS_SECONDS = 30.0  # after the last interactive stream there is nobody who could feel it
_SETTLES_SECONDS = 1.0  # what was let in shows in the provider's quota by then
_NOTHING = Demand(requests=0)
_MOST_KEPT = 10_000


class BackgroundGate:
    """One process's gate. `rules` is asked each time; None: there is no gate."""

    def __init__(
        self, pipeline: Pipeline, budgets: BudgetShares, clock: Clock, rules: Callable[[], GateRules | None]
    ) -> None:
        self.pipeline = pipeline
        self.budgets = budgets
        self._clock = clock
        self.rules = rules
        self._lanes: dict[str, _Lane] = {}
        self._lane_of: dict[str, str] = {}  # by the ids of background requests under way
        self._seen: Counter[tuple[str, str]] = Counter()  # requests under way by lane (empty: interactive) and model
        self._seen_at = float("-inf")

    @asynccontextmanager
    async def passing(self, caller: Caller, call: Call) -> AsyncIterator[None]:
        """A background request's way through the gate, from which on it is under way.

        Raises BackgroundHeld when it has to wait longer than is good for its worker.
        """
        rules = self.rules()
        if rules is None:
            yield
            return
        if reason := await self.budgets.reason(caller, call, rules):
            raise BackgroundHeld(f"Background work waits: {reason}.", retry_after_seconds=MONEY_AGAIN_SECONDS)
        lane = self._lane(call.model)
        await self._enter(lane, call)
        self._lane_of[call.id] = lane.name
        try:
            yield
        finally:
            del self._lane_of[call.id]
            self._leave(lane)

    def states(self) -> dict[str, GateState]:
        """How the gate stands, by the name that is asked for."""
        if self.rules() is None:
            return {}
        return {name: lane.state() for name, lane in self._lanes.items()}

    @property
    def held(self) -> int:
        """Requests that wait at the gate."""
        return sum(len(lane.waiters) for lane in self._lanes.values())

    @property
    def room(self) -> int:
        """Requests that could begin now, of the models that are known."""
        return sum(self._verdict(lane).room for lane in self._lanes.values()) if self.rules() is not None else 0

    # --- passing ---

    async def _enter(self, lane: _Lane, call: Call) -> None:
        demand = demand_of(call)
        if not lane.waiters and self._verdict(lane).room > 0:
            self._begin(lane, demand)
            return
        future = asyncio.get_running_loop().create_future()
        place = (future, demand)
        lane.waiters.append(place)
        self._watch(lane)
        try:
            async with asyncio.timeout(HOLD_SECONDS):
                await future
        except BaseException as error:
            if future.done() and not future.cancelled():
                self._leave(lane)  # it was let in at the same moment
            elif place in lane.waiters:
                lane.waiters.remove(place)
            if not isinstance(error, TimeoutError):
                raise
            raise BackgroundHeld(
                f"Background work for '{lane.name}' waits: {lane.verdict.reason or 'others are before it'}.",
                retry_after_seconds=AGAIN_SECONDS,
            ) from None

    def _begin(self, lane: _Lane, demand: Demand) -> None:
        lane.under_way += 1
        lane.let_in.append((self._clock.monotonic(), demand))
        lane.lately = _sum(lane.lately, demand, 1)
        self._mark(lane)

    def _leave(self, lane: _Lane) -> None:
        lane.under_way -= 1
        self._mark(lane)
        self._serve(lane)

    def _mark(self, lane: _Lane) -> None:
        """Tell deployments whether what they take for the first content of a stream is usual."""
        is_felt = lane.under_way > policy.UNFELT_SHARE * lane.others
        if is_felt == bool(lane.beside):
            return
        for deployment in lane.beside:
            deployment.background -= 1
        lane.beside = tuple(self._deployments(lane.name)) if is_felt else ()
        for deployment in lane.beside:
            deployment.background += 1

    def _serve(self, lane: _Lane) -> None:
        """Let in who may, one after the other: each takes something of what limits the next."""
        while lane.waiters and self._verdict(lane).room > 0:
            future, demand = lane.waiters.popleft()
            if not future.done():
                self._begin(lane, demand)
                future.set_result(None)
        self._watch(lane)

    def _watch(self, lane: _Lane) -> None:
        """Look again in a moment, as long as somebody waits."""
        if lane.waiters and lane.timer is None:
            lane.timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look_again, lane)

    def _look_again(self, lane: _Lane) -> None:
        lane.timer = None
        self._serve(lane)

    # --- looking ---

    def _lane(self, name: str) -> _Lane:
        lane = self._lanes.get(name)
        if lane is None:
            if len(self._lanes) >= _MOST_KEPT:
                self._lanes = {name: kept for name, kept in self._lanes.items() if kept.under_way or kept.waiters}
            lane = self._lanes[name] = _Lane(name)
            lane.catch_up(self._deployments(name))
        return lane

    def _verdict(self, lane: _Lane) -> Verdict:
        rules, now = self.rules() or GateRules(), self._clock.monotonic()
        sight = self._sight(lane, now)
        if now >= lane.looked_at + LOOK_SECONDS:
            lane.looked_at = now
            lane.catch_up(self._deployments(lane.name))
            lane.ceiling = policy.look(lane.ceiling, sight, rules, now)
        lane.verdict = policy.verdict(lane.ceiling, sight, rules, now)
        return lane.verdict

    def _sight(self, lane: _Lane, now: float) -> Sight:
        setup, models = self.pipeline.setup, self._models(lane.name)
        known = self._deployments(lane.name)
        deployments = [one for one in known if one.usable(now)] or known
        slow = max(deployments, key=_lateness, default=None)
        yet_to_come = lane.yet_to_come(now)
        used = [one.quota.used_share(one.keys.in_question(now), yet_to_come, now) for one in deployments]
        room = self.pipeline.dispatcher.room
        if sum(one.streams for one in known) > lane.streams:
            lane.felt_until = now + STREAMS_SECONDS
        lane.others = self._others(lane.name, models, now)
        return Sight(
            in_flight=lane.others + lane.under_way,
            background=lane.under_way,
            refusals=sum(one.refusals for one in known) - lane.refusals,
            streams=sum(one.streams for one in known) - lane.streams,
            is_felt=now < lane.felt_until,
            ttft_seconds=exp(slow.log_ttft) if slow is not None and slow.streams else None,
            usual_ttft_seconds=exp(slow.usual_log_ttft) if slow is not None and slow.quiet_streams else None,
            quiet_streams=slow.quiet_streams if slow is not None else 0,
            is_awaited=any(room.is_awaited(("quota", model)) for model in models),
            quota_used=min(used, default=0.0),
            process_used=self.pipeline.in_flight / setup.max_in_flight,
        )

    def _others(self, lane_name: str, models: Sequence[str], now: float) -> int:
        """Requests under way for these models, but for those of the lane itself."""
        if now >= self._seen_at + LOOK_SECONDS:
            self._seen_at, self._seen = now, Counter()
            for journey in self.pipeline.under_way:
                model = journey.call.model if journey.model is None else journey.model.spec.name
                self._seen[self._lane_of.get(journey.call.id, ""), model] += 1
        return sum(count for (lane, model), count in self._seen.items() if lane != lane_name and model in models)

    def _models(self, name: str) -> Sequence[str]:
        router = self.pipeline.setup.routers.get(name)
        return (name,) if router is None else router.members

    def _deployments(self, name: str) -> list[Deployment]:
        models = self.pipeline.setup.models
        served = [models[model] for model in self._models(name) if model in models]
        return [deployment for model in served for deployment in model.deployments]


class _Lane:
    """What goes on at the gate for one name that is asked for."""

    __slots__ = (
        "beside", "ceiling", "felt_until", "lately", "let_in", "looked_at", "name", "others", "refusals", "streams",
        "timer", "under_way", "verdict", "waiters",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.ceiling = Ceiling()
        self.verdict = Verdict(0, Why.OPEN)
        self.under_way = 0
        self.waiters: deque[tuple[asyncio.Future[None], Demand]] = deque()
        self.let_in: deque[tuple[float, Demand]] = deque()  # lately, and when
        self.lately = _NOTHING  # the sum of that
        self.beside: tuple[Deployment, ...] = ()  # those that feel it
        self.felt_until = 0.0
        self.others = 0  # requests under way that are not its own
        self.looked_at = float("-inf")
        self.timer: asyncio.TimerHandle | None = None
        self.refusals = 0  # of its deployments, at the last look
        self.streams = 0

    def catch_up(self, deployments: Sequence[Deployment]) -> None:
        """What its deployments have counted so far is known now."""
        self.refusals = sum(one.refusals for one in deployments)
        self.streams = sum(one.streams for one in deployments)

    def yet_to_come(self, now: float) -> Demand:
        """What was let in a moment ago, and may not have reached a quota yet."""
        while self.let_in and self.let_in[0][0] < now - _SETTLES_SECONDS:
            self.lately = _sum(self.lately, self.let_in.popleft()[1], -1)
        return self.lately

    def state(self) -> GateState:
        """For those who want to know."""
        verdict = self.verdict
        return GateState(
            int(self.ceiling.limit), self.under_way, len(self.waiters), verdict.room, verdict.why, verdict.reason
        )


def _sum(total: Demand, demand: Demand, sign: int) -> Demand:
    return Demand(
        total.input_tokens + sign * demand.input_tokens,
        total.output_tokens + sign * demand.output_tokens,
        total.likely_output_tokens + sign * demand.likely_output_tokens,
        total.requests + sign * demand.requests,
    )


def _lateness(deployment: Deployment) -> float:
    """How much later its first content comes than usual."""
    return deployment.log_ttft - deployment.usual_log_ttft if deployment.quiet_streams else 0.0


class BudgetShares:
    """Looks how much is used of the budgets that a background request would spend of, once a second for each caller."""

    def __init__(self, counters: Counters, admissions: Admissions, setup: Callable[[], Setup], clock: Clock):
        self._counters = counters
        self._admissions = admissions
        self._setup = setup
        self._clock = clock
        self._rules = RuleBook()
        self._known: dict[tuple[str, str, str | None], tuple[float, str]] = {}  # until when, and the reason

    async def reason(self, caller: Caller, call: Call, rules: GateRules) -> str:
        """Why a budget keeps the request out; empty: none does. If none can be read, the corridor says so."""
        global_rules = self._setup().global_rules
        if not caller.tier.rules and not global_rules:
            return ""
        key, now = (caller.tenant, caller.key_id, call.user), self._clock.monotonic()
        if (known := self._known.get(key)) is not None and now < known[0]:
            return known[1]
        applying = self._rules.applying(caller, call, call.model, global_rules, self._clock.now())
        meters = [meter for meter in applying.meters if meter.rule.counts_budget and meter.rule.enforce]
        reason = ""
        if meters:
            try:
                await self._admissions.ready(caller)
                for reading in await self._counters.read(caller.tenant, meters):
                    meter, used = reading.meter, reading.used + reading.held
                    reason = reason or policy.budget_reason(meter.rule.name, used, meter.limit, rules)
            except (StoreUnavailable, DatabaseUnavailable):
                return ""
        if len(self._known) >= _MOST_KEPT:
            self._known.clear()
        self._known[key] = now + BUDGET_LOOK_SECONDS, reason
        return reason

    async def left_picousd(self, caller: Caller, call: Call, rules: GateRules) -> int | None:
        """How much money budgets leave to background work, the tightest of them; None: none limits it.

        Raises StoreUnavailable or DatabaseUnavailable.
        """
        global_rules = self._setup().global_rules
        applying = self._rules.applying(caller, call, call.model, global_rules, self._clock.now())
        money = [meter for meter in applying.meters if meter.rule.counts_budget and meter.rule.measure is Measure.USD]
        meters = [meter for meter in money if meter.rule.enforce]
        if not meters:
            return None
        await self._admissions.ready(caller)
        read = await self._counters.read(caller.tenant, meters)
        return min((int(rules.budget_share * one.meter.limit) - one.used - one.held for one in read), default=None)
