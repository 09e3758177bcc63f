"""Why a provider's bill and the ledger differ: pure arithmetic on days, models and keys.

A difference is taken apart in this order, and its parts always add up to it exactly:

1. Rows that repeat the provider's request id: the ledger has that request twice.
2. Requests around midnight that the provider counts on the other day. Its clock cuts them in the order in which they
   began or ended, so the last ones of a day, or the first ones of the next, are moved while that makes one of the two
   days agree in every class of tokens (and in requests, where they are told).
3. Tokens that are still too many or too few, valued at the ledger's own price.
4. The rest is a matter of price: the same tokens, another amount.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from headgate.bills import Amount, Cause, Explanation, Finding, LedgerAttempt, Tokens
from headgate.policy.amounts import add, classes, same_use, total, value_picousd
from headgate.policy.pricing import format_usd
from headgate.policy.statements import Cell, Place
from headgate.types import Frozen, Price

ROUNDING_PICOUSD = 10**6  # bills show amounts down to about a millionth of a dollar
ROUNDING_PARTS = 1000  # and what is rounded off is a small part of the amount
MAX_MOVED = 5000  # requests around one midnight that are tried
MIDNIGHT_SECONDS = 900.0  # how far clocks and books may be apart for a request to be counted on the other day
SECONDS_PER_DAY = 86_400


class Terms(Frozen, frozen=True):
    """What is known beside the two sides: prices by model, models and keys that are headgate's, and the days compared.

    `days` are all days of the statement, in order; attempts of the day before and after may be in the evidence too.
    """

    days: range
    prices: dict[str, Price]
    models: frozenset[str]
    keys: frozenset[str]


class Evidence(Frozen, frozen=True):
    """Attempts that sums do not show: those that repeat a provider's request id, and those around midnight."""

    doubles: tuple[LedgerAttempt, ...] = ()
    around_midnight: tuple[LedgerAttempt, ...] = ()


class _Move(Frozen, frozen=True):
    """Requests that the provider counts on another day than the ledger does."""

    count: int
    amount: Amount


def differing(places: Mapping[Place, Cell]) -> list[Place]:
    """The places where the two sides do not agree, for which evidence is worth collecting."""
    return [place for place, cell in places.items() if not _agrees(_rest(cell), cell)]


def explain(places: Mapping[Place, Cell], evidence: Evidence, terms: Terms) -> list[Finding]:
    """What differs and why, in the order of days."""
    rests = {place: _rest(cell) for place, cell in places.items()}
    explanations: dict[Place, list[Explanation]] = defaultdict(list)
    for place, copies in _by_place(evidence.doubles, places).items():
        if place in rests:
            amount = total(copy.amount for copy in copies)
            rests[place] = add(rests[place], amount)
            explanations[place].append(_doubled(len(copies), amount))
    _move_late(rests, places, evidence, terms, explanations)
    findings = []
    for place in sorted({*places, *rests}):
        cell = places.get(place, Cell())
        parts = (*explanations[place], *_remainder(place, rests[place], cell, terms))
        difference = cell.billed.cost_picousd - cell.ledger.cost_picousd
        if parts or difference:
            findings.append(Finding(*place, cell.ledger, cell.billed, parts))
    return findings


def _rest(cell: Cell) -> Amount:
    rest = add(cell.billed, cell.ledger, -1)
    return rest if cell.told else Amount(None, Tokens(), rest.cost_picousd)


def _agrees(rest: Amount, cell: Cell) -> bool:
    return not rest.cost_picousd and (same_use(rest) or not cell.told)


def _by_place(attempts: Sequence[LedgerAttempt], places: Mapping[Place, Cell]) -> dict[Place, list[LedgerAttempt]]:
    """Attempts by where they are compared: where keys are not told, the place has none."""
    found: dict[Place, list[LedgerAttempt]] = defaultdict(list)
    by_key = any(key for _, _, key in places)
    for attempt in attempts:
        found[attempt.day, attempt.model, attempt.key if by_key else ""].append(attempt)
    return found


# --- around midnight ---


