"""Shadow runs: a share of what a router gave to a cheaper model is asked of its best model too, and a judge that does
not know which is which compares the answers. Off the hot path, and never for more than the day's money.

A router that is closed gives everything to its best model. Then the cheaper one is asked in the shadow, so that it can
prove itself again. A judge that is down, or money that is spent, means that less is known, and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Protocol

import msgspec

from headgate.errors import DatabaseUnavailable, HeadgateError
from headgate.gateway.choosing import Choosing
from headgate.gateway.errands import Errands
from headgate.gateway.journey import Journey
from headgate.gateway.routers import ModelChoice
from headgate.judgements import WeakOutcome
from headgate.limit_errors import BudgetHeld, LimitRefusal
from headgate.policy import judging, losing
from headgate.policy.choosing import Why
from headgate.policy.losing import Loss
from headgate.policy.pii.keeping import keep
from headgate.policy.pii.rules import Rules, Scope
from headgate.ports import Clock
from headgate.route_ports import RouteRecords
from headgate.route_types import Judged, LossSum, RouterGate
from headgate.types import Call
from headgate.wire import said

MOST_AT_ONCE = 16  # shadow runs of a process; others are not made
REST_SECONDS = 60.0  # after a refusal for want of money: each one is a row of the ledger
HELD_SECONDS = 1.0  # the same, while others that are under way hold what is left
LOOK_EVERY_SECONDS = 10.0  # whether another process has closed or opened a router
SHADOW = "shadow"
_APPEALS = {Why.APPEAL: "appeal", Why.CHALLENGE: "challenge"}

log = logging.getLogger(__name__)


class ShadowObserver(Protocol):
    """Told what comes of shadow runs."""

    def judged(self, router: str, outcome: str) -> None: ...

    def not_judged(self, router: str, reason: str) -> None: ...

    def turned(self, gate: RouterGate) -> None: ...


class Run(msgspec.Struct, frozen=True):
    """What a shadow run needs of the request that it is about."""

    call: Call
    chosen: ModelChoice
    tenant: str
    model: str  # that answered
    other: str  # that is compared with it
    answer: str
    gate: int
    rules: Rules  # for personal data

    @property
    def is_weak(self) -> bool:
        """Whether the cheaper of both answered."""
        members = self.chosen.router.members
        return members.index(self.model) < members.index(self.other)


class Shadowing:
    """One process's shadow runs, and what follows from them."""

    def __init__(
        self, errands: Errands, records: RouteRecords, clock: Clock, choosing: Choosing, observer: ShadowObserver
    ) -> None:
        self._errands = errands
        self._records = records
        self._clock = clock
        self._choosing = choosing
        self._observer = observer
        self._running: set[asyncio.Task[None]] = set()
        self._rests_until: dict[str, float] = {}  # routers whose money for the day is spent
        self.losses: list[LossSum] = []  # as they were known lately

    def answered(self, journey: Journey) -> None:
        """A router's request was answered: learn from it, if it was an appeal or is in the sample."""
        chosen, model = journey.chosen, journey.model
        if chosen is None or model is None:
            return
        source = _APPEALS.get(chosen.choice.why)
        other = chosen.appealed if source is not None else self._other(chosen, model.spec.name)
        if not other:
            return
        gate, caller = self._choosing.gate(chosen.router.name), journey.caller
        number = gate.number if gate is not None else 0
        run = Run(
            journey.call, chosen, caller.tenant, model.spec.name, other, _text(journey), number, journey.setup.pii
        )
        if source is not None:
            self._start(self._note_appeal(run, source))
        elif run.answer:
            self._start(self._compare(run))

    async def keep_up(self, has_routers: Callable[[], bool]) -> None:
        """For ever: follow what all processes have found, closed and opened."""
        while True:
            if has_routers():
                try:
                    await self.refresh()
                except DatabaseUnavailable as error:
                    log.warning("which routers are closed is not known: %s", error.message)
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def refresh(self) -> None:
        """Look at what is known by now. Raises DatabaseUnavailable."""
        self._choosing.gates = {gate.router: gate for gate in await self._records.gates()}
        self.losses = await self._records.losses()

    @property
    def figures(self) -> dict[tuple[str, ...], float]:
        """The losses for metrics: by router and bound."""
        told: dict[tuple[str, ...], float] = {}
        for router in dict.fromkeys(one.router for one in self.losses):
            gate = self._choosing.gate(router)
            found = loss_of(self.losses, router, gate.number if gate is not None else 0)
            told |= {(router, "low"): found.low, (router, "mean"): found.mean, (router, "high"): found.high}
        return told

    @property
    def closed(self) -> dict[str, int]:
        """For metrics: whether each router is closed that ever was."""
        return {gate.router: int(gate.closed) for gate in self._choosing.gates.values()}

    async def turn(self, router: str, *, closed: bool, reason: str) -> RouterGate:
        """Close or open a router, in all processes within LOOK_EVERY_SECONDS. Raises DatabaseUnavailable."""
        gate, is_ours = await turn(self._records, router, closed=closed, reason=reason, at=self._clock.now())
        if is_ours:
            self._observer.turned(gate)
            log.error("the router %s is %s: %s", router, "closed" if closed else "open again", reason)
        await self.refresh()
        return self._choosing.gates[router]

    async def finish(self) -> None:
        """End what is under way."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    # --- parts ---

    def _other(self, chosen: ModelChoice, model: str) -> str:
        """The model that is asked in the shadow; empty if this request is not in the sample."""
        router, signals = chosen.router, chosen.signals
        if not router.shadow_share or self._clock.random.random() >= router.shadow_share:
            return ""
        if self._rests_until.get(router.name, 0.0) > self._clock.monotonic():
            self._observer.not_judged(router.name, "no_money")
            return ""
        gate, best = self._choosing.gate(router.name), router.members[-1]
        is_closed = gate is not None and gate.closed and chosen.choice.down
        other = best if model != best else chosen.choice.down[-1] if is_closed else ""
        if not other or signals.tools or signals.images:
            return ""  # a judge reads texts
        if len(self._running) >= MOST_AT_ONCE:
            self._observer.not_judged(router.name, "busy")
            return ""
        return other

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _note_appeal(self, run: Run, source: str) -> None:
        """Whoever appeals says that the cheaper model's answer was not good enough."""
        await self._add(self._row(run, WeakOutcome.LOSE, source))

    async def _compare(self, run: Run) -> None:
        router = run.chosen.router
        weak_first = self._clock.random.random() < 0.5
        judge = router.judge or router.members[-1]
        try:
            told = await self._errands.again(router, run.call, run.other)
            if told.is_cut or not told.text.strip():
                self._observer.not_judged(router.name, "cut" if told.is_cut else "empty")
                return
            weak, strong = (run.answer, told.text) if run.is_weak else (told.text, run.answer)
            first, second = (weak, strong) if weak_first else (strong, weak)
            asked = judging.question(_asked(run), first, second)
            verdict = await self._errands.ask(router, judge, judging.TASK, asked)
        except HeadgateError as error:
            self._observer.not_judged(router.name, error.code)
            if isinstance(error, LimitRefusal):
                rest = HELD_SECONDS if isinstance(error, BudgetHeld) else REST_SECONDS
                self._rests_until[router.name] = self._clock.monotonic() + rest
            return
        better = judging.read(verdict.text)
        if better is None:
            self._observer.not_judged(router.name, "unreadable")
            return
        row = self._row(run, judging.outcome(better, weak_first=weak_first), SHADOW)
        cost = told.cost_picousd + verdict.cost_picousd
        await self._add(msgspec.structs.replace(row, judge=judge, cost_picousd=cost))
        self._observer.judged(router.name, row.outcome)
        await self._look(router.name, router.max_loss)

    def _row(self, run: Run, outcome: WeakOutcome, source: str) -> Judged:
        weak, strong = (run.model, run.other) if run.is_weak else (run.other, run.model)
        return Judged(
            id=run.call.id,
            at=self._clock.now(),
            router=run.chosen.router.name,
            tenant=run.tenant,
            weak=weak,
            strong=strong,
            outcome=outcome,
            source=source,
            prompt=_kept(run),
            gate=run.gate,
        )

    async def _add(self, row: Judged) -> None:
        try:
            await self._records.judge(row)
        except DatabaseUnavailable as error:
            log.warning("a judgement was lost: %s", error.message)

    async def _look(self, router: str, max_loss: float) -> None:
        """Close or open the router, if what is known by now says so."""
        gate = self._choosing.gate(router)
        try:
            self.losses = await self._records.losses()
            found = loss_of(self.losses, router, gate.number if gate else 0)
            verdict = losing.turn(found, max_loss, closed=gate is not None and gate.closed)
            if verdict is not None:
                await self.turn(router, closed=verdict.closed, reason=verdict.reason)
        except DatabaseUnavailable as error:
            log.warning("what the router %s loses is not known: %s", router, error.message)


