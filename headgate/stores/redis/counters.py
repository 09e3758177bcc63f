"""Limits and budgets in Redis or Valkey, shared by all processes: scripts there decide as the policy does in memory.

An admission is one round trip. What nobody waits for (settlements, signs of life) is queued, and goes out with the next
call for the same tenant or after a few milliseconds, whichever comes first; so a process reads what it has written.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from headgate.errors import StoreUnavailable
from headgate.metering import Admission, Ask, Charge, Crossing, Dated, Meter, Reading, Refusal
from headgate.ports import Clock
from headgate.stores.redis import encoding, scripts
from headgate.stores.redis.encoding import bulk
from headgate.stores.redis.leases import Leases
from headgate.stores.redis.line import LIMIT_SECONDS, Line, ScriptFailed
from headgate.stores.redis.losses import LOOK_SECONDS, Losses
from headgate.stores.redis.place import NOT_ASKED, NOTHING, Counted, Group, Held, Note, Place, Spent
from headgate.types import Measure, Scope

HOLD_SECONDS = 30.0
FLUSH_SECONDS = 0.005
MOST_QUEUED = 50_000  # notes of all tenants together; a tenant beyond is rebuilt from the ledger instead
MOST_GROUPS = 5_000  # of 2 kilobytes for ten meters
_MOST_AT_ONCE = 500
_NOTHING = bulk(b"")
_KEEP, _KEEP_DISPATCHED, _SETTLE, _RELEASE = range(4)
_UNKNOWN = Admission(None, known=False)
_RETRY_SECONDS = 0.1
_NEVER = -2  # in place of a generation

log = logging.getLogger(__name__)


class RedisCounters:
    """The port `Counters` on Redis 6 or later, or Valkey. Make it inside the event loop.

    `told` hears of budgets that are used up so far, and of trips; `on_trouble` a sentence when the store is lost and ""
    when it is back. With a `clock`, time is that clock's instead of the server's.
    """

    def __init__(
        self,
        url: str,
        told: Callable[[Crossing], None] = lambda crossing: None,
        on_trouble: Callable[[str], None] = lambda trouble: None,
        *,
        clock: Clock | None = None,
        hold_seconds: float = HOLD_SECONDS,
        limit_seconds: float = LIMIT_SECONDS,
    ) -> None:
        self.hold_seconds = hold_seconds
        self._told = told
        self._clock = clock
        self._scripts = scripts.packaged()
        self._line = Line(url, self._scripts, on_trouble, limit_seconds)
        self._line.open()
        self._meters = encoding.Meters()
        self._groups: dict[tuple[str, int], Group] = {}  # by the identity of their meters
        self._places: dict[str, Place] = {}
        self._everybody = Place("everybody:{everybody}")
        process = f"{socket.gethostname()}:{os.getpid()}:{id(self):x}"
        self._monotonic = asyncio.get_running_loop().time if clock is None else clock.monotonic
        self._leases = Leases(self._lease, process, self._monotonic)
        self._queued = 0
        self._hold_argument = bulk(b"%.17g" % hold_seconds)
        self._timer: asyncio.TimerHandle | None = None
        self._flushes: set[asyncio.Task[None]] = set()
        self._losses = Losses(self._run)
        self._looking = asyncio.get_running_loop().create_task(self._look_forever())

    @property
    def healthy(self) -> bool:
        """Whether the store answers, as far as is known."""
        return self._line.healthy

    @property
    def last_error(self) -> str:
        """Why it does not; empty if it does."""
        return self._line.last_error

    @property
    def failures(self) -> int:
        """How often it was lost."""
        return self._line.failures

    @property
    def queued(self) -> int:
        """Settlements and signs of life that the store does not have yet."""
        return self._queued

    async def start(self) -> None:
        """Connect. Raises StoreUnavailable; it is tried again in the background then."""
        await self._line.reach()

    async def aclose(self) -> None:
        """Send what is queued if that is possible, and close the connection."""
        if self._timer is not None:
            self._timer.cancel()
        self._looking.cancel()
        await asyncio.gather(self._looking, *self._flushes, return_exceptions=True)
        await self._leases.aclose(give_back=self._line.healthy)
        if self._line.healthy:
            await self._flush_all()
        await self._line.aclose()

    # --- the port ---

    async def admit(self, hold_id: str, tenant: str, meters: Sequence[Meter], ask: Ask) -> Admission:
        place = self._place(tenant)
        if place.known_in not in (NOT_ASKED, self._line.generation):
            return _UNKNOWN
        if (again := place.refused.find(meters, ask, self._monotonic())) is not None:
            return again
        group = self._groups.get((tenant, id(meters)))
        if group is None or group.meters is not meters:
            group = self._group(tenant, meters)
        if group.shared or group.tried:
            return await self._admit_with_everybody(hold_id, tenant, group, ask)
        return await self._admit(hold_id, tenant, group, ask)

    async def _admit(self, hold_id: str, tenant: str, group: Group, ask: Ask) -> Admission:
        place, count = self._place(tenant), len(group.own)
        arguments = b"".join((bulk(hold_id.encode()), encoding.ask_arguments(ask), group.specs))
        question = place.refused.question(group.meters, ask, self._monotonic())
        try:
            head, tail = await self._run("admit", tenant, place, (count, group.keys), (3 + count, arguments))
            await self._live_on(tenant, place, head)
        except BaseException:  # whether it was admitted is not known
            self._note(tenant, Note(_RELEASE, hold_id, self._at(), 0, 0))
            raise
        admission, quiet_seconds = encoding.admission_of(head, tail, group.own)
        place.known_in = self._line.generation
        if not admission.known:
            place.known_in, is_there = NOT_ASKED, encoding.is_there(head)
            place.is_lost = place.is_lost or not is_there
            place.is_new = not (is_there or place.was_known or encoding.is_said_lost(head))
        if admission.known and admission.refusal is None:
            place.held[hold_id] = Held(group.own, ask, admission.output_tokens)
        elif quiet_seconds:
            place.refused.note(question, admission, quiet_seconds, self._monotonic())
        return admission

    async def _admit_with_everybody(self, hold_id: str, tenant: str, group: Group, ask: Ask) -> Admission:
        """First the limits on everybody together, which this process mostly decides alone; then the tenant's own."""
        for meter in group.shared:
            if meter.rule.measure is Measure.TOKENS:
                least = min(ask.least_output_tokens, ask.output_tokens)
                most = max((meter.limit - ask.input_tokens) // ask.choices, least)
                if most < ask.output_tokens:
                    ask = msgspec.structs.replace(ask, output_tokens=most)
        taken = self._leases.take_at_hand(group.shared, ask)
        if taken is None:
            taken, refusal = await self._leases.take(group.shared, ask)
            if refusal is not None:
                return self._leases.tightest(Admission(refusal, wait_seconds=refusal.wait_seconds), group.shared)
        tried: list[Refusal] = []
        try:
            for meter in group.tried:
                more, refusal = await self._leases.take((meter,), ask)
                taken += more
                tried += [refusal] if refusal is not None else ()
            admission = await self._admit(hold_id, tenant, group, ask)
        except BaseException:
            self._leases.give_back(taken)
            raise
        if admission.known and admission.refusal is None:
            self._leases.hold(hold_id, taken, ask, admission.output_tokens)
        else:
            self._leases.give_back(taken)
        if tried and admission.known:
            admission = msgspec.structs.replace(admission, unenforced=(*tried, *admission.unenforced))
        return self._leases.tightest(admission, group.shared) if admission.known else admission

    async def extend(self, hold_id: str, tenant: str, ask: Ask, output_tokens: int) -> Admission:
        needed = ask.input_picousd + output_tokens * ask.choices * ask.output_price
        arguments = bulk(hold_id.encode()) + bulk(b"%d" % min(needed, encoding.MOST_AMOUNT))
        _, refused = await self._run("extend", tenant, self._place(tenant), NOTHING, (2, arguments))
        if not refused:
            if (held := self._place(tenant).held.get(hold_id)) is not None:
                held.ask = ask
            return Admission(None, output_tokens)
        (name, spec), told = refused
        return Admission(encoding.refusal_of(encoding.meter_of(name, spec), told), wait_seconds=1.0)

    def keep(self, hold_id: str, tenant: str, *, dispatched: bool) -> None:
        if (held := self._place(tenant).held.get(hold_id)) is not None:
            held.dispatched = dispatched
        self._note(tenant, Note(_KEEP_DISPATCHED if dispatched else _KEEP, hold_id, self._at(), 0, 0))

    def settle(self, hold_id: str, tenant: str, charge: Charge) -> None:
        self._leases.settle(hold_id, charge)
        place = self._place(tenant)
        place.held.pop(hold_id, None)
        place.refused.settled(released=charge.released)
        kind = _RELEASE if charge.released else _SETTLE
        self._note(tenant, Note(kind, hold_id, self._at(), charge.tokens, charge.picousd))

    async def read(self, tenant: str, meters: Sequence[Meter]) -> list[Reading]:
        place = self._place(tenant)
        group = self._group(tenant, meters)
        count = len(group.own)
        _, told = await self._run("read", tenant, place, (count, group.keys), (count, group.specs))
        readings = iter(told or ())
        return [
            await self._leases.read(meter)
            if meter.rule.scope is Scope.GLOBAL
            else encoding.reading_of(meter, next(readings))
            for meter in meters
        ]

    async def rebuild(
        self, tenant: str, spent: Sequence[tuple[Meter, int]], dated: Sequence[Dated] = (), *, after_loss: bool = False
    ) -> bool:
        place, generation = self._place(tenant), self._line.generation
        after_loss = after_loss or place.is_lost
        every: list[Spent] = [*dated, *[(meter, amount, None) for meter, amount in spent]]
        head = await self._losses.rebuild(tenant, place, every, lost=after_loss)
        await self._live_on(tenant, place, head)
        place.refused.clear()
        place.known_in = generation or self._line.generation
        place.is_lost = place.is_new = False
        return encoding.was_known(head) and not after_loss

    async def doubtful(self, tenant: str) -> Sequence[str]:
        """As `gateway.rebuilding.SharedCounters` has it."""
        return await self._losses.doubtful(tenant, self._place(tenant))

    async def reset(self, tenant: str, meter: Meter) -> None:
        place, (_, name, spec) = self._place(tenant), self._meters.encoded(meter)
        await self._run("reset", tenant, place, (1, place.key(name)), (1, spec))

    def forget(self) -> None:
        """Every tenant is rebuilt from the ledger before its next admission by this process."""
        for place in self._places.values():
            place.known_in = _NEVER

    async def _live_on(self, tenant: str, place: Place, head: bytes) -> None:
        if (life := encoding.life_of(head)) != place.life:
            await self._losses.live_on(tenant, place, life)

    async def _look_forever(self) -> None:
        """While this process holds anything: a loss is noticed before the next call for a tenant."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._line.healthy and any(place.held for place in self._places.values()):
                with contextlib.suppress(StoreUnavailable):
                    await self._losses.look(self._places)

    # --- calls ---

    async def _run(
        self,
        script: str,
        tenant: str,
        place: Place,
        keys: Counted,
        arguments: Counted,
    ) -> tuple[Any, Any]:
        """Run a script, and with it what is queued for the tenant. Of keys and arguments there are so many."""
        line = self._line
        if not line.healthy:
            await line.reach()
        notes = self._take(place) if place.notes else []
        command = b"".join(
            (
                bulk(b"%d" % (3 + keys[0])),
                place.base,
                keys[1],
                _NOTHING if self._clock is None else bulk(b"%.17g" % self._at()),
                bulk(line.epoch),
                bulk(msgspec.msgpack.encode(notes)) if notes else _NOTHING,
                self._hold_argument,
                arguments[1],
            )
        )
        try:
            reply = await line.run(self._scripts[script], 8 + keys[0] + arguments[0], command)
        except ScriptFailed as error:  # notes that cannot be taken must not stand in the way for ever
            place.known_in = _NEVER
            log.error("the counters of tenant %s are damaged and will be rebuilt: %s", tenant, error)
            raise StoreUnavailable(
                f"The counters of this tenant are damaged: {error}", retry_after_seconds=1.0
            ) from None
        except BaseException:
            self._put_back(place, notes)
            raise
        if type(reply) is bytes:
            return reply, None
        crossings, rest = encoding.unpack_tail(reply[1])
        for one in crossings:
            self._told(encoding.crossing_of(tenant, one))
        return reply[0], rest

    async def _lease(self, meter: Meter, rest: Sequence[bytes]) -> bytes:
        place, (_, name, spec) = self._everybody, self._meters.encoded(meter)
        arguments = (1 + len(rest), b"".join((spec, *rest)))
        told, _ = await self._run("lease", "", place, (1, place.key(name)), arguments)
        return bytes(told)

    def _group(self, tenant: str, meters: Sequence[Meter]) -> Group:
        place = self._place(tenant)
        own = tuple([meter for meter in meters if meter.rule.scope is not Scope.GLOBAL])
        encoded = [self._meters.encoded(meter) for meter in own]
        group = Group(
            meters,
            tuple([meter for meter in meters if meter.rule.scope is Scope.GLOBAL and meter.rule.enforce]),
            tuple([meter for meter in meters if meter.rule.scope is Scope.GLOBAL and not meter.rule.enforce]),
            own,
            b"".join([place.key(name) for _, name, _ in encoded]),
            b"".join([spec for _, _, spec in encoded]),
        )
        if isinstance(meters, tuple):  # who asks has them ready, and asks again and again
            if len(self._groups) >= MOST_GROUPS:
                self._groups.clear()
            self._groups[tenant, id(meters)] = group
        return group

    def _at(self) -> float | bool:
        return False if self._clock is None else self._clock.now()

    def _place(self, tenant: str) -> Place:
        place = self._places.get(tenant)
        if place is None:
            place = self._places[tenant] = Place(f"{{{tenant}}}")
        return place

    # --- what is queued ---

    def _note(self, tenant: str, note: Note) -> None:
        place = self._place(tenant)
        if self._queued >= MOST_QUEUED:
            self._queued -= len(place.notes)
            place.notes = []
            place.known_in = _NEVER
            return
        place.notes.append(note)
        self._queued += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)

    def _take(self, place: Place) -> list[Note]:
        notes = place.notes
        if len(notes) > _MOST_AT_ONCE:
            notes, place.notes = notes[:_MOST_AT_ONCE], notes[_MOST_AT_ONCE:]
        elif notes:
            place.notes = []
        self._queued -= len(notes)
        return notes

    def _put_back(self, place: Place, notes: list[Note]) -> None:
        """They may have arrived; every one may arrive twice."""
        place.notes = [*notes, *place.notes]
        self._queued += len(notes)
        if notes and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._flush)

    def _flush(self) -> None:
        self._timer = None
        if not self._queued:
            return
        if not self._line.healthy:
            self._line.open()  # nobody else may ask: a new process settles what a dead one held
            self._timer = asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._flush)
            return
        task = asyncio.get_running_loop().create_task(self._flush_all())
        self._flushes.add(task)
        task.add_done_callback(self._flushes.discard)

    async def _flush_all(self) -> None:
        work = [self._work_off(tenant, place) for tenant, place in self._places.items() if place.notes]
        results = await asyncio.gather(*work, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, StoreUnavailable):
                raise result
        if self._queued and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._flush)

    async def _work_off(self, tenant: str, place: Place) -> None:
        head, _ = await self._run("work", tenant, place, NOTHING, NOTHING)
        await self._live_on(tenant, place, head)
