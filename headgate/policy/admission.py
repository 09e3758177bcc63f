"""May a request go in? One decision over all its meters: all of them let it pass, or none counts it.

The ceiling on output is part of the decision. A budget that cannot pay for all that was asked for pays for less: the
ceiling is lowered to what is left of it, and the caller is told. Money that others hold is not spent, so it never
lowers a ceiling; the request waits for it instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from headgate.metering import Admission, Ask, Charge, Crossing, Meter, Refusal, Standing, Verdict
from headgate.policy.meters import Rate, Rolling, State, settled_amount
from headgate.policy.sliding import fits_at
from headgate.policy.velocity import Velocity
from headgate.types import Measure, MeterKind

SHORT_WAIT_SECONDS = 1.0  # for what ends nobody knows when: money that is held, requests under way
MOST_ROUNDS = 8  # in which a time is looked for that all rates have free
PERCENTS = (50, 80, 100)  # of a budget, that are worth telling about
_HOPELESS = (Verdict.TOO_LARGE, Verdict.SPENT, Verdict.LOOP)
_WORST_FIRST = {verdict: place for place, verdict in enumerate(Verdict)}


class Post(NamedTuple):
    """A meter and what it remembers."""

    meter: Meter
    state: State


class Entry(NamedTuple):
    """What a hold has taken of one meter."""

    post: Post
    amount: int


def decide(posts: Sequence[Post], ask: Ask, now: float) -> Admission:
    """Decide, and change nothing."""
    output = _affordable_output(posts, ask, now)
    amounts = _amounts(ask, output)
    refusals: list[Refusal] | None = None
    unenforced: list[Refusal] | None = None
    for meter, state in posts:
        amount = amounts[meter.rule.measure] if meter.rule.kind is not MeterKind.REPEAT else ask.fingerprint
        verdict = state.verdict(meter, amount, now)
        if verdict is None:
            continue
        refusal = _refusal(Post(meter, state), verdict, amount, now)
        if meter.rule.enforce:
            refusals = [*(refusals or ()), refusal]
        else:
            unenforced = [*(unenforced or ()), refusal]
    tried = tuple(unenforced) if unenforced else ()
    if refusals is None:
        return Admission(None, output // ask.choices, unenforced=tried)
    worst = min(refusals, key=_badness)
    if worst.verdict in _HOPELESS:
        return Admission(worst, unenforced=tried)
    longest = max([refusal.wait_seconds or 0.0 for refusal in refusals])
    free = {refusal.meter.name for refusal in refusals if refusal.wait_seconds == longest}
    others = [post for post in posts if post.meter.name not in free]
    at = _turn_at(others, amounts, now, now + longest)
    if at > now + longest:  # then it may be taken in those
        at = _turn_at(posts, amounts, now, at)
    return Admission(worst, wait_seconds=at - now, unenforced=tried)


def take(posts: Sequence[Post], ask: Ask, output_tokens: int, now: float) -> list[Entry]:
    """Count an admitted request everywhere; returns what it holds. `output_tokens` are those of one choice."""
    amounts = _amounts(ask, output_tokens * ask.choices)
    entries = []
    for post in posts:
        meter, state = post
        amount = ask.fingerprint if meter.rule.kind is MeterKind.REPEAT else amounts[meter.rule.measure]
        state.take(meter, amount, now)
        entries.append(Entry(post, amount))
    return entries


def promise(posts: Sequence[Post], ask: Ask, wait_seconds: float, now: float) -> None:
    """A refused request was told to come back after so long: who comes next is told another time."""
    amounts = _amounts(ask, _affordable_output(posts, ask, now))
    for meter, state in posts:
        if isinstance(state, Rate) and meter.rule.enforce:
            state.promise(meter, amounts[meter.rule.measure], now + wait_seconds)


def extend(posts: Sequence[Post], entries: Sequence[Entry], ask: Ask, output_tokens: int, now: float) -> Admission:
    """Whether a hold may grow to what another, dearer attempt needs. Rates and turns were paid at the entrance."""
    amounts = _amounts(ask, output_tokens * ask.choices)
    held = {entry.post.meter.name: entry.amount for entry in entries}
    for post in posts:
        meter, state = post
        if meter.rule.measure is not Measure.USD or not meter.rule.enforce:
            continue
        more = amounts[Measure.USD] - held.get(meter.name, 0)
        verdict = state.verdict(meter, more, now) if more > 0 else None
        if verdict is not None and verdict is not Verdict.TRIPPED:
            return Admission(_refusal(post, verdict, more, now), wait_seconds=SHORT_WAIT_SECONDS)
    return Admission(None, output_tokens)


def grow(entries: Sequence[Entry], ask: Ask, output_tokens: int, now: float) -> list[Entry]:
    """Let a hold take what `extend` has said it may."""
    needed = _amounts(ask, output_tokens * ask.choices)[Measure.USD]
    grown = []
    for entry in entries:
        (meter, state), amount = entry
        counts_money = meter.rule.counts_budget and meter.rule.measure is Measure.USD
        if counts_money and needed > amount:
            state.take(meter, needed - amount, now)
            entry = Entry(entry.post, needed)
        grown.append(entry)
    return grown


def settle(entry: Entry, tenant: str, charge: Charge, at: float, now: float) -> Crossing | None:
    """Replace what a hold has taken of one meter, at `at`, by what it came to."""
    (meter, state), amount = entry
    if charge.released:
        state.release(meter, amount, at)
        return None
    actual = settled_amount(meter, tokens=charge.tokens, picousd=charge.picousd)
    tripped = isinstance(state, Velocity) and state.is_tripped(meter, now)
    state.settle(meter, amount, actual, at, now)
    if isinstance(state, Velocity):
        return state.trip(tenant, meter) if not tripped and state.is_tripped(meter, now) else None
    if not actual or not meter.rule.counts_budget:
        return None
    return crossing(tenant, meter, actual, state.reading(meter, now).used)


def correct(entry: Entry, booked: Charge, charge: Charge, at: float, now: float) -> None:
    """The truth about a hold that had been charged provisionally, because nobody had spoken of it for too long."""
    (meter, state), _ = entry
    before = settled_amount(meter, tokens=booked.tokens, picousd=booked.picousd)
    actual = 0 if charge.released else settled_amount(meter, tokens=charge.tokens, picousd=charge.picousd)
    if meter.rule.kind is MeterKind.RATE:
        state.settle(meter, before, actual, at, now)
    elif meter.rule.kind in (MeterKind.BUDGET, MeterKind.ROLLING, MeterKind.VELOCITY):
        state.settle(meter, 0, actual - before, at, now)


def crossing(tenant: str, meter: Meter, added: int, spent: int) -> Crossing | None:
    """Whether the amount that was added took what is spent past a part of the limit worth telling about."""
    limit, before = meter.limit, spent - added
    for percent in reversed(PERCENTS):
        mark = limit * percent
        if before * 100 < mark <= spent * 100:
            return Crossing(tenant, meter, percent, spent)
    return None


def next_mark(limit: int, spent: int) -> int:
    """The least amount above what is spent at which a crossing is to be told."""
    marks = [-(-limit * percent // 100) for percent in PERCENTS]
    return next((mark for mark in marks if mark > spent), 2**63)


def standings(posts: Sequence[Post], now: float) -> tuple[Standing | None, Standing | None]:
    """The tightest limit on requests and on tokens, as rate-limit headers tell it."""
    requests: Standing | None = None
    tokens: Standing | None = None
    for meter, state in posts:
        if not isinstance(state, Rate) or not meter.rule.enforce:
            continue
        standing = _standing(meter, state, now)
        if meter.rule.measure is Measure.REQUESTS:
            requests = standing if requests is None or standing.remaining < requests.remaining else requests
        else:
            tokens = standing if tokens is None or standing.remaining < tokens.remaining else tokens
    return requests, tokens


def _standing(meter: Meter, state: Rate, now: float) -> Standing:
    limit, rule = meter.limit, meter.rule
    debt = state.tat - now if state.tat > now else 0.0
    in_bucket = int((rule.burst_seconds - debt) * limit / rule.period_seconds)
    remaining = min(limit - state.window.total, in_bucket)
    return Standing(limit, remaining if remaining > 0 else 0, debt, now + debt)


def _affordable_output(posts: Sequence[Post], ask: Ask, now: float) -> int:
    """The ceiling on output, of all choices together, that every enforced meter could hold once nobody else did."""
    output = wanted = ask.output_tokens * ask.choices
    for meter, state in posts:
        rule = meter.rule
        if rule.measure is Measure.REQUESTS or not rule.enforce:
            continue
        room = state.room(meter, now)
        if room is None:
            continue
        if rule.measure is Measure.TOKENS:
            left = room - ask.input_tokens
        elif ask.output_price:
            left = (room - ask.input_picousd) // ask.output_price
        else:
            continue
        if left < output:
            output = left
    if output == wanted:
        return wanted
    return max(output // ask.choices, min(ask.least_output_tokens, ask.output_tokens)) * ask.choices


def _amounts(ask: Ask, output: int) -> dict[Measure, int]:
    return {
        Measure.REQUESTS: 1,
        Measure.TOKENS: ask.input_tokens + output,
        Measure.USD: ask.input_picousd + output * ask.output_price,
    }


def _badness(refusal: Refusal) -> tuple[int, float]:
    """The worst has the least; of two that are as bad, what takes longer."""
    return _WORST_FIRST[refusal.verdict], -inf if refusal.wait_seconds is None else -refusal.wait_seconds


def _refusal(post: Post, verdict: Verdict, amount: int, now: float) -> Refusal:
    meter, state = post
    reading = state.reading(meter, now)
    wait: float | None = None
    if isinstance(state, Velocity):
        wait = max(0.0, state.waits_until(now) - now)
    elif verdict in (Verdict.CONCURRENCY, Verdict.HELD):
        wait = SHORT_WAIT_SECONDS
    elif verdict is Verdict.RATE and isinstance(state, Rate):
        wait = state.turn_at(meter, amount, now, now) - now
    elif verdict is Verdict.SPENT and isinstance(state, Rolling) and meter.limit:
        leaving = ((state.window.expires_at(place), taken) for place, taken in state.window.slices())
        wait = fits_at(leaving, reading.used + amount - meter.limit, now) - now
    return Refusal(meter, verdict, reading.used, reading.held, amount, wait, reading.trips_above)


def _turn_at(posts: Sequence[Post], amounts: dict[Measure, int], now: float, since: float) -> float:
    """The earliest time from `since` on that is free in all rates: what is free in one may be taken in another."""
    at = since
    for _ in range(MOST_ROUNDS):
        before = at
        for meter, state in posts:
            if isinstance(state, Rate) and meter.rule.enforce:
                at = max(at, state.turn_at(meter, amounts[meter.rule.measure], now, at))
        if at == before:
            break
    return at