async def turn(records: RouteRecords, router: str, *, closed: bool, reason: str, at: float) -> tuple[RouterGate, bool]:
    """Close or open a router, unless it is so already: its gate now, and whether that was our doing.

    Raises DatabaseUnavailable.
    """
    before = {gate.router: gate for gate in await records.gates()}.get(router)
    if before is not None and before.closed == closed:
        return before, False
    gate = RouterGate(router, before.number + 1 if before is not None else 1, closed, at, reason)
    is_ours = await records.turn(gate)
    return {one.router: one for one in await records.gates()}[router], is_ours


def loss_of(sums: list[LossSum], router: str, gate: int) -> Loss:
    """What a router has lost since its gate was turned last."""
    own = [one for one in sums if one.router == router and one.gate == gate]
    return losing.loss(*(sum(getattr(one, name) for one in own) for name in ("wins", "ties", "losses")))


def _text(journey: Journey) -> str:
    attempt = journey.attempt
    if attempt is None:
        return ""
    return "".join(attempt.texts) if journey.call.stream else said.text_of(journey.call.route, attempt.body)


def _asked(run: Run) -> str:
    """The question, with the one before it in a conversation."""
    signals = run.chosen.signals
    return f"{signals.prior_text}\n\n{signals.text}" if signals.prior_text else signals.text


def _kept(run: Run) -> str:
    """What may be kept of the question, by the rules for personal data; empty if nothing."""
    text = run.chosen.signals.text
    kept = keep(run.rules, text, "", user=None)
    if kept.scope is not Scope.TENANT:
        return ""
    return text if kept.redacted is None else kept.redacted