def _move_late(
    rests: dict[Place, Amount],
    places: Mapping[Place, Cell],
    evidence: Evidence,
    terms: Terms,
    explanations: dict[Place, list[Explanation]],
) -> None:
    """Move requests over each midnight where that makes a day agree, until nothing more does."""
    attempts = _by_place(evidence.around_midnight, places)
    nights = sorted({(model, key) for _, model, key in attempts})
    moved = True
    done: set[Place] = set()
    while moved:
        moved = False
        for model, key in nights:
            for day in range(terms.days.start - 1, terms.days.stop):
                before, after = (day, model, key), (day + 1, model, key)
                if before in done:
                    continue
                move = _fitting(before, after, rests, attempts, terms)
                if move is None:
                    continue
                done.add(before)
                moved = True
                for place, sign in ((before, 1), (after, -1)):
                    if place[0] in terms.days:
                        rests[place] = add(rests.get(place, _untold(places)), move.amount, sign)
                        explanations[place].append(_late(move, sign))


def _fitting(
    before: Place,
    after: Place,
    rests: Mapping[Place, Amount],
    attempts: Mapping[Place, list[LedgerAttempt]],
    terms: Terms,
) -> _Move | None:
    sides = [(place, sign) for place, sign in ((before, 1), (after, -1)) if place[0] in terms.days]
    known = [(rests.get(place, Amount()), sign) for place, sign in sides]
    if all(same_use(rest) for rest, _ in known):
        return None
    for moves in _orders(attempts.get(before, []), attempts.get(after, [])):
        for move in moves:
            then = [(rest, add(rest, move.amount, sign)) for rest, sign in known]
            spoils = any(same_use(was) and not same_use(now) for was, now in then)
            if not spoils and any(same_use(now) for _, now in then):
                return move
            if all(_is_passed(was, now) for was, now in then):
                break
    return None


def _is_passed(was: Amount, now: Amount) -> bool:
    """Whether some class of tokens is beyond zero: moving more only leads further away."""
    return any(
        before * after < 0 or (after and not before)
        for before, after in zip(classes(was.tokens), classes(now.tokens), strict=True)
    )


def _orders(before: Sequence[LedgerAttempt], after: Sequence[LedgerAttempt]) -> Iterator[Iterator[_Move]]:
    """The last ones of a day to the next, or the first ones of the next day back; the fewest first."""
    last = [one for one in before if one.ended_at >= (one.day + 1) * SECONDS_PER_DAY - MIDNIGHT_SECONDS]
    first = [one for one in after if one.started_at < one.day * SECONDS_PER_DAY + MIDNIGHT_SECONDS]
    orders = (
        (1, sorted(last, key=lambda one: (-one.ended_at, one.id))),
        (1, sorted(last, key=lambda one: (-one.started_at, one.id))),
        (-1, sorted(first, key=lambda one: (one.started_at, one.id))),
    )
    return (_moves(sign, order) for sign, order in orders)


def _moves(sign: int, order: Sequence[LedgerAttempt]) -> Iterator[_Move]:
    amount = Amount()
    for count, attempt in enumerate(order[:MAX_MOVED], 1):
        amount = add(amount, attempt.amount, sign)
        yield _Move(sign * count, amount)


def _untold(places: Mapping[Place, Cell]) -> Amount:
    """Nothing at all, with requests only if the statement counts them."""
    counts = any(cell.billed.requests is not None for cell in places.values())
    return Amount(0 if counts else None)


# --- words ---


def _doubled(count: int, amount: Amount) -> Explanation:
    words = f"{_requests(count)} of the provider's {'are' if count > 1 else 'is'} in the ledger twice."
    return Explanation(Cause.DOUBLED, -amount.cost_picousd, words, -count, amount.tokens)


def _late(move: _Move, sign: int) -> Explanation:
    """`sign` 1: on the day before the midnight."""
    count = abs(move.count)
    other = "next" if sign == 1 else "previous"
    if (move.count > 0) == (sign == 1):
        words = f"{_requests(count)} around midnight that the ledger has on this day, the provider on the {other}."
    else:
        words = f"{_requests(count)} around midnight that the provider has on this day, the ledger on the {other}."
    return Explanation(Cause.LATE, -sign * move.amount.cost_picousd, words, -sign * move.count)


