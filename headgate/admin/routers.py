"""Routers as operators see them: what one would choose and why, what it loses, closing and opening it; and appeals."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

import msgspec

from headgate.admin.audit import auditor
from headgate.admin.endpoint import Input, Name, Reply, Text, Visit
from headgate.errors import NotFound
from headgate.gateway.fleet import Setup
from headgate.gateway.http.headers import answer_head
from headgate.gateway.routers import RouterSpec
from headgate.gateway.shadowing import loss_of, turn
from headgate.policy import losing
from headgate.policy.losing import Loss
from headgate.policy.pricing import format_usd
from headgate.route_types import LossSum, RouterGate
from headgate.types import Call, Caller, Frozen, Route, Tier
from headgate.wire.openai import CallHeaders
from headgate.wire.speakers import speaker

_EPOCH = datetime.date(1970, 1, 1)
_EVERYBODY = Caller("", "", None, Tier("", models=frozenset({"*"})))


class ExplainRoute(Input, frozen=True):
    """A request to a router, which is not sent. Without a tenant, nothing is forbidden."""

    body: dict[str, Any]  # as it would be sent; its `model` is the router
    api: Literal["chat/completions", "completions", "responses", "messages"] = "chat/completions"
    tenant: Name | None = None
    user: Name | None = None
    session: Name | None = None


class ConsideredModel(Frozen, frozen=True):
    """One of the router's models. `quality` is the expected one, 1.0 is the best model's."""

    model: str
    quality: float
    cost_usd: str  # expected
    excluded: str  # why it could not be chosen


class ExplainedRoute(Frozen, frozen=True):
    """What the router would do now. `difficulty` is the share of usual questions that are easier."""

    router: str
    model: str | None  # null: none can answer
    why: str
    reason: str
    difficulty: float
    expected_loss: float  # of the cheapest model against the best
    signs: list[str]  # what moved the difficulty most
    candidates: list[ConsideredModel]
    better: list[str]  # that would be asked if the answer was not good enough


class LossFigures(Frozen, frozen=True):
    """What cheaper models lose: the share of worse answers minus that of better ones, with an interval that is valid
    however often it is looked at."""

    judged: int
    loss: float
    low: float
    high: float


class RouterState(Frozen, frozen=True):
    """Whether a router chooses, and what it lost since it was closed or opened last."""

    router: str
    closed: bool  # it gives everything to its best model
    since: float | None  # Unix seconds; null: always
    reason: str
    max_loss: float
    losses: LossFigures


class RouterWeek(Frozen, frozen=True):
    """Shadow runs of one week, which begins on `week`, a Monday."""

    router: str
    week: str
    wins: int
    ties: int
    losses: int
    loss: LossFigures
    cost_usd: str


class RouteStats(Frozen, frozen=True):
    """Every router, and its weeks, the newest first."""

    routers: list[RouterState]
    weeks: list[RouterWeek]


class TurnRouter(Input, frozen=True):
    """Close a router, so that it gives everything to its best model, or let it choose again."""

    router: Name
    closed: bool
    reason: Text = "by hand"


class JudgementQuery(Input, frozen=True):
    """A page of judgements."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    after: Text | None = None


class JudgementRow(Frozen, frozen=True):
    """A row to train on. `at` is Unix seconds; `prompt` is empty where it may not be kept."""

    id: str
    at: float
    router: str
    tenant: str
    prompt: str
    weak: str
    strong: str
    weak_outcome: str
    source: str


class JudgementPage(Frozen, frozen=True):
    """Judgements, oldest first."""

    data: list[JudgementRow]
    next: str | None


class Appeal(Input, frozen=True):
    """The request whose answer was not good enough: the id that its answer had."""

    request_id: Name


class _Question(msgspec.Struct):
    caller: Caller
    call: Call
    setup: Setup


