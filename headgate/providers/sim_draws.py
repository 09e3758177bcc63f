"""What chance, or the request itself, decides about one simulated answer: its fault, its length and its timing.

Pure. One request has one random stream, made of the seed, the body and how often that body came before, so that an
answer does not depend on what else is under way, and a retry is a new throw.
"""

from __future__ import annotations

import hashlib
import math
import random
from enum import StrEnum
from typing import Annotated

import msgspec

from headgate.config.blocks import NotNegative
from headgate.config.schema import SimConfig, Spread

MAX_OUTPUT_TOKENS = 32_768


class Fault(StrEnum):
    """The ways to go wrong, named as the shares in `config.schema.SimFaults`; the last two come only when asked for."""

    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    OVERLOADED = "overloaded"
    HANG_BEFORE = "hang_before"
    HANG_BETWEEN = "hang_between"
    CUT = "cut"
    MALFORMED = "malformed"
    EMPTY = "empty"
    UNFINISHED = "unfinished"  # the stream ends cleanly, without a finish reason
    ERROR_EVENT = "error_event"  # an error inside the stream, and [DONE] after it; or a 200 with an error


DRAWN_FAULTS = tuple(fault for fault in Fault if fault not in (Fault.UNFINISHED, Fault.ERROR_EVENT))
_FAULTS = {fault.value: fault for fault in Fault}


class Directive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The member `"sim"` of a request body: what shall happen, where chance would decide. Real providers refuse it.

    A model name that ends in `:` and a fault, such as `sim-small:cut`, asks for that fault too.
    """

    fault: Fault | None = None
    times: int | None = None  # the fault happens only the first so many times this body comes; then all goes well
    after_events: Annotated[int, msgspec.Meta(ge=0)] | None = None  # content events before a fault in the middle
    ttft_seconds: NotNegative | None = None
    itl_seconds: NotNegative | None = None
    output_tokens: Annotated[int, msgspec.Meta(ge=1, le=MAX_OUTPUT_TOKENS)] | None = None
    piece_bytes: Annotated[int, msgspec.Meta(ge=1)] | None = None  # cut what is sent into pieces of this size


_Z_99 = 2.3263478740408408  # the standard normal distribution's 99th percentile


class LogNormal:
    """A log-normal distribution through two points: median * exp(sigma * z), with sigma = ln(p99 / median) / 2.326."""

    def __init__(self, spread: Spread) -> None:
        self.median = spread.median
        self.sigma = math.log(max(spread.p99 / spread.median, 1.0)) / _Z_99 if spread.median else 0.0

    def draw(self, chance: random.Random) -> float:
        return self.median * math.exp(self.sigma * chance.gauss(0.0, 1.0))


class Distributions:
    """A configuration made ready to draw from, shared by all requests."""

    def __init__(self, config: SimConfig) -> None:
        self.seed = config.seed
        self.ttft_seconds = LogNormal(config.ttft_seconds)
        self.itl_seconds = LogNormal(config.itl_seconds)
        self.output_tokens = LogNormal(config.output_tokens)
        self.fault_shares = [(fault, getattr(config.faults, fault.value)) for fault in DRAWN_FAULTS]
        self.retry_after_seconds = config.faults.retry_after_seconds


class Draws:
    """The throws of one request. `identity` is 32 hex digits that name this body and this occurrence of it."""

    def __init__(self, distributions: Distributions, directive: Directive, body_hash: bytes, occurrence: int) -> None:
        self.seed = distributions.seed
        self.retry_after_seconds = distributions.retry_after_seconds
        material = hashlib.sha256(b"%d:%d:" % (distributions.seed, occurrence) + body_hash).digest()
        self.identity = material[:16].hex()
        self.chance = random.Random(int.from_bytes(material[16:24], "big"))
        self._of = distributions
        self._directive = directive
        self._occurrence = occurrence

    def fault(self, model: str) -> Fault | None:
        """The request's own wish first, then its model name, then the configured shares."""
        throw, asked = self.chance.random(), self._directive
        if asked.fault is not None:
            return asked.fault if asked.times is None or self._occurrence < asked.times else None
        if named := _FAULTS.get(model.rpartition(":")[2]):
            return named
        for fault, share in self._of.fault_shares:
            throw -= share
            if throw < 0:
                return fault
        return None

    def ttft_seconds(self) -> float:
        asked = self._directive.ttft_seconds
        return self._of.ttft_seconds.draw(self.chance) if asked is None else asked

    def itl_seconds(self) -> float:
        asked = self._directive.itl_seconds
        return self._of.itl_seconds.draw(self.chance) if asked is None else asked

    def output_tokens(self) -> int:
        drawn = round(self._of.output_tokens.draw(self.chance))
        return self._directive.output_tokens or min(max(drawn, 1), MAX_OUTPUT_TOKENS)

    def after_events(self, events: int) -> int:
        """How many of an answer's content events come before its fault."""
        asked = self._directive.after_events
        return self.chance.randrange(events + 1) if asked is None else min(asked, events)
