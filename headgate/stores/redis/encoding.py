"""Meters, requests and answers as the scripts read and write them, and commands as the wire carries them.

A command is put together from parts that are ready: packing it anew from its arguments costs several times as much.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import msgspec

from headgate.metering import Admission, Ask, Crossing, Meter, Reading, Refusal, Standing, Verdict
from headgate.types import Measure, MeterKind, Rule, Scope

MOST_AMOUNT = 2**53 - 1  # of a single request: $9,007
MOST_KNOWN_METERS = 20_000
_KINDS = {kind: number for number, kind in enumerate(MeterKind, 1)}
_KIND_NAMES = list(MeterKind)
_MEASURES = {measure: number for number, measure in enumerate(Measure)}
_MEASURE_NAMES = list(Measure)
_VERDICTS = (None, *Verdict)
_BILLION = 10**9
_SPEC = struct.Struct("<BBBdddddd")  # kind, measure, flags; limit (billions, rest), period, burst, factor, resets_at
_ASK = struct.Struct("<dddddd")
_HEAD = struct.Struct("<ddddddddddd")
_LIFE = struct.Struct("<d")
_SPENDING = frozenset({MeterKind.BUDGET, MeterKind.ROLLING, MeterKind.VELOCITY})
_UNKNOWN = Admission(None, known=False)


def bulk(value: bytes) -> bytes:
    """A string on the wire (RESP, "bulk string")."""
    return b"$%d\r\n%b\r\n" % (len(value), value)


def spec(meter: Meter) -> bytes:
    """What the scripts have to know of a meter, and for those that are told about, what makes it a `Meter` again."""
    rule = meter.rule
    flags = (1 if rule.enforce else 0) + (2 if rule.action == "alert" else 0)
    head = _SPEC.pack(
        _KINDS[rule.kind],
        _MEASURES[rule.measure],
        flags,
        meter.limit // _BILLION,
        meter.limit % _BILLION,
        rule.period_seconds,
        rule.burst_seconds,
        rule.factor,
        meter.resets_at or 0.0,
    )
    if rule.kind not in _SPENDING and rule.measure is not Measure.USD:
        return head
    told = (meter.subject, meter.window, rule.name, rule.scope, rule.limit, rule.window, sorted(rule.only), rule.action)
    return head + msgspec.msgpack.encode(told)


def meter_of(name: str, hexadecimal: str) -> Meter:
    """The meter that a spec was made of."""
    packed = bytes.fromhex(hexadecimal)
    kind, measure, flags, high, low, period, burst, factor, resets_at = _SPEC.unpack_from(packed)
    subject, meter_window, rule_name, scope, rule_limit, window, only, action = msgspec.msgpack.decode(
        packed[_SPEC.size :]
    )
    rule = Rule(
        rule_name,
        _KIND_NAMES[kind - 1],
        _MEASURE_NAMES[measure],
        Scope(scope),
        rule_limit,
        window,
        period,
        burst,
        frozenset(only),
        factor,
        action,
        flags % 2 == 1,
    )
    return Meter(name, rule, subject, resets_at or None, int(high) * _BILLION + int(low), meter_window)


class Meters:
    """Meters as bytes. Those of late are remembered by identity: who asks has them ready, and asks again and again."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[int, tuple[Meter, bytes, bytes]] = {}

    def encoded(self, meter: Meter) -> tuple[Meter, bytes, bytes]:
        """The meter, its name and its spec, which is ready for the wire."""
        found = self._known.get(id(meter))
        if found is None:
            if len(self._known) >= MOST_KNOWN_METERS:
                self._known.clear()
            # The meter is kept, so that no other can have its identity.
            found = self._known[id(meter)] = (meter, meter.name.encode(), bulk(spec(meter)))
        return found


def ask_arguments(ask: Ask) -> bytes:
    """Two arguments of the script `admit`."""
    output, price = ask.output_tokens, ask.output_price
    if ask.input_picousd + output * ask.choices * price > MOST_AMOUNT:  # the ceiling is lowered to what can be counted
        output = max(0, MOST_AMOUNT - ask.input_picousd) // (ask.choices * price) if price else output
    numbers = _ASK.pack(ask.input_tokens, output, ask.choices, ask.input_picousd, price, ask.least_output_tokens)
    return b"$48\r\n%b\r\n%b" % (numbers, bulk(b"%d" % ask.fingerprint))


def admission_of(head: bytes, tail: Any, meters: Sequence[Meter]) -> tuple[Admission, float]:
    """What the script `admit` said, and for how many seconds it would refuse the same again, whoever asks."""
    status, now, output, wait, r_place, r_left, r_reset, t_place, t_left, t_reset, _ = _HEAD.unpack(head)
    if status == 2:
        return _UNKNOWN, 0.0
    requests = Standing(meters[int(r_place) - 1].limit, int(r_left), r_reset, now + r_reset) if r_place else None
    tokens = Standing(meters[int(t_place) - 1].limit, int(t_left), t_reset, now + t_reset) if t_place else None
    if not tail:
        return Admission(None, int(output), None, requests, tokens), 0.0
    worst, tried = tail
    unenforced = tuple(refusal_of(meters[one[0]], one) for one in tried)
    if not worst:
        return Admission(None, int(output), None, requests, tokens, unenforced), 0.0
    refusal = refusal_of(meters[worst[0]], worst)
    return Admission(refusal, 0, wait if wait >= 0 else None, requests, tokens, unenforced), output


def is_there(head: bytes) -> bool:
    """Whether the tenant that the script `admit` does not know has counters, of another server."""
    return bool(_HEAD.unpack(head)[2] % 2)


def is_said_lost(head: bytes) -> bool:
    """Whether another process has noticed already that the counters of a tenant that is not known were lost."""
    return bool(_HEAD.unpack(head)[2] >= 2)


def was_known(head: bytes) -> bool:
    """Whether the tenant that was rebuilt had been known, to this server or to the one whose data this is."""
    return head[:1] == b"1"


def life_of(head: bytes) -> float:
    """Which life of the tenant's counters a script found: 0 if there is none, another number after each rebuild of lost
    ones."""
    life: float = _LIFE.unpack(head[-_LIFE.size :])[0]
    return life


def refusal_of(meter: Meter, told: Sequence[Any]) -> Refusal:
    """One meter's no: place, verdict, used, held, needed, the wait or False, and of a velocity what it trips above."""
    _, why, used, held, needed, wait, *above = told
    verdict = _VERDICTS[why]
    assert verdict is not None
    wait_seconds = float(wait) if wait is not False else None
    return Refusal(meter, verdict, int(used), int(held), int(needed), wait_seconds, *map(int, above))


def reading_of(meter: Meter, told: Sequence[Any]) -> Reading:
    """How a meter stands: used, held, when it frees or False, whether it has tripped, of a velocity beyond what."""
    used, held, frees_at, tripped, *above = told
    frees = meter.resets_at if meter.rule.kind is MeterKind.BUDGET else float(frees_at) if frees_at else None
    return Reading(meter, int(used), int(held), frees, tripped, *map(int, above))


def crossing_of(tenant: str, told: Sequence[Any]) -> Crossing:
    """A budget that was passed, or a velocity that tripped: name, spec, percent, spent, beyond what it trips."""
    name, packed, percent, spent, above = told
    return Crossing(tenant, meter_of(name, packed), percent, int(spent), int(above))


def unpack_tail(packed: bytes) -> tuple[list[Any], Any]:
    """What a script says beyond the usual: crossings, and something of its own."""
    crossings, rest = msgspec.msgpack.decode(packed)
    return crossings, rest
