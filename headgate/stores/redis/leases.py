"""Limits on everybody together. They are not in any tenant's slot of a cluster, and one key would be everybody's
bottleneck: so each process takes a slice of the limit, lets requests in by itself, and comes back for the next one.

What a process has taken and not used is given back after LEASE_SECONDS. So in any moving minute at most one slice for
each process more is let in than the limit says; a process that has a slice keeps it from the others for so long. What
is under way is counted by process: one that has died is forgotten after ALIVE_SECONDS.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec

from headgate.errors import StoreUnavailable
from headgate.metering import Admission, Ask, Charge, Meter, Reading, Refusal, Standing, Verdict
from headgate.stores.redis.encoding import bulk
from headgate.types import Measure, MeterKind

SLICES = 100  # of a limit; what a process takes at once
LEASE_SECONDS = 1.0
ALIVE_SECONDS = 30.0
RENEW_SECONDS = 10.0
_GRANT = struct.Struct("<dddddd")
_VERDICTS = (None, *Verdict)
_ROUNDING = 1e-6  # of a request or token, which fractions of seconds may have lost

Run = Callable[[Meter, Sequence[bytes]], Awaitable[bytes]]


class Grant(NamedTuple):
    """What the store said to a process: how much, when, how long to wait (-1: not), what is used, why not, and how
    many seconds a bucket takes to be full again."""

    amount: int
    at: float
    wait_seconds: float
    used: int
    verdict: Verdict | None
    debt_seconds: float


class Taken(NamedTuple):
    """What a request has of a limit."""

    share: Share
    amount: int
    at: float  # by the store's clock


class Share:
    """What this process has of one limit."""

    __slots__ = ("asking", "at", "fresh_until", "given_back", "in_use", "meter", "said", "stock")

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.stock = 0  # of a rate: taken and not used; of concurrency: how many may be under way here
        self.in_use = 0  # of concurrency
        self.at = 0.0  # when the stock was taken, by the store's clock
        self.fresh_until = 0.0  # by the loop's
        self.asking = 0  # calls under way
        self.given_back: list[tuple[int, float]] = []
        self.said: Grant | None = None  # by the store, the last time; at most LEASE_SECONDS old when there is stock

    def standing(self) -> Standing | None:
        """How a rate stood when the store was asked last; what this process has not used since is left. What has
        come free since is not told; nor what others have taken, at most a slice for each process that took one."""
        if self.said is None:
            return None
        limit, rule = self.meter.limit, self.meter.rule
        debt = max(0.0, self.said.debt_seconds - self.stock * rule.period_seconds / limit) if limit else 0.0
        in_bucket = int((rule.burst_seconds - debt) * limit / rule.period_seconds + _ROUNDING)
        left = max(0, min(limit - self.said.used + self.stock, in_bucket))
        return Standing(limit, left, debt, self.said.at + debt)


class Leases:
    """The shares of one process. `run` runs the script `lease` for a meter; `process` is unique among all of them."""

    def __init__(self, run: Run, process: str, monotonic: Callable[[], float]) -> None:
        self._run = run
        self._monotonic = monotonic
        self._process = bulk(process.encode())
        self._shares: dict[str, Share] = {}
        self._held: dict[str, list[Taken]] = {}
        self._renewing: asyncio.Task[None] | None = None

    async def take(self, meters: Sequence[Meter], ask: Ask) -> tuple[list[Taken], Refusal | None]:
        """All that a request needs, or nothing and the limit that says no. Raises StoreUnavailable."""
        taken: list[Taken] = []
        try:
            for meter in meters:
                needed = ask.input_tokens + ask.output_tokens * ask.choices
                amount = needed if meter.rule.measure is Measure.TOKENS else 1
                one = await self._take(self._share(meter), amount)
                if isinstance(one, Refusal):
                    self.give_back(taken)
                    return [], one
                taken.append(one)
        except BaseException:
            self.give_back(taken)
            raise
        return taken, None

    def take_at_hand(self, meters: Sequence[Meter], ask: Ask) -> list[Taken] | None:
        """As `take`, of what this process has already; None, and nothing is taken, if that is not enough."""
        tokens, now = ask.input_tokens + ask.output_tokens * ask.choices, self._monotonic()
        taken: list[Taken] = []
        for meter in meters:
            share = self._share(meter)
            if meter.rule.kind is MeterKind.CONCURRENCY:
                if share.in_use >= share.stock:
                    break
                share.in_use += 1
                taken.append(Taken(share, 1, 0.0))
                continue
            amount = tokens if meter.rule.measure is Measure.TOKENS else 1
            if share.stock < amount or now >= share.fresh_until:
                break
            share.stock -= amount
            taken.append(Taken(share, amount, share.at))
        else:
            return taken
        self.give_back(taken)
        return None

    def hold(self, hold_id: str, taken: list[Taken], ask: Ask, output_tokens: int) -> None:
        """The request goes in; what it needs less than was thought is given back."""
        spare = (ask.output_tokens - output_tokens) * ask.choices
        self._held[hold_id] = [self._lessened(one, spare) for one in taken] if spare > 0 else taken

    def settle(self, hold_id: str, charge: Charge) -> None:
        """What a request came to in the end."""
        taken = self._held.pop(hold_id, None)
        if taken is None:
            return
        if charge.released:
            self.give_back(taken)
            return
        for one in taken:
            if one.share.meter.rule.kind is MeterKind.CONCURRENCY:
                one.share.in_use -= 1
            elif one.share.meter.rule.measure is Measure.TOKENS and charge.tokens != one.amount:
                one.share.given_back.append((one.amount - charge.tokens, one.at))

    def give_back(self, taken: Sequence[Taken]) -> None:
        """It was never used."""
        for one in taken:
            if one.share.meter.rule.kind is MeterKind.CONCURRENCY:
                one.share.in_use -= 1
            elif one.at == one.share.at:
                one.share.stock += one.amount
            else:
                one.share.given_back.append((one.amount, one.at))

    def tightest(self, admission: Admission, meters: Sequence[Meter]) -> Admission:
        """What was decided, told with the limits on everybody where they are tighter than the tenant's own."""
        requests, tokens = admission.requests, admission.tokens
        for meter in meters:
            standing = self._share(meter).standing() if meter.rule.kind is MeterKind.RATE else None
            if standing is None:
                continue
            if meter.rule.measure is Measure.REQUESTS:
                requests = standing if requests is None or standing.remaining < requests.remaining else requests
            else:
                tokens = standing if tokens is None or standing.remaining < tokens.remaining else tokens
        if requests is admission.requests and tokens is admission.tokens:
            return admission
        return msgspec.structs.replace(admission, requests=requests, tokens=tokens)

    async def read(self, meter: Meter) -> Reading:
        """How a limit stands for all processes together, with what they have taken and not used yet."""
        share = self._share(meter)
        grant = await self._ask(share, share.stock if meter.rule.kind is MeterKind.CONCURRENCY else 0, 0)
        return Reading(meter, grant.used, 0)

    async def aclose(self, *, give_back: bool) -> None:
        """Give everything back, if that is possible."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        if give_back:
            await self._renew(everything=True)

    # --- parts ---

    def _share(self, meter: Meter) -> Share:
        share = self._shares.get(meter.name)
        if share is None:
            share = self._shares[meter.name] = Share(meter)
            if self._renewing is None:
                self._renewing = asyncio.get_running_loop().create_task(self._renew_forever())
        share.meter = meter  # with the limit that holds now
        return share

    def _lessened(self, one: Taken, spare: int) -> Taken:
        if spare <= 0 or one.share.meter.rule.measure is not Measure.TOKENS:
            return one
        self.give_back([one._replace(amount=spare)])
        return one._replace(amount=one.amount - spare)

    async def _take(self, share: Share, amount: int) -> Taken | Refusal:
        if share.meter.rule.kind is MeterKind.CONCURRENCY:
            return await self._enter(share)
        if share.stock >= amount and self._monotonic() < share.fresh_until:
            share.stock -= amount
            return Taken(share, amount, share.at)
        # Only one slice is asked for at a time; who comes meanwhile asks for what he needs himself.
        wanted = amount if share.asking else max(amount, share.meter.limit // SLICES)
        grant = await self._ask(share, wanted, amount)
        if grant.verdict is not None:
            return _refusal(share.meter, grant, amount)
        if grant.amount > amount:
            self._put_away(share)
            share.stock, share.at = grant.amount - amount, grant.at
            share.fresh_until = self._monotonic() + LEASE_SECONDS
        return Taken(share, amount, grant.at)

    async def _enter(self, share: Share) -> Taken | Refusal:
        share.in_use += 1
        if share.in_use > share.stock:
            try:
                grant = await self._ask(share, share.in_use + share.meter.limit // SLICES, share.in_use)
            except BaseException:
                share.in_use -= 1
                raise
            share.stock = grant.amount
            if share.in_use > share.stock:
                share.in_use -= 1
                return _refusal(share.meter, grant._replace(verdict=Verdict.CONCURRENCY), 1)
        return Taken(share, 1, 0.0)

    async def _ask(self, share: Share, wanted: int, needed: int) -> Grant:
        if share.meter.rule.kind is MeterKind.CONCURRENCY:
            rest = (self._process, bulk(b"%.17g" % ALIVE_SECONDS))
        else:
            if self._monotonic() >= share.fresh_until:
                self._put_away(share)
            back, share.given_back = share.given_back, []
            rest = (bulk(msgspec.msgpack.encode(back)), bulk(b""))
        share.asking += 1
        try:
            told = await self._run(share.meter, (bulk(b"%d" % wanted), bulk(b"%d" % needed), *rest))
        finally:
            share.asking -= 1
        amount, at, wait, used, why, debt_seconds = _GRANT.unpack(told)
        share.said = Grant(int(amount), at, wait, int(used), _VERDICTS[int(why)], debt_seconds)
        return share.said

    def _put_away(self, share: Share) -> None:
        """What is left of a slice goes back with the next call."""
        if share.stock:
            share.given_back.append((share.stock, share.at))
            share.stock = 0

    async def _renew_forever(self) -> None:
        waited = 0.0
        while True:
            await asyncio.sleep(LEASE_SECONDS)
            waited += LEASE_SECONDS
            await self._renew(everything=False, alive=waited >= RENEW_SECONDS)
            waited = 0.0 if waited >= RENEW_SECONDS else waited

    async def _renew(self, *, everything: bool, alive: bool = False) -> None:
        """Give back what nobody uses, and say what is under way here."""
        now = self._monotonic()
        for share in list(self._shares.values()):
            try:
                if share.meter.rule.kind is MeterKind.CONCURRENCY:
                    if everything or alive or share.stock > share.in_use + share.meter.limit // SLICES:
                        wanted = 0 if everything else share.in_use
                        share.stock = (await self._ask(share, wanted, 0)).amount
                elif share.given_back or (share.stock and (everything or now >= share.fresh_until)):
                    if everything:
                        self._put_away(share)
                    await self._ask(share, 0, 0)
            except StoreUnavailable:
                return  # what was to be given back stays counted, until its window has passed


def _refusal(meter: Meter, grant: Grant, needed: int) -> Refusal:
    assert grant.verdict is not None
    wait = grant.wait_seconds if grant.wait_seconds >= 0 else None
    return Refusal(meter, grant.verdict, grant.used, 0, needed, wait)
