"""Limits and budgets in this process's memory: the policy itself decides, on the states kept here.

Everything happens between two awaits of nobody, so that one admission over many meters is atomic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from headgate.metering import Admission, Ask, Charge, Crossing, Dated, Meter, Reading, Verdict
from headgate.policy import admission
from headgate.policy.admission import Entry, Post
from headgate.policy.groups import Amounts, Use
from headgate.policy.meters import Budget, Rolling, State, new_state
from headgate.policy.panel import Panel, Standings, amounts_of
from headgate.policy.velocity import Velocity
from headgate.ports import Clock
from headgate.types import Measure, Scope

HOLD_SECONDS = 30.0
SET_BACK_SECONDS = 1.0  # a clock that falls back by more was set; by less, it is waited for
MOST_PROVISIONAL = 10_000  # charges that a late settlement can still correct
MOST_PANELS = 10_000
MOST_STATES = 100_000  # of a tenant; sessions and users are named by callers
_FORGET_AFTER_SECONDS = 86_400.0
_BASELINE_SECONDS = 14 * 86_400.0  # what is usual is learned slowly
_GLOBAL = ""


class Hold(msgspec.Struct, eq=False):
    """What one request has taken, until it is settled: all that it asked a panel for, or what the entries say."""

    tenant: str
    asked: Amounts
    at: float
    expires_at: float
    panel: Panel | None = None
    dispatched: bool = False
    _entries: list[Entry] | None = None

    @property
    def entries(self) -> list[Entry]:
        if self._entries is None:
            assert self.panel is not None, "it has one or the other"
            self.entries = self.panel.entries(self.asked)
        return self._entries or []

    @entries.setter
    def entries(self, entries: list[Entry]) -> None:
        self._entries, self.panel = entries, None

    def provisional(self) -> Charge:
        """All that it held: the most of any meter, because not all grow with a dearer attempt."""
        amounts = dict.fromkeys(Measure, 0)
        for entry in self.entries:
            measure = entry.post.meter.rule.measure
            amounts[measure] = max(amounts[measure], entry.amount)
        return Charge(amounts[Measure.TOKENS], amounts[Measure.USD])


class Account:
    """The meters of one tenant, or the global ones."""

    __slots__ = ("_prune_at", "known", "panels", "states")

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.panels: dict[int, tuple[Sequence[Meter], Panel]] = {}  # by the identity of the meters
        self.known = False
        self._prune_at = 1000

    def state(self, meter: Meter) -> State:
        state = self.states.get(meter.name)
        if state is None:
            state = self.states[meter.name] = new_state(meter)
        return state

    def prune(self, now: float) -> None:
        """Forget windows that are over, and of the rest the longest unused if they are too many."""
        if len(self.states) < self._prune_at and len(self.panels) < MOST_PANELS:
            return
        for _, panel in self.panels.values():
            panel.touch(now)
        self.panels.clear()
        kept = {
            name: state
            for name, state in self.states.items()
            if state.touched > now - _remembered_seconds(state) or (isinstance(state, Budget) and state.ends_at > now)
        }
        if len(kept) > MOST_STATES:
            newest = sorted(kept, key=lambda name: kept[name].touched)[-MOST_STATES // 2 :]
            kept = {name: kept[name] for name in newest}
        self.states = kept
        self._prune_at = 2 * len(kept) + 1000


def _remembered_seconds(state: State) -> float:
    """So long after its last use a meter may still matter."""
    if isinstance(state, Velocity):
        return _BASELINE_SECONDS
    return _FORGET_AFTER_SECONDS + (state.window.period_seconds if isinstance(state, Rolling) else 0.0)


class MemoryCounters:
    """The port `Counters` in memory. `told` hears of budgets that are used up so far, and of trips."""

    def __init__(
        self, clock: Clock, told: Callable[[Crossing], None] = lambda crossing: None, hold_seconds: float = HOLD_SECONDS
    ) -> None:
        self.hold_seconds = hold_seconds
        self._clock = clock
        self._told = told
        self._now = 0.0
        self._ahead_seconds = 0.0  # of the clock: by so much it was set back
        self._none_expires_before = 0.0
        self._accounts: dict[str, Account] = {_GLOBAL: Account()}
        self._holds: dict[str, Hold] = {}  # by id; the next to expire first
        self._provisional: dict[str, Hold] = {}  # charged, until somebody knows better

    @property
    def holds(self) -> int:
        """Requests under way."""
        return len(self._holds)

    async def admit(self, hold_id: str, tenant: str, meters: Sequence[Meter], ask: Ask) -> Admission:
        standings = self.admit_plain(hold_id, tenant, meters, amounts_of(ask))
        if standings is not None:
            return Admission(None, ask.output_tokens, None, *standings)
        decided = self._decide(hold_id, tenant, meters, ask)
        if not self._ahead_seconds:
            return decided
        requests, tokens = self._as_the_clock_says((decided.requests, decided.tokens))
        return msgspec.structs.replace(decided, requests=requests, tokens=tokens)

    def admit_plain(self, hold_id: str, tenant: str, meters: Sequence[Meter], asked: Amounts) -> Standings | None:
        """As `admit` if every meter lets the request pass as it is; None, and nothing is held, else."""
        now, account = self._tick(), self._accounts.get(tenant)
        if account is None or not account.known:
            return None
        panel = self._panel(tenant, account, meters)
        if not panel.is_plain or (standings := panel.enter(asked, now)) is None:
            return None
        self._holds[hold_id] = Hold(tenant, asked, now, now + self.hold_seconds, panel)
        return self._as_the_clock_says(standings) if self._ahead_seconds else standings

    def _decide(self, hold_id: str, tenant: str, meters: Sequence[Meter], ask: Ask) -> Admission:
        now, account = self._now, self._account(tenant)
        if not account.known:
            return Admission(None, known=False)
        posts = self._panel(tenant, account, meters).posts
        decision = admission.decide(posts, ask, now)
        if decision.refusal is not None:
            if decision.wait_seconds is not None and decision.refusal.verdict is Verdict.RATE:
                admission.promise(posts, ask, decision.wait_seconds, now)
            requests, tokens = admission.standings(posts, now)
            return Admission(decision.refusal, 0, decision.wait_seconds, requests, tokens, decision.unenforced)
        hold = Hold(tenant, amounts_of(ask), now, now + self.hold_seconds)
        hold.entries = admission.take(posts, ask, decision.output_tokens, now)
        self._holds[hold_id] = hold
        requests, tokens = admission.standings(posts, now)
        return Admission(None, decision.output_tokens, None, requests, tokens, decision.unenforced)

    async def extend(self, hold_id: str, tenant: str, ask: Ask, output_tokens: int) -> Admission:
        now = self._tick()
        hold = self._holds.get(hold_id)
        if hold is None:
            return Admission(None, output_tokens)
        decision = admission.extend([entry.post for entry in hold.entries], hold.entries, ask, output_tokens, now)
        if decision.refusal is None:
            hold.entries = admission.grow(hold.entries, ask, output_tokens, now)
        return decision

    def keep(self, hold_id: str, tenant: str, *, dispatched: bool) -> None:
        now = self._tick()
        hold = self._holds.pop(hold_id, None)
        if hold is not None:
            hold.expires_at = now + self.hold_seconds
            hold.dispatched = dispatched
            self._holds[hold_id] = hold

    def dispatched(self, hold_id: str) -> None:
        """A provider has the request, so that it may cost something."""
        hold = self._holds.get(hold_id)
        if hold is not None:
            hold.dispatched = True

    def settle(self, hold_id: str, tenant: str, charge: Charge) -> None:
        self.settle_all([(hold_id, tenant, charge)])

    def settle_all(self, over: Sequence[tuple[str, str, Charge]]) -> None:
        """As `settle` for each."""
        now = self._tick()
        uses: dict[Panel, list[Use]] = {}
        for hold_id, _, charge in over:
            hold = self._holds.pop(hold_id, None)
            if hold is None:
                self._correct(hold_id, charge, now)
            elif hold.panel is None or charge.released:
                self._close(hold, charge, now)
            elif hold.panel in uses:
                uses[hold.panel].append(Use(hold.asked, hold.at, charge))
            else:
                uses[hold.panel] = [Use(hold.asked, hold.at, charge)]
        for panel, together in uses.items():
            for told in panel.settle(together, now):
                self._told(told)

    async def read(self, tenant: str, meters: Sequence[Meter]) -> list[Reading]:
        now = self._tick()
        readings = [state.reading(meter, now) for meter, state in self._posts(self._account(tenant), meters)]
        if not self._ahead_seconds:
            return readings
        return [
            reading
            if reading.frees_at is None or reading.frees_at == reading.meter.resets_at
            else msgspec.structs.replace(reading, frees_at=reading.frees_at - self._ahead_seconds)
            for reading in readings
        ]

    async def rebuild(
        self, tenant: str, spent: Sequence[tuple[Meter, int]], dated: Sequence[Dated] = (), *, after_loss: bool = False
    ) -> bool:
        now, account = self._tick(), self._account(tenant)
        was_known, account.known = account.known, True
        held_apart = after_loss or not was_known
        for meter, amount, at in dated:
            state = self._home(account, meter).state(meter)
            if isinstance(state, Rolling):
                state.restore_at(amount - (0 if held_apart else state.held), at + self._ahead_seconds, now)
        for meter, amount in spent:
            state = self._home(account, meter).state(meter)
            reading = state.reading(meter, now)
            if held_apart or not (isinstance(state, Velocity) and reading.used):
                state.restore(meter, amount - (0 if held_apart else reading.held), now)
        return was_known and not after_loss

    async def reset(self, tenant: str, meter: Meter) -> None:
        now = self._tick()
        state = self._home(self._account(tenant), meter).state(meter)
        if isinstance(state, Velocity):
            state.reset(now)

    def forget(self) -> None:
        """Nothing is known of anybody any more: everything is rebuilt from the ledger before the next admission."""
        for account in self._accounts.values():
            account.known = False

    def _tick(self) -> float:
        """The time, which never goes back here; and what has expired by now.

        When the clock was set back, it goes on from where it was: else nobody's minute would pass for hours.
        """
        now = self._clock.now() + self._ahead_seconds
        if now < self._now:
            if now < self._now - SET_BACK_SECONDS:
                self._ahead_seconds += self._now - now
            now = self._now
        self._now = now
        if now >= self._none_expires_before:
            self._expire_all(now)
        return now

    def _as_the_clock_says(self, standings: Standings) -> Standings:
        now = self._now - self._ahead_seconds
        requests, tokens = (
            standing and msgspec.structs.replace(standing, resets_at=now + standing.reset_seconds)
            for standing in standings
        )
        return requests, tokens

    def _expire_all(self, now: float) -> None:
        while self._holds:
            hold_id, hold = next(iter(self._holds.items()))
            if hold.expires_at > now:
                break
            del self._holds[hold_id]
            self._expire(hold_id, hold, hold.expires_at)  # as it would be had somebody asked at that moment
        first = next(iter(self._holds.values()), None)
        self._none_expires_before = now + self.hold_seconds if first is None else first.expires_at

    def _expire(self, hold_id: str, hold: Hold, now: float) -> None:
        if not hold.dispatched:
            self._close(hold, Charge(released=True), now)
            return
        self._close(hold, hold.provisional(), now)
        self._provisional[hold_id] = hold
        if len(self._provisional) > MOST_PROVISIONAL:
            del self._provisional[next(iter(self._provisional))]

    def _close(self, hold: Hold, charge: Charge, now: float) -> None:
        for entry in hold.entries:
            crossing = admission.settle(entry, hold.tenant, charge, hold.at, now)
            if crossing is not None:
                self._told(crossing)

    def _correct(self, hold_id: str, charge: Charge, now: float) -> None:
        """The truth about a hold that had expired."""
        hold = self._provisional.pop(hold_id, None)
        if hold is not None:
            booked = hold.provisional()
            for entry in hold.entries:
                admission.correct(entry, booked, charge, hold.at, now)

    def _account(self, tenant: str) -> Account:
        account = self._accounts.get(tenant)
        if account is None:
            account = self._accounts[tenant] = Account()
        return account

    def _home(self, account: Account, meter: Meter) -> Account:
        return self._accounts[_GLOBAL] if meter.rule.scope is Scope.GLOBAL else account

    def _panel(self, tenant: str, account: Account, meters: Sequence[Meter]) -> Panel:
        found = account.panels.get(id(meters))
        if found is None or found[0] is not meters:
            account.prune(self._now)
            found = account.panels[id(meters)] = meters, Panel(self._posts(account, meters), tenant)
        return found[1]

    def _posts(self, account: Account, meters: Sequence[Meter]) -> list[Post]:
        return [Post(meter, self._home(account, meter).state(meter)) for meter in meters]