async def explain_route(visit: Visit, command: ExplainRoute) -> ExplainedRoute:
    """What a router would choose for a request, with reasons and scores. No model is asked and nothing is counted."""
    route, setup = Route(command.api), visit.services.running().setup
    headers = CallHeaders(session=command.session, user=command.user)
    call = speaker(route).parse_call(route, msgspec.json.encode(command.body), visit.request_id, headers)
    router = _router(visit, call.model)
    accounts = visit.services.accounts
    caller = _EVERYBODY if command.tenant is None else accounts.representative(command.tenant, command.user)
    chosen = await visit.services.choosing.consider(_Question(caller, call, setup), router)
    choice = chosen.choice
    return ExplainedRoute(
        router=router.name,
        model=choice.model,
        why=choice.why,
        reason=choice.reason,
        difficulty=round(chosen.hardness.difficulty, 4),
        expected_loss=round(chosen.hardness.loss, 4),
        signs=list(chosen.hardness.reasons),
        candidates=[
            ConsideredModel(one.model, one.quality, format_usd(one.cost_picousd), one.excluded)
            for one in choice.candidates
        ],
        better=list(choice.up),
    )


async def route_stats(visit: Visit, _: Input) -> RouteStats:
    """What every router loses by choosing cheaper models, by week, and which of them are closed."""
    sums = await visit.services.routes.losses()
    gates = {gate.router: gate for gate in await visit.services.routes.gates()}
    routers = visit.services.running().setup.routers.values()
    weeks: dict[tuple[str, int], LossSum] = {}
    for one in sums:
        before = weeks.get((one.router, one.week), LossSum(one.router, one.week, 0))
        weeks[one.router, one.week] = LossSum(
            one.router,
            one.week,
            0,
            before.wins + one.wins,
            before.ties + one.ties,
            before.losses + one.losses,
            before.cost_picousd + one.cost_picousd,
        )
    return RouteStats(
        [_state(router, gates.get(router.name), sums) for router in routers], [*map(_week, weeks.values())]
    )


async def turn_router(visit: Visit, command: TurnRouter) -> RouterState:
    """Close a router or let it choose again, in every process within ten seconds."""
    router = _router(visit, command.router)
    records, now = visit.services.routes, visit.services.clock.now()
    gate, _ = await turn(records, router.name, closed=command.closed, reason=command.reason, at=now)
    await auditor(visit).note(command, router.name, after='"closed"' if gate.closed else '"open"')
    return _state(router, gate, await records.losses())


async def judgements(visit: Visit, query: JudgementQuery) -> JudgementPage:
    """What judges and users said of cheaper models' answers, as rows to train a difficulty model on."""
    rows, after = await visit.services.routes.page(query.limit, query.after)
    return JudgementPage(
        [
            JudgementRow(
                row.id, row.at, row.router, row.tenant, row.prompt, row.weak, row.strong, row.outcome, row.source
            )
            for row in rows
        ],
        after,
    )


async def appeal(visit: Visit, command: Appeal) -> Reply:
    """Ask the next better model a request again whose answer was not good enough. The answer is whole, in the dialect
    of the request, with the headers of any other; it costs what it costs."""
    caller = visit.caller()
    call = visit.services.appeals.call(caller, command.request_id, visit.request_id)
    async with visit.services.handle(caller, call) as answer:
        lines = answer_head(answer.head, call.route).decode().splitlines()
        return Reply(answer.body, headers=dict(line.split(": ", 1) for line in lines if line))


def _router(visit: Visit, name: str) -> RouterSpec:
    routers = visit.services.running().setup.routers
    if name not in routers:
        raise NotFound(f"There is no router '{name}'. Configured: {', '.join(routers) or 'none'}.", param="router")
    return routers[name]


def _state(router: RouterSpec, gate: RouterGate | None, sums: list[LossSum]) -> RouterState:
    found = loss_of(sums, router.name, gate.number if gate is not None else 0)
    if gate is None:
        return RouterState(router.name, False, None, "", router.max_loss, _figures(found))
    return RouterState(router.name, gate.closed, gate.at, gate.reason, router.max_loss, _figures(found))


def _week(one: LossSum) -> RouterWeek:
    found = losing.loss(one.wins, one.ties, one.losses)
    week = (_EPOCH + datetime.timedelta(days=one.week)).isoformat()
    return RouterWeek(one.router, week, one.wins, one.ties, one.losses, _figures(found), format_usd(one.cost_picousd))


def _figures(found: Loss) -> LossFigures:
    return LossFigures(found.judged, round(found.mean, 4), round(found.low, 4), round(found.high, 4))
