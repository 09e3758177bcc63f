"""A tenant as a process sees it in Redis: its keys, what is queued for it, and what its requests hold there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from headgate.metering import Ask, Meter
from headgate.stores.redis import scripts
from headgate.stores.redis.encoding import bulk, spec
from headgate.stores.redis.refused import RecentRefusals
from headgate.types import Measure, MeterKind

NOT_ASKED = -1  # in place of a generation
Spent = tuple[Meter, int, float | None]  # how much, and when in a rolling window
Counted = tuple[int, bytes]  # so many keys or arguments, ready for the wire
NOTHING: Counted = (0, b"")


class Note(NamedTuple):
    """What nobody waits for."""

    kind: int
    hold_id: str
    at: float | bool  # False: when it arrives
    tokens: int
    picousd: int


class Held:
    """One request's hold: told again when the store has lost it."""

    __slots__ = ("ask", "dispatched", "meters", "output_tokens")

    def __init__(self, meters: Sequence[Meter], ask: Ask, output_tokens: int) -> None:
        self.meters = meters
        self.ask = ask
        self.output_tokens = output_tokens  # of one choice
        self.dispatched = False

    def amounts(self) -> list[tuple[Meter, int]]:
        """What it holds of each meter. A repetition is not held, it has happened."""
        ask, output = self.ask, self.output_tokens * self.ask.choices
        amounts = {
            Measure.REQUESTS: 1,
            Measure.TOKENS: ask.input_tokens + output,
            Measure.USD: ask.input_picousd + output * ask.output_price,
        }
        return [
            (meter, amounts[meter.rule.measure]) for meter in self.meters if meter.rule.kind is not MeterKind.REPEAT
        ]


class Group(NamedTuple):
    """The meters of one kind of request, ready for the wire."""

    meters: Sequence[Meter]  # kept, so that no others can have their identity
    shared: tuple[Meter, ...]  # enforced, on everybody together
    tried: tuple[Meter, ...]  # on everybody together, and not enforced
    own: tuple[Meter, ...]
    keys: bytes
    specs: bytes


class Place:
    """A tenant's keys."""

    __slots__ = (
        "base",
        "doubtful",
        "held",
        "is_lost",
        "is_new",
        "known_in",
        "life",
        "notes",
        "prefix",
        "refused",
        "was_known",
    )

    def __init__(self, name: str) -> None:
        self.prefix = f"headgate:{scripts.FORMAT}:{name}:".encode()
        self.base = b"".join(bulk(self.prefix + name) for name in (b"tenant", b"holds", b"expiries"))
        self.notes: list[Note] = []
        self.is_lost = False  # there was nothing of its counters when they were asked, and they are not rebuilt yet
        self.is_new = False  # nobody has said that there ever was something, and it is not rebuilt yet
        self.known_in = NOT_ASKED  # the line's generation in which its counters were known last
        self.life = 0.0  # of its counters, as they were when they were asked last; 0 when they are lost
        self.was_known = False  # in any life
        self.doubtful: list[str] = []  # whom the ledger is read without, to rebuild them
        self.held: dict[str, Held] = {}  # by this process, by id
        self.refused = RecentRefusals()

    def hold(self, hold_id: str, held: Held) -> tuple[Counted, Counted]:
        """Keys and arguments of the script `enter`."""
        amounts = held.amounts()
        arguments = [bulk(hold_id.encode()), bulk(b"%d" % held.dispatched)]
        for meter, amount in amounts:
            arguments += (bulk(spec(meter)), bulk(b"%d" % amount))
        keys = b"".join([self.key(meter.name.encode()) for meter, _ in amounts])
        return (len(amounts), keys), (len(arguments), b"".join(arguments))

    def spent(self, some: Sequence[Spent], *, known: bool, after_loss: bool) -> tuple[Counted, Counted]:
        """Keys and arguments of the script `rebuild`; the tenant is `known` from then on."""
        arguments = [bulk(b"%d%d" % (known, after_loss))]
        for meter, amount, at in some:
            when = bulk(b"" if at is None else b"%.17g" % at)
            arguments += (bulk(spec(meter)), bulk(b"%d" % amount), when)
        keys = b"".join([self.key(meter.name.encode()) for meter, *_ in some])
        return (len(some), keys), (len(arguments), b"".join(arguments))

    def key(self, name: bytes) -> bytes:
        """A meter's key."""
        return bulk(b"%bm:%b" % (self.prefix, name))
