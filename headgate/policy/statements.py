"""Brings a provider's statement and the ledger to the same places: a day, a model, and a key where keys are told.

Providers tell tokens and money apart: tokens by model and key, money by model alone. The money of a model's day is then
shared among its keys in proportion to what their tokens cost at the configured price. A statement without any money is
valued at that price; one with money that has none for a model says that it was free.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from headgate.bills import Amount, LedgerLine, StatementLine, Tokens
from headgate.policy.amounts import add, apportion, classes, plus, value_picousd
from headgate.types import Frozen, Price

Place = tuple[int, str, str]  # day, model, key


class Cell(Frozen, frozen=True, gc=False):
    """Both sides of one place. `told`: the statement has tokens here; else only its money can be compared."""

    ledger: Amount = Amount()
    billed: Amount = Amount()
    told: bool = True
    estimated: int = 0  # requests of the ledger whose tokens were not reported
    other: str = ""  # a charge that is not for tokens


def is_by_key(lines: Iterable[StatementLine]) -> bool:
    """Whether a statement tells keys apart."""
    return any(line.key for line in lines)


def cells(
    ledger: Sequence[LedgerLine], statement: Sequence[StatementLine], prices: Mapping[str, Price]
) -> dict[Place, Cell]:
    """Every place where one of the two has something."""
    by_key = is_by_key(statement)
    found: dict[Place, Cell] = {}
    for line in ledger:
        place = (line.day, line.model, line.key if by_key else "")
        cell = found.get(place, Cell())
        found[place] = Cell(add(cell.ledger, line.amount), estimated=cell.estimated + line.estimated)
    billed = _billed(statement, prices)
    requests = None if all(line.requests is None for line in statement) else 0
    tells_tokens = not statement or any(line.tokens is not None for line in statement)
    for place in found.keys() - billed.keys():
        billed[place] = Cell(billed=Amount(requests), told=tells_tokens)
    for place, cell in billed.items():
        ours = found.get(place, Cell())
        found[place] = Cell(ours.ledger, cell.billed, cell.told, ours.estimated, cell.other)
    return dict(sorted(found.items()))


def _billed(statement: Sequence[StatementLine], prices: Mapping[str, Price]) -> dict[Place, Cell]:
    days: dict[tuple[int, str], list[StatementLine]] = defaultdict(list)
    found: dict[Place, Cell] = {}
    for line in statement:
        if not line.other:
            days[line.day, line.model].append(line)
            continue
        place = (line.day, f"({line.other})", line.key)
        cost = found.get(place, Cell()).billed.cost_picousd + (line.cost_picousd or 0)
        found[place] = Cell(billed=Amount(None, cost_picousd=cost), told=False, other=line.other)
    tells_money = any(line.cost_picousd is not None for line in statement)
    for (day, model), lines in days.items():
        price = prices.get(model)
        for key, cell in _of_a_day(lines, price, tells_money).items():
            found[day, model, key] = cell
    return found


def _of_a_day(lines: Sequence[StatementLine], price: Price | None, tells_money: bool) -> dict[str, Cell]:
    """One model's day by key."""
    tokens: dict[str, Tokens] = {}
    requests: dict[str, int | None] = {}
    costs: dict[str, int] = defaultdict(int)
    to_share = 0
    for line in lines:
        if line.tokens is not None:
            tokens[line.key] = plus(tokens.get(line.key, Tokens()), line.tokens)
            known = requests.get(line.key, 0)
            requests[line.key] = None if known is None or line.requests is None else known + line.requests
            costs[line.key] += line.cost_picousd or 0
        elif line.key:
            costs[line.key] += line.cost_picousd or 0
        else:
            to_share += line.cost_picousd or 0
    if not tokens:
        money = {**costs, "": costs.get("", 0) + to_share} if to_share or not costs else costs
        return {key: Cell(billed=Amount(None, Tokens(), cost), told=False) for key, cost in money.items()}
    for key, share in apportion(to_share, _weights(tokens, price)).items():
        costs[key] += share
    if not tells_money and price is not None:
        costs.update({key: value_picousd(used, price) for key, used in tokens.items()})
    return {
        key: Cell(billed=Amount(requests.get(key), tokens.get(key, Tokens()), cost), told=key in tokens)
        for key, cost in costs.items()
    }


def _weights(tokens: Mapping[str, Tokens], price: Price | None) -> dict[str, int]:
    if price is not None:
        values = {key: value_picousd(used, price) for key, used in tokens.items()}
        if any(values.values()):
            return values
    return {key: classes(used)[0] + classes(used)[-1] for key, used in tokens.items()}
