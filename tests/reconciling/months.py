"""Months of traffic with an imperfect ledger: what the provider served, what the ledger has, and what is known of why.

Every fault is drawn from one seed: requests that the ledger lost, requests that it has twice, days on which a model was
billed at another price, and requests over midnight that the provider counts on the day on which they ended.
"""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from dataclasses import dataclass, field

from headgate.bills import Cause, Tokens
from headgate.policy.amounts import value_picousd
from headgate.types import AttemptRecord, Counted, Outcome, Price, RequestRecord, Usage
from tests.reconciling.provider import DAY, Call

FIRST_DAY = 20_500
API_KEYS = ("sk-one", "sk-two")
KEY_IDS = ("key_1", "key_2")
FINGERPRINTS = tuple(hashlib.sha256(key.encode()).hexdigest()[:8] for key in API_KEYS)
TENANTS = ("acme", "hobby", "zeta")
# What is asked for -> what bills call it.
MODELS = {
    "openai": {"gpt-4o-mini": "gpt-4o-mini-2024-07-18", "gpt-4.1": "gpt-4.1-2025-04-14", "text-embedding-3-small": ""},
    "anthropic": {"claude-sonnet-4-5": "claude-sonnet-4-5-20250929", "claude-haiku-4-5": ""},
}
PRICES = {
    "gpt-4o-mini": Price(input=150_000, output=600_000, cached_input=70_000),
    "gpt-4.1": Price(input=2_000_000, output=8_000_000, cached_input=500_000),
    "text-embedding-3-small": Price(input=20_000),
    "claude-sonnet-4-5": Price(3_000_000, 15_000_000, 300_000, cache_write=3_750_000, cache_write_1h=6_000_000),
    "claude-haiku-4-5": Price(1_000_000, 5_000_000, 100_000, cache_write=1_250_000, cache_write_1h=2_000_000),
}
FACTORS = ((11, 10), (1, 2), (3, 2), (9, 10))
Place = tuple[int, str, str]  # day, model, fingerprint


