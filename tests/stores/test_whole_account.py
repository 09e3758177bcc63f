"""The whole account: random days of a tenant, and after each step the laws that its counters must keep.

Requests are admitted, kept, extended, settled, released and forgotten; the time goes on, over midnights and changes of
clocks; the tenant moves to other time zones; limits are raised, lowered, added and removed while requests are under
way; the process dies, and its counters are rebuilt from the ledger. A book kept beside them says what is true.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from enum import StrEnum
from zoneinfo import ZoneInfo

import msgspec
import pytest

from headgate.gateway import rebuilding
from headgate.metering import Admission, Ask, Charge, Meter, Reading
from headgate.policy import metered
from headgate.policy.metered import Subject
from headgate.stores.memory import MemoryLedger
from headgate.stores.memory_counters import HOLD_SECONDS, MemoryCounters
from headgate.types import Measure, MeterKind, Rule, Scope, Usage
from tests.contract.counting import HandClock
from tests.scale import scaled
from tests.stores.records import record, request_id

SEEDS = scaled(1_000, 40)
STEPS = 250
ZONES = ("UTC", "Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia", "Asia/Kathmandu", "America/New_York")
# Just before: clocks forward and back in Berlin, a new year, forward and back in Sao Paulo, the day that Apia left out.
BEGINNINGS = (1_774_737_000.0, 1_792_881_000.0, 1_767_222_000.0, 1_541_297_000.0, 1_518_915_000.0, 1_325_237_000.0)
MOVING = (MeterKind.ROLLING, MeterKind.RATE)
REQUESTS, TOKENS, USD = Measure.REQUESTS, Measure.TOKENS, Measure.USD
KINDS = (
    Rule("tenant_month", MeterKind.BUDGET, USD, Scope.TENANT, 0, "month"),
    Rule("tenant_week", MeterKind.BUDGET, TOKENS, Scope.TENANT, 0, "week"),
    Rule("user_day", MeterKind.BUDGET, USD, Scope.USER, 0, "day"),
    Rule("model_day", MeterKind.BUDGET, TOKENS, Scope.MODEL, 0, "day"),
    Rule("key_ever", MeterKind.BUDGET, USD, Scope.KEY, 0),
    Rule("user_rolling", MeterKind.ROLLING, USD, Scope.USER, 0, period_seconds=3_600.0),
    Rule("requests_per_minute", MeterKind.RATE, REQUESTS, Scope.TENANT, 0, burst_seconds=10.0),
    Rule("tokens_per_minute", MeterKind.RATE, TOKENS, Scope.USER, 0),
    Rule("concurrent_requests", MeterKind.CONCURRENCY, REQUESTS, Scope.USER, 0),
)


class Law(StrEnum):
    """What is conserved."""

    HELD = "L1 what is held is the sum of the live holds"
    SPENT = "L2 what is spent is the sum of what was settled and charged provisionally, in the window of its admission"
    WITHIN = "L3 an admission or an extension leaves spent and held together within every limit that is enforced"
    ONCE = "L4 settling twice changes nothing"
    RUNNING = "L5 the concurrency is the number of live holds"
    MOVING = "L6 a moving window has never less than the truth, and what is too old at most one slice longer"
    NO_TRACE = "L7 a released request leaves no trace, a refused one neither"
    NOTHING_LEFT = "L8 when all is settled nothing is held"


@dataclass
class Entry:
    """What a request has of one meter."""

    meter: Meter
    held: int
    booked: int = 0  # in place of what is held, once it is settled


@dataclass
class Request:
    """One that was admitted. `booked` is what was charged in the end, or provisionally."""

    id: str
    subject: Subject
    at: float
    ask: Ask
    entries: list[Entry]
    expires_at: float
    dispatched: bool = False
    is_live: bool = True
    is_settled: bool = False  # by somebody who knows, not provisionally
    charge: Charge = field(default_factory=Charge)

    def close(self, charge: Charge) -> None:
        self.is_live, self.charge = False, charge
        amounts = {REQUESTS: 1, TOKENS: charge.tokens, USD: charge.picousd}
        for entry in self.entries:
            entry.booked = 0 if charge.released else amounts[entry.meter.rule.measure]

    def provisional(self) -> Charge:
        most = {measure: max([one.held for one in self.entries if one.meter.rule.measure is measure], default=0)
                for measure in (TOKENS, USD)}  # fmt: skip
        return Charge(most[TOKENS], most[USD], released=not self.dispatched)


class Life:
    """A tenant's days, its counters, and the book."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(f"account {seed}")
        self.clock = HandClock(self.chance.choice(BEGINNINGS))
        self.zone = ZoneInfo(self.chance.choice(ZONES))
        self.rules: dict[str, Rule] = {}
        self.ledger = MemoryLedger()
        self.counters = MemoryCounters(self.clock)
        self.requests: list[Request] = []  # those that the counters may know
        self.before: dict[str, list[tuple[float, int]]] = {}  # what was rebuilt, by meter, and when
        self.known: dict[str, Meter] = {}
        self.admitted = 0
        for _ in range(6):
            self._change_rule()

    async def live(self) -> None:
        await self.counters.rebuild("acme", [])
        steps = (
            [self.ask] * 8 + [self.settle] * 5 + [self.keep] * 3 + [self.extend, self.settle_again] + [self.wait] * 4
            + [self.change, self.change, self.move, self.restart]
        )  # fmt: skip
        for _ in range(STEPS):
            await self.chance.choice(steps)()
            await self.check()
        for request in [one for one in self.requests if one.is_live]:
            await self._settle(request)
        await self.check()
        held = [reading.held for reading in await self._readings()]
        assert not any(held) and self.counters.holds == 0, Law.NOTHING_LEFT

    # --- what happens ---

    async def ask(self) -> None:
        subject = Subject(
            self.chance.choice(("key_1", "key_2")), self.chance.choice(("alice", "bob", None)),
            self.chance.choice(("small", "large")),
        )  # fmt: skip
        now = self._tick()
        meters = tuple(metered.meters(self.rules.values(), subject, self.zone, now))
        tokens, price = self.chance.randint(1, 400), self.chance.choice((1, 10))
        ask = Ask(tokens, self.chance.randint(1, 400), input_picousd=tokens * price, output_price=price)
        id = request_id(self.admitted)
        before = await self._readings(meters) if meters else []
        said = await self.counters.admit(id, "acme", meters, ask)
        self.known |= {meter.name: meter for meter in meters}
        if said.refusal is not None:
            assert await self._readings(meters) == before, Law.NO_TRACE
            return
        self.admitted += 1
        output = said.output_tokens
        amounts = {REQUESTS: 1, TOKENS: tokens + output, USD: (tokens + output) * price}
        entries = [Entry(meter, amounts[meter.rule.measure]) for meter in meters]
        self.requests.append(Request(id, subject, now, ask, entries, now + HOLD_SECONDS))
        self._within(await self._readings(meters))

    async def settle(self) -> None:
        open = [one for one in self.requests if not one.is_settled]
        if open:
            await self._settle(self.chance.choice(open))

    async def settle_again(self) -> None:
        over = [one for one in self.requests if one.is_settled]
        if over:
            before = await self._readings()
            self.counters.settle(self.chance.choice(over).id, "acme", Charge(5, 5, self.chance.random() < 0.3))
            assert await self._readings() == before, Law.ONCE

    async def keep(self) -> None:
        live = [one for one in self.requests if one.is_live]
        if live:
            request, now = self.chance.choice(live), self._tick()
            dispatched = self.chance.random() < 0.8
            self.counters.keep(request.id, "acme", dispatched=dispatched)
            if request.is_live:
                request.dispatched = dispatched
                request.expires_at = now + HOLD_SECONDS

    async def extend(self) -> None:
        live = [one for one in self.requests if one.is_live]
        if not live:
            return
        self._tick()
        request = self.chance.choice(live)
        dearer = msgspec.structs.replace(request.ask, input_picousd=request.ask.input_tokens * 25, output_price=25)
        output = self.chance.randint(1, request.ask.output_tokens)
        said: Admission = await self.counters.extend(request.id, "acme", dearer, output)
        if said.refusal is None and request.is_live:
            needed = dearer.input_picousd + output * 25
            grown = [one for one in request.entries if one.meter.rule.counts_budget and one.meter.rule.measure is USD]
            more = [one for one in grown if one.held < needed]
            for entry in more:
                entry.held = needed
            self._within(await self._readings([entry.meter for entry in more]))

    async def wait(self) -> None:
        self.clock.at += self.chance.choice((0.0, 0.1, 1.0, 7.0, 20.0, 31.0, 700.0, 3_600.0, 20_000.0, 86_400.0))

    async def change(self) -> None:
        self._change_rule()

    async def move(self) -> None:
        self.zone = ZoneInfo(self.chance.choice(ZONES))

    async def restart(self) -> None:
        """The process dies. What was under way at a provider is charged, as its journal has it noted."""
        now = self._tick()
        for request in self.requests:
            if request.is_settled:
                continue
            charge = request.provisional()
            request.close(charge)
            if not charge.released:
                await self._write(request)
        self.counters = MemoryCounters(self.clock)
        asked = rebuilding.Asked(self.ledger, "acme")
        spent = await rebuilding.spent(asked, self.rules.values(), self.zone, now)
        dated = await rebuilding.dated(asked, self.rules.values(), self.zone, now)
        await self.counters.rebuild("acme", spent, dated)
        self.requests.clear()
        self.known = {meter.name: meter for meter, _ in spent}
        self.before = {meter.name: [(now, amount)] for meter, amount in spent}
        for name in {meter.name for meter, *_ in dated}:
            parts = [(at, amount) for meter, amount, at in dated if meter.name == name]
            counted = [0, *[amount for _, amount in parts]]
            self.before[name] = [(at, amount - less) for (at, amount), less in zip(parts, counted, strict=False)]
        for reading in await self._readings():
            assert reading.used == sum(amount for _, amount in self.before[reading.meter.name]), Law.SPENT

    # --- what must hold ---

    async def check(self) -> None:
        now = self._tick()
        for reading in await self._readings():
            rule, name = reading.meter.rule, reading.meter.name
            entries = [(one, entry) for one in self.requests for entry in one.entries if entry.meter.name == name]
            held = sum(entry.held for one, entry in entries if one.is_live)
            where = f"{name} in {self.zone}: {reading}"
            if rule.kind is MeterKind.CONCURRENCY:
                assert reading.used == sum(one.is_live for one, _ in entries), f"{Law.RUNNING}: {where}"
                continue
            if rule.kind is not MeterKind.RATE:
                assert reading.held == held, f"{Law.HELD}, {held}: {where}"
            rebuilt = self.before.get(name, [])
            if rule.kind not in MOVING:
                spent = sum(amount for _, amount in rebuilt) + sum(entry.booked for _, entry in entries)
                assert reading.used == spent, f"{Law.SPENT}, {spent}: {where}"
                continue
            counts_held = rule.kind is MeterKind.RATE
            amounts = [(one.at, entry.held if one.is_live and counts_held else entry.booked) for one, entry in entries]
            amounts += rebuilt
            slice_seconds = rule.period_seconds / 240
            least, most = (
                sum(amount for at, amount in amounts if at > now - seconds)
                for seconds in (rule.period_seconds, rule.period_seconds + slice_seconds + 1e-6)
            )
            assert least <= reading.used <= most, f"{Law.MOVING}, {least} to {most}: {where}"

    def _within(self, readings: list[Reading]) -> None:
        for reading in readings:
            assert not reading.meter.rule.enforce or reading.used + reading.held <= reading.meter.limit, (
                f"{Law.WITHIN}: {reading}"
            )

    # --- parts ---

    def _tick(self) -> float:
        """The time; what has expired by now is charged if a provider had it."""
        for request in self.requests:
            if request.is_live and request.expires_at <= self.clock.at:
                request.close(request.provisional())
                request.is_settled = request.charge.released  # nobody speaks of it any more
        return self.clock.at

    async def _settle(self, request: Request) -> None:
        self._tick()
        if request.is_settled:
            return
        most = request.provisional()
        released = not request.dispatched and self.chance.random() < 0.5
        share = self.chance.choice((0.0, 0.5, 1.0))
        charge = Charge(int(most.tokens * share), int(most.picousd * share), released)
        self.counters.settle(request.id, "acme", charge)
        request.close(charge)
        request.is_settled = True
        if not released:
            await self._write(request)

    async def _write(self, request: Request) -> None:
        charge, subject = request.charge, request.subject
        row = record(
            id=request.id, started_at=request.at, user=subject.user, key_id=subject.key_id, model=subject.model,
            usage=Usage(input=charge.tokens), cost_picousd=charge.picousd, attempts=(),
        )  # fmt: skip
        await self.ledger.write([row])

    async def _readings(self, meters: list[Meter] | tuple[Meter, ...] | None = None) -> list[Reading]:
        return await self.counters.read("acme", list(self.known.values()) if meters is None else meters)

    def _change_rule(self) -> None:
        """Raised, lowered, added, removed, or only tried from now on."""
        rule = self.chance.choice(KINDS)
        if rule.name in self.rules and self.chance.random() < 0.3:
            del self.rules[rule.name]
            return
        scale = {USD: (2_000, 40_000), TOKENS: (700, 20_000), REQUESTS: (2, 30)}[rule.measure]
        limit, enforce = self.chance.randint(*scale), self.chance.random() < 0.8
        self.rules[rule.name] = msgspec.structs.replace(rule, limit=limit, enforce=enforce)


def test_the_account_keeps_its_laws() -> None:
    admitted = 0
    for seed in range(SEEDS):
        life = Life(seed)
        try:
            asyncio.run(life.live())
        except AssertionError as error:
            pytest.fail(f"seed {seed}: {error}")
        admitted += life.admitted
    assert admitted > 20 * SEEDS
