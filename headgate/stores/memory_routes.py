"""What is known of how well routers choose, in memory: for tests and simulations."""

from __future__ import annotations

import msgspec

from headgate.errors import InvalidRequest
from headgate.judgements import WeakOutcome
from headgate.route_types import Answered, Judged, LossSum, Routed, RouterGate
from headgate.stores.memory import MemoryLedger
from headgate.stores.sql_routes import SHADOW, week_of

_NAMES = {WeakOutcome.WIN: "wins", WeakOutcome.TIE: "ties", WeakOutcome.LOSE: "losses"}


class MemoryRouteRecords:
    """The port `RouteRecords`; requests are those of a ledger in memory."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self._rows: dict[str, Judged] = {}
        self._gates: dict[str, RouterGate] = {}

    async def judge(self, judged: Judged) -> None:
        self._rows.setdefault(judged.id, judged)

    async def losses(self) -> list[LossSum]:
        sums: dict[tuple[str, int, int], LossSum] = {}
        for row in self._rows.values():
            if row.source != SHADOW:
                continue
            place = (row.router, week_of(row.at), row.gate)
            before, name = sums.get(place, LossSum(*place)), _NAMES[row.outcome]
            added = {name: getattr(before, name) + 1, "cost_picousd": before.cost_picousd + row.cost_picousd}
            sums[place] = msgspec.structs.replace(before, **added)
        return sorted(sums.values(), key=lambda one: (-one.week, one.router, -one.gate))

    async def page(self, limit: int, after: str | None = None) -> tuple[list[Judged], str | None]:
        begin = 0 if after is None else int(after) if after.isdecimal() else -1
        if begin < 0:
            raise InvalidRequest("`after` is not a cursor that was given out here.", param="after")
        rows = list(self._rows.values())
        end = begin + max(1, limit)
        return rows[begin:end], str(end) if end < len(rows) else None

    async def gates(self) -> list[RouterGate]:
        return [self._gates[router] for router in sorted(self._gates)]

    async def turn(self, gate: RouterGate) -> bool:
        before = self._gates.get(gate.router)
        if before is not None and before.number != gate.number - 1:
            return False
        self._gates[gate.router] = gate
        return True

    async def answered(self, request_id: str) -> Answered | None:
        record = self._ledger.find(request_id)
        if record is None or not record.routed:
            return None
        routed = msgspec.json.decode(record.routed, type=Routed)
        return Answered(record.tenant, record.user, record.key_id, routed.router, routed.model)
