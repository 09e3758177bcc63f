"""The vocabulary of limits and budgets: what is counted for whom, what a request asks for, what it is told.

Amounts are whole numbers in the unit of a meter's measure: requests, tokens, or pico-dollars.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from headgate.types import Frozen, Rule, Usage

NO_SLOT = -1  # what a journal that has no slot left answers


class Meter(Frozen, frozen=True, gc=False):
    """A rule applied to somebody: where it is counted. `name` is unique within the tenant, or among the global ones."""

    name: str
    rule: Rule
    subject: str  # who: the user's name, the model, ...
    resets_at: float | None = None  # of a calendar window, Unix seconds
    limit: int = 0  # the rule's
    window: str = ""  # which calendar window: 2026-11


class Ask(Frozen, frozen=True, gc=False):
    """What a request needs at most. Tokens of output are for one choice; prices in pico-dollars a token."""

    input_tokens: int
    output_tokens: int
    choices: int = 1
    input_picousd: int = 0  # of the whole prompt, at the dearest class
    output_price: int = 0
    least_output_tokens: int = 1  # fewer are not worth asking for
    fingerprint: int = 0  # of the request's content, for meters that look for repetition


class Standing(Frozen, frozen=True, gc=False):
    """How a limit stands after a request, as rate-limit headers tell it."""

    limit: int
    remaining: int
    reset_seconds: float  # until it is as if nothing had been used
    resets_at: float = 0.0  # the same as a time, Unix seconds


class Verdict(StrEnum):
    """Why a meter does not let a request pass, the worst first."""

    TOO_LARGE = "too_large"  # for any window there will ever be
    SPENT = "spent"
    LOOP = "loop"
    TRIPPED = "tripped"  # by velocity
    RATE = "rate"
    CONCURRENCY = "concurrency"
    HELD = "held"  # it would fit if others used less than they hold


class Refusal(Frozen, frozen=True, gc=False):
    """One meter's no. `used` and `held` are in the measure's unit, `needed` likewise."""

    meter: Meter
    verdict: Verdict
    used: int
    held: int
    needed: int
    wait_seconds: float | None = None  # until it would fit; None: that is not known, or the calendar's to say
    trips_above: int = 0  # of a velocity: its limit, or what its baseline allows if that is less


class Admission(Frozen, frozen=True, gc=False):
    """The decision on one request. `refusal` is the worst meter's, None if it is admitted."""

    refusal: Refusal | None
    output_tokens: int = 0  # the ceiling it is admitted with, for one choice
    wait_seconds: float | None = None  # refused: until all limits would fit
    requests: Standing | None = None  # the tightest limit on requests, and on tokens
    tokens: Standing | None = None
    unenforced: tuple[Refusal, ...] = ()  # what meters that are only tried would have said
    known: bool = True  # False: nothing is known of the tenant, rebuild first


class LimitDetail(Frozen, frozen=True, gc=False, omit_defaults=True):
    """What a refusal tells a program about the limit. Amounts in `unit`; of USD they are decimal text, exact."""

    name: str  # as the configuration calls it
    scope: str
    subject: str
    unit: str  # requests, tokens or usd
    limit: int | str  # of a velocity: what it trips above
    used: int | str
    held: int | str
    needed: int | str
    resets_at: str | None = None  # ISO 8601, of a calendar window
    retry_after_seconds: float | None = None


class Dated(NamedTuple):
    """What a rolling meter has used since a moment in its window, all of it; what is not counted yet was used then."""

    meter: Meter
    amount: int
    at: float  # Unix seconds


class Charge(Frozen, frozen=True, gc=False):
    """What a hold came to in the end; a hold that is released was never used, and its request does not count."""

    tokens: int = 0
    picousd: int = 0
    released: bool = False


class Crossing(Frozen, frozen=True, gc=False):
    """A settlement that took a budget past a part of its limit, or tripped a velocity."""

    tenant: str
    meter: Meter
    percent: int  # 50, 80, 100; 0: a velocity tripped
    spent: int
    trips_above: int = 0  # as of a refusal


class Reading(Frozen, frozen=True, gc=False):
    """How a meter stands. In its measure's unit; `frees_at` is Unix seconds."""

    meter: Meter
    used: int
    held: int
    frees_at: float | None = None
    tripped: bool = False
    trips_above: int = 0  # as of a refusal; 0: a velocity that has no limit yet


class UnderWay(Frozen, frozen=True, gc=False, array_like=True):
    """A dispatched request as it is noted beside the journal, and what it costs if its process dies before the row.

    Written by position: later releases add fields with defaults at the end, and nothing else. Times are Unix seconds.
    """

    request_id: str
    started_at: float  # of the request
    tenant: str
    user: str | None
    key_id: str
    route: str
    dialect: str
    model: str
    stream: bool
    deployment: str
    provider: str
    upstream_model: str
    held_input_tokens: int
    held_output_tokens: int
    held_picousd: int
    price_version: str = ""
    config_hash: str = ""
    session: str | None = None
    tags: tuple[str, ...] = ()
    attempt: int = 1  # which of the request's, from 1
    attempt_started_at: float = 0.0  # 0: when the request did
    endpoint: str = ""
    key_fingerprint: str = ""  # first 8 hex digits of the provider key's SHA-256
    is_uncharged: bool = False  # the request may be sent again under its idempotency key, and is charged then


class EmbeddingUse(Frozen, frozen=True, gc=False):
    """One call of a provider that embedded texts, as the ledger has it. Times are Unix seconds, durations seconds."""

    id: str
    started_at: float
    seconds: float
    provider: str
    endpoint: str
    model: str  # the provider's name for it
    key_fingerprint: str
    usage: Usage
    cost_picousd: int
    price_version: str