def _remainder(place: Place, rest: Amount, cell: Cell, terms: Terms) -> Iterator[Explanation]:
    _, model, key = place
    cost = rest.cost_picousd
    if cell.other:
        yield Explanation(Cause.NOT_TOKENS, cost, f"A charge that is not for tokens: {cell.other}.")
    elif not cell.told:
        if cost:
            words = "The statement has no tokens for this model and day, so only the amounts can be compared."
            yield Explanation(Cause.UNEXPLAINED, cost, words)
    elif model not in terms.models:
        words = f"{_used(rest)} with a model that was never asked for through headgate."
        yield Explanation(Cause.UNKNOWN_MODEL, cost, words, rest.requests, rest.tokens)
    elif key and key not in terms.keys:
        words = f"{_used(rest)} with a key that headgate does not have."
        yield Explanation(Cause.UNKNOWN_KEY, cost, words, rest.requests, rest.tokens)
    else:
        for_tokens = _tokens_cost(rest, cell, terms.prices.get(model))
        if not same_use(rest):
            yield _use_differs(rest, for_tokens, cell)
        if cost != for_tokens:
            yield _price_differs(cost - for_tokens, for_tokens, rest, cell)


def _tokens_cost(rest: Amount, cell: Cell, price: Price | None) -> int:
    """What the tokens that differ cost, at the price that the ledger charged: its cost for the tokens that it has,
    scaled from the configured price where the two are not the same."""
    if not any(classes(rest.tokens)):
        return 0
    if price is None:
        return rest.cost_picousd
    ledger_tokens = cell.ledger.tokens
    at_price = value_picousd(ledger_tokens, price)
    difference = value_picousd(add(cell.ledger, rest).tokens, price) - at_price
    charged = cell.ledger.cost_picousd
    return difference if at_price in (0, charged) else difference * charged // at_price


def _use_differs(rest: Amount, cost: int, cell: Cell) -> Explanation:
    numbers = classes(rest.tokens)
    requests = rest.requests
    estimated = f" {cell.estimated} of the ledger's requests were estimated." if cell.estimated else ""
    if all(number >= 0 for number in numbers) and (requests is None or requests > 0):
        words = f"{_used(rest)} that the provider has and the ledger does not."
        return Explanation(Cause.MISSING, cost, words + estimated, requests, rest.tokens)
    if all(number <= 0 for number in numbers) and (requests is None or requests < 0):
        words = f"{_used(rest)} that the ledger has and the provider does not bill."
        return Explanation(Cause.SURPLUS, cost, words + estimated, requests, rest.tokens)
    more = "" if not requests else f", and {requests:+,} requests"
    words = f"The provider counts other tokens than it reported{more}: {_signed(rest.tokens)}.{estimated}"
    return Explanation(Cause.TOKENS_DIFFER, cost, words, requests, rest.tokens)


def _price_differs(cost: int, for_tokens: int, rest: Amount, cell: Cell) -> Explanation:
    billed = cell.billed.cost_picousd
    if abs(cost) < ROUNDING_PICOUSD and abs(cost) * ROUNDING_PARTS < max(abs(billed), 1):
        return Explanation(Cause.ROUNDING, cost, "Less than a bill can show.")
    expected = billed - cost
    ratio = f"{billed / expected:.4f} times " if expected > 0 else ""
    same = "The tokens are the same" if same_use(rest) and not for_tokens else "Besides"
    words = (
        f"{same}, the provider bills {ratio}what the ledger's price gives: {format_usd(billed)} instead of "
        f"{format_usd(expected)} USD. Compare the price in the configuration with the provider's list."
    )
    return Explanation(Cause.MISPRICED, cost, words)


def _requests(count: int) -> str:
    return f"{count:,} request{'' if count == 1 else 's'}"


def _used(amount: Amount) -> str:
    tokens, requests = amount.tokens, amount.requests
    used = f"{abs(tokens.input):,} input and {abs(tokens.output):,} output tokens"
    return f"{_requests(abs(requests))} with {used}" if requests else used


def _signed(tokens: Tokens) -> str:
    names = ("input", "cached", "cache write", "cache write (1 h)", "output")
    return ", ".join(f"{number:+,} {name}" for name, number in zip(names, classes(tokens), strict=True) if number)
