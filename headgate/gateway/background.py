"""The dispatch gate: lets background work through as far as interactive traffic leaves room. Decided by
`policy/background.py`; this looks at what is going on in this process, and holds what has to wait.

Processes tell each other once a second what is under way in them and how slow their streams are, as long as there are
jobs. A request that waits too long is given back, so that others of its worker get their turn.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from math import exp
from typing import NamedTuple

from headgate.gateway.budget_shares import BudgetShares
from headgate.gateway.fleet import Deployment
from headgate.gateway.pipeline import Pipeline
from headgate.gateway.quotas import demand_of
from headgate.job_types import SeenOfModel
from headgate.limit_errors import BackgroundHeld
from headgate.policy import background as policy
from headgate.policy.background import Ceiling, GateRules, GateState, Sight, Verdict, Why
from headgate.policy.quota import Demand
from headgate.ports import Clock
from headgate.types import Call, Caller

LOOK_SECONDS = 0.25
HOLD_SECONDS = 5.0
AGAIN_SECONDS = 5.0  # until what was given back is tried again
MONEY_AGAIN_SECONDS = 60.0
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
        self._elsewhere: list[SeenOfModel] = []  # in other processes
        self._heard_of: dict[tuple[str, str], int] = {}  # their streams, by process and model
        self._heard_streams: Counter[str] = Counter()  # by model, since this process heard of them first
        self._felt: dict[str, tuple[Deployment, ...]] = {}  # of models that feel the background work of others

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

    def told(self, process: str) -> list[SeenOfModel]:
        """What this process sees of each model that something goes on with, for the gates of others."""
        self._look_around(self._clock.monotonic())
        seen = []
        for name, model in self.pipeline.setup.models.items():
            counts = [(lane, count) for (lane, one), count in self._seen.items() if one == name]
            slow = max(map(_pace, model.deployments), key=_lateness)
            if counts or slow.streams:
                background = sum(count for lane, count in counts if lane)
                seen.append(SeenOfModel(process, name, sum(count for _, count in counts), background, *slow))
        return seen

    def heard(self, seen: Sequence[SeenOfModel]) -> None:
        """What other processes see now: their requests count, and how slow their streams are."""
        for one in seen:
            before = self._heard_of.get((one.process, one.model), one.streams)
            self._heard_streams[one.model] += max(0, one.streams - before)
        self._heard_of = {(one.process, one.model): one.streams for one in seen}
        self._elsewhere = list(seen)
        felt = [name for name in self.pipeline.setup.models if self._is_felt_from_elsewhere(name)]
        for name in [name for name in self._felt if name not in felt]:
            for deployment in self._felt.pop(name):
                deployment.background -= 1
        for name in [name for name in felt if name not in self._felt]:
            self._felt[name] = tuple(self._deployments(name))
            for deployment in self._felt[name]:
                deployment.background += 1

    def _is_felt_from_elsewhere(self, name: str) -> bool:
        there = [one for one in self._elsewhere if one.model == name]
        background = sum(one.background for one in there)
        others = sum(one.in_flight for one in there) - background + self._seen["", name]
        return background > policy.UNFELT_SHARE * others

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
            lane.catch_up(self._deployments(name), self._streams(name))
        return lane

    def _verdict(self, lane: _Lane) -> Verdict:
        rules, now = self.rules() or GateRules(), self._clock.monotonic()
        sight = self._sight(lane, now)
        if now >= lane.looked_at + LOOK_SECONDS:
            lane.looked_at = now
            lane.catch_up(self._deployments(lane.name), self._streams(lane.name))
            lane.ceiling = policy.look(lane.ceiling, sight, rules, now)
        lane.verdict = policy.verdict(lane.ceiling, sight, rules, now)
        return lane.verdict

    def _sight(self, lane: _Lane, now: float) -> Sight:
        setup, models = self.pipeline.setup, self._models(lane.name)
        known = self._deployments(lane.name)
        deployments = [one for one in known if one.usable(now)] or known
        elsewhere = [one for one in self._elsewhere if one.model in models]
        yet_to_come = lane.yet_to_come(now)
        used = [one.quota.used_share(one.keys.in_question(now), yet_to_come, now) for one in deployments]
        room = self.pipeline.dispatcher.room
        streams = self._streams(lane.name) - lane.streams
        if streams:
            lane.felt_until = now + STREAMS_SECONDS
        lane.others = self._others(lane.name, models, now)
        slow = max([*map(_pace, deployments), *map(_pace_of, elsewhere)], key=_lateness, default=_NO_PACE)
        return Sight(
            in_flight=lane.others + lane.under_way + sum(one.in_flight for one in elsewhere),
            background=lane.under_way + sum(one.background for one in elsewhere),
            refusals=sum(one.refusals for one in known) - lane.refusals,
            streams=streams,
            is_felt=now < lane.felt_until,
            ttft_seconds=slow.ttft_seconds,
            usual_ttft_seconds=slow.usual_ttft_seconds,
            quiet_streams=slow.quiet_streams,
            is_awaited=any(room.is_awaited(("quota", model)) for model in models),
            quota_used=min(used, default=0.0),
            process_used=self.pipeline.in_flight / setup.max_in_flight,
        )

    def _streams(self, name: str) -> int:
        """That had their first content, here and elsewhere."""
        ours = sum(one.streams for one in self._deployments(name))
        return ours + sum(self._heard_streams[model] for model in self._models(name))

    def _others(self, lane_name: str, models: Sequence[str], now: float) -> int:
        """Requests under way for these models, but for those of the lane itself."""
        self._look_around(now)
        return sum(count for (lane, model), count in self._seen.items() if lane != lane_name and model in models)

    def _look_around(self, now: float) -> None:
        """Count what is under way, unless that was done a moment ago."""
        if now < self._seen_at + LOOK_SECONDS:
            return
        self._seen_at, self._seen = now, Counter()
        for journey in self.pipeline.under_way:
            model = journey.call.model if journey.model is None else journey.model.spec.name
            self._seen[self._lane_of.get(journey.call.id, ""), model] += 1

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

    def catch_up(self, deployments: Sequence[Deployment], streams: int) -> None:
        """What was counted so far is known now."""
        self.refusals = sum(one.refusals for one in deployments)
        self.streams = streams

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


class _Pace(NamedTuple):
    """How soon first content comes, in the order of `SeenOfModel`."""

    streams: int
    ttft_seconds: float | None
    usual_ttft_seconds: float | None
    quiet_streams: int


_NO_PACE = _Pace(0, None, None, 0)


def _pace(deployment: Deployment) -> _Pace:
    lately = exp(deployment.log_ttft) if deployment.streams else None
    usual = exp(deployment.usual_log_ttft) if deployment.quiet_streams else None
    return _Pace(deployment.streams, lately, usual, deployment.quiet_streams)


def _pace_of(seen: SeenOfModel) -> _Pace:
    return _Pace(seen.streams, seen.ttft_seconds, seen.usual_ttft_seconds, seen.quiet_streams)


def _lateness(pace: _Pace) -> float:
    """How much later first content comes than usual; before that is known less than of any that knows it."""
    if pace.ttft_seconds is None or pace.usual_ttft_seconds is None:
        return 0.0 if pace.ttft_seconds is None else 0.001
    return pace.ttft_seconds / pace.usual_ttft_seconds