@dataclass(frozen=True)
class Served:
    """One request as it really was."""

    number: int
    started_at: float
    seconds: float
    model: str
    key: int
    tenant: str
    tokens: Tokens
    lost: bool
    doubled: bool
    counted_at_end: bool

    @property
    def value(self) -> int:
        return value_picousd(self.tokens, PRICES[self.model])

    @property
    def day(self) -> int:
        """Of the ledger, which counts when it began."""
        return int(self.started_at // DAY)

    @property
    def billed_day(self) -> int:
        at = self.started_at + (self.seconds if self.counted_at_end else 0)
        return int(at // DAY)

    @property
    def is_late(self) -> bool:
        return not self.lost and self.billed_day != self.day


@dataclass
class Month:
    """One generated month."""

    seed: int
    kind: str = "openai"
    by_key: bool = True
    days: range = range(0)
    served: list[Served] = field(default_factory=list)
    factors: dict[tuple[int, str], tuple[int, int]] = field(default_factory=dict)

    def place(self, one: Served, day: int) -> Place:
        return (day, one.model, FINGERPRINTS[one.key] if self.by_key else "")

    def billed(self, one: Served) -> int:
        times, parts = self.factors.get((one.billed_day, one.model), (1, 1))
        return one.value * times // parts

    def calls(self) -> list[Call]:
        """What the provider says."""
        found = []
        for one in self.served:
            at = one.started_at + (one.seconds if one.counted_at_end else 0)
            model = MODELS[self.kind][one.model] or one.model
            found.append(Call(at, model, KEY_IDS[one.key], one.tokens, self.billed(one)))
        return found

    def records(self) -> list[RequestRecord]:
        """What the ledger has, in the order in which it came."""
        rows = []
        for one in self.served:
            copies = 0 if one.lost else 2 if one.doubled else 1
            rows += [record_of(one, self.kind, copy) for copy in range(copies)]
        return rows

    def expected(self) -> dict[tuple[Place, Cause], int]:
        """What each cause makes, as far as it can be known; where it cannot, late and missing are told together."""
        parts: dict[tuple[Place, Cause], int] = defaultdict(int)
        knowable = self._knowable()
        for one in self.served:
            home, there = self.place(one, one.day), self.place(one, one.billed_day)
            parts[there, Cause.MISPRICED] += self.billed(one) - one.value
            if one.lost:
                parts[there, Cause.MISSING] += one.value
            elif one.is_late:
                cause = Cause.LATE if home in knowable else Cause.UNEXPLAINED
                parts[home, cause] -= one.value
                parts[there, cause] += one.value
            if one.doubled and not one.lost:
                parts[home, Cause.DOUBLED] -= one.value
        return {part: cost for part, cost in parts.items() if cost and part[0][0] in self.days}

    def _knowable(self) -> set[Place]:
        """The days whose late requests can be told: a day that has lost none, and no other midnight in question,
        tells its midnight, which then is in question no more for the day on its other side."""
        open_nights = {self.place(one, one.day) for one in self.served if one.is_late}
        lost = {self.place(one, one.billed_day) for one in self.served if one.lost}
        told: set[Place] = set()
        while True:
            before = len(told)
            for day, model, key in sorted(open_nights - told):
                for side, other in ((day, day - 1), (day + 1, day + 1)):
                    in_question = (other, model, key) in open_nights - told
                    if side in self.days and (side, model, key) not in lost and not in_question:
                        told.add((day, model, key))
            if len(told) == before:
                return told


def month(seed: int) -> Month:
    """The same seed gives the same month."""
    chance = random.Random(f"month {seed}")
    made = Month(seed, chance.choice(list(MODELS)), chance.random() < 0.6)
    made.days = range(FIRST_DAY, FIRST_DAY + chance.randint(28, 31))
    at_end = chance.random() < 0.7
    for day in range(made.days.start - 1, made.days.stop):
        for model in MODELS[made.kind]:
            for _ in range(chance.randint(0, 7)):
                made.served.append(_served(chance, len(made.served), day, model, at_end))
    for _ in range(chance.randint(1, 3)):
        model = chance.choice(list(MODELS[made.kind]))
        start = chance.choice(made.days)
        factor = chance.choice(FACTORS)
        made.factors |= {(day, model): factor for day in range(start, start + chance.randint(1, 9))}
    return made


def _served(chance: random.Random, number: int, day: int, model: str, at_end: bool) -> Served:
    over_midnight = chance.random() < 0.04
    within = DAY - chance.uniform(1, 60) if over_midnight else chance.uniform(0, DAY - 2000)
    given = chance.randint(1, 4000) * 10
    cached, short, long = (chance.randint(0, given // 4) // 10 * 10 if chance.random() < 0.4 else 0 for _ in range(3))
    embedding, claude = "embedding" in model, "claude" in model
    tokens = Tokens(
        input=given,
        cached_input=0 if embedding else cached,
        cache_write=short if claude else 0,
        cache_write_1h=long if claude else 0,
        output=0 if embedding else chance.randint(1, 300) * 10,
    )
    lost, doubled = chance.random() < 0.03, chance.random() < 0.03
    seconds = chance.uniform(61, 120) if over_midnight else chance.uniform(0.1, 90)
    who = (chance.randrange(2), chance.choice(TENANTS))
    return Served(number, day * DAY + within, seconds, model, *who, tokens, lost, doubled, at_end)


def record_of(one: Served, provider: str, copy: int) -> RequestRecord:
    identity = f"req_{one.number:08d}{copy}"
    started_at = one.started_at + copy * 0.25
    used = one.tokens
    usage = Usage(
        used.input, used.cached_input, used.output, 0, Counted.REPORTED, used.cache_write, used.cache_write_1h
    )
    attempt = AttemptRecord(
        id=f"{identity}.1", request_id=identity, number=1, started_at=started_at, deployment=f"{provider}/{one.model}",
        provider=provider, endpoint="https://api.example", upstream_model=one.model,
        key_fingerprint=FINGERPRINTS[one.key], outcome=Outcome.DONE, status=200, upstream_id=f"chatcmpl-{one.number}",
        usage=usage, cost_picousd=one.value, price_version="config", seconds=one.seconds - copy * 0.25,
    )  # fmt: skip
    return RequestRecord(
        id=identity, started_at=started_at, tenant=one.tenant, user=None, key_id="key_1", route="chat/completions",
        dialect="openai", model=one.model, stream=False, outcome=Outcome.DONE, status=200,
        deployment=attempt.deployment, provider=provider, upstream_model=one.model, usage=usage,
        cost_picousd=one.value, price_version="config", e2e_seconds=one.seconds, attempts=(attempt,),
    )  # fmt: skip
