"""The vocabulary: frozen values that the whole of headgate speaks in.

Money is an integer number of pico-dollars (1e-12 USD), so that sums are exact everywhere, in SQL too. A price in USD
per million tokens is that same number times 1e6 per token: 0.15 USD per million = 150_000 pico-dollars per token.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

PICO_PER_USD = 10**12

# Upper bounds in seconds of the gaps between content events: fine where chat feels them, coarse beyond.
ITL_BUCKETS_SECONDS = (
    0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.5
)  # fmt: skip


class Frozen(msgspec.Struct, frozen=True, gc=False):
    """Base of the small immutable values."""


class Route(StrEnum):
    """What a caller asks for, named as its path under /v1 is."""

    CHAT = "chat/completions"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    RESPONSES = "responses"
    MESSAGES = "messages"  # Anthropic's
    COUNT_TOKENS = "messages/count_tokens"


class Api(StrEnum):
    """What a provider is asked for."""

    CHAT = "chat/completions"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    RESPONSES = "responses"
    MESSAGES = "messages"
    COUNT_TOKENS = "messages/count_tokens"
    GENERATE_CONTENT = "generateContent"
    EMBED_CONTENTS = "batchEmbedContents"
    CONVERSE = "converse"


class Outcome(StrEnum):
    """How a request or an attempt ended."""

    DONE = "done"  # answered completely
    FAILED = "failed"  # the provider failed, before or after the first content
    DISCONNECTED = "disconnected"  # the client went away first
    REFUSED = "refused"  # headgate said no before any provider was asked
    CACHED = "cached"  # answered without a provider
    REJECTED = "rejected"  # the provider said the request is wrong (4xx)
    PROVISIONAL = "provisional"  # its process died: charged with what was held, as nobody knows what was used
    DUPLICATE = "duplicate"  # it was paid for, and done again for a job: its tenant is charged for the other


class Counted(StrEnum):
    """Where token counts come from."""

    REPORTED = "reported"  # the provider's own usage
    ESTIMATED = "estimated"  # counted or estimated by headgate
    NONE = "none"  # nothing was processed


class Operation(Frozen, frozen=True, gc=False):
    """One call of a provider's API, as far as its URL shows it."""

    api: Api
    model: str  # the provider's name for it
    stream: bool


class Price(Frozen, frozen=True, gc=False):
    """Price of one token in pico-dollars, by class. `version` says which price list it came from."""

    input: int
    output: int = 0
    cached_input: int | None = None  # None: as input
    reasoning: int | None = None  # None: as output
    cache_write: int | None = None  # None: as input
    version: str = "config"
    cache_write_1h: int | None = None  # None: as cache_write
    long_context: LongContext | None = None
    batch: Price | None = None  # of requests that a provider answers within a day


class LongContext(Frozen, frozen=True, gc=False):
    """What every token of a request costs whose input has more than so many tokens."""

    above_tokens: int
    price: Price


class Capabilities(Frozen, frozen=True, gc=False):
    """What a model can and how much it takes; None: not known."""

    tools: bool | None = None
    images: bool | None = None  # in the prompt
    json_schema: bool | None = None  # answers that keep to a schema
    reasoning: bool | None = None  # thinks as much as it is told to
    context_tokens: int | None = None  # prompt and answer together
    max_output_tokens: int | None = None


class Allowance(Frozen, frozen=True, gc=False):
    """What a provider says is left of one of its limits; None: not said."""

    remaining: int
    limit: int | None = None
    reset_seconds: float | None = None  # until all of it is back


class Allowances(Frozen, frozen=True, gc=False):
    """What a provider says is left of its limits for a key; None: not said."""

    requests: Allowance | None = None
    tokens: Allowance | None = None  # input and output together
    input_tokens: Allowance | None = None
    output_tokens: Allowance | None = None


class Usage(Frozen, frozen=True, gc=False, omit_defaults=True):
    """Tokens of one answer. Every other input class is part of `input`, `reasoning` is part of `output`.

    `raw` is the provider's own usage object, kept for what has no class here; b"" when it says no more than the rest.
    """

    input: int = 0
    cached_input: int = 0
    output: int = 0
    reasoning: int = 0
    counted: Counted = Counted.NONE
    cache_write: int = 0  # written to the provider's cache for five minutes, or however long it keeps it
    cache_write_1h: int = 0  # written to it for an hour
    raw: bytes = b""


class Features(Frozen, frozen=True, gc=False):
    """What a tier allows, or what a request uses."""

    tools: bool = False
    images: bool = False


class Scope(StrEnum):
    """Whose requests are counted together."""

    REQUEST = "request"  # each by itself
    SESSION = "session"  # of one user
    USER = "user"  # of a tenant; a key without a user is one of its own
    KEY = "key"
    MODEL = "model"  # of a tenant
    TAG = "tag"  # of a tenant
    TENANT = "tenant"
    GLOBAL = "global"  # everybody


class Measure(StrEnum):
    """What is counted."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    USD = "usd"  # in pico-dollars


class MeterKind(StrEnum):
    """How it is counted."""

    RATE = "rate"  # a token bucket and a sliding window: both must let a request pass
    CONCURRENCY = "concurrency"  # what is under way
    BUDGET = "budget"  # spent and held in a calendar window, or for as long as the thing lives
    ROLLING = "rolling"  # spent and held in the last so many seconds
    VELOCITY = "velocity"  # money spent unusually fast: a trip wire
    REPEAT = "repeat"  # the same request again and again


class Rule(Frozen, frozen=True, gc=False):
    """One limit or budget of a tier. `limit` is in the measure's unit; 0: none but the baseline's, for a velocity."""

    name: str  # as the configuration calls it: requests_per_minute, budgets.user_day
    kind: MeterKind
    measure: Measure
    scope: Scope
    limit: int
    window: str = ""  # of a budget: day, week, month, or "" for as long as the thing is remembered
    period_seconds: float = 60.0  # of a rate, a rolling budget, a velocity
    burst_seconds: float = 60.0  # of a rate: how much of its period may be used at once
    only: frozenset[str] = frozenset()  # models or tags it is for; empty: each has a meter of its own
    factor: float = 0.0  # of a velocity: so many times the usual; 0: only `limit`
    action: str = "block"  # of a velocity: block, degrade or alert
    enforce: bool = True  # False: count, and report what would have been refused

    @property
    def counts_budget(self) -> bool:
        """Whether it counts what is spent, in money or tokens."""
        return self.kind in (MeterKind.BUDGET, MeterKind.ROLLING) and self.measure is not Measure.REQUESTS


class Tier(Frozen, frozen=True, gc=False):
    """A named set of limits and features; "*" in `models` means every model."""

    name: str
    models: frozenset[str]
    features: Features = Features(tools=True, images=True)
    max_output_tokens: int | None = None
    rules: tuple[Rule, ...] = ()  # limits and budgets
    degrade_to: str = ""  # the model that is asked instead when money is spent; empty: refuse


class Caller(Frozen, frozen=True, gc=False):
    """The authenticated key with its tenant, user and tier."""

    key_id: str
    tenant: str
    user: str | None
    tier: Tier  # with what its tenant has of its own in place of the tier's
    timezone: str = "UTC"  # the tenant's, an IANA name: where its days and months begin


class KeyRecord(Frozen, frozen=True):
    """A virtual key at rest. `hash` is the SHA-256 hex digest of the key, which itself is shown once and never kept."""

    id: str
    hash: str
    hint: str  # the key's last four characters, to recognise it by
    tenant: str
    tier: str
    user: str | None = None
    name: str = ""
    created_at: float = 0.0
    expires_at: float | None = None
    revoked_at: float | None = None
    source: str = "runtime"  # runtime | config
    follows_tenant: bool = False  # its tier is its tenant's, whichever that is, as long as the tenant has one


class CacheMode(StrEnum):
    """What a request wants of the cache."""

    USE = "use"  # an answer that is there, else one from a provider, which is kept
    OFF = "off"  # neither look nor keep
    REFRESH = "refresh"  # one from a provider, which is kept
    ONLY = "only"  # one that is there, or an error


class CacheControl(Frozen, frozen=True, gc=False):
    """What a caller says in headers. Answers older than `ttl_seconds` are not wanted, nor is its own kept longer."""

    mode: CacheMode = CacheMode.USE
    ttl_seconds: float | None = None


class Call(Frozen, frozen=True, gc=False):
    """What a caller sent, as far as headgate has to understand it. `body` is the JSON as it came.

    `fields` are the top-level members of the body as raw JSON, so that what headgate does not know passes untouched.
    """

    id: str
    route: Route
    model: str
    stream: bool
    fields: dict[str, msgspec.Raw]
    body_bytes: int
    choices: int = 1  # how many answers (`n`), or prompts times n for completions
    max_output_tokens: int | None = None
    wants_usage: bool = False  # the caller asked for the usage chunk of a stream
    session: str | None = None
    user: str | None = None
    tags: tuple[str, ...] = ()
    prompt_version: str | None = None
    traceparent: str | None = None
    dialect_headers: tuple[tuple[str, str], ...] = ()  # for the provider, if it speaks the caller's dialect
    appeal: str | None = None  # the request whose answer was not good enough
    cache: CacheControl = CacheControl()
    idempotency_key: str | None = None
    is_repeatable: bool = False  # whoever sent it sends it again if it is lost: then it must be known what it cost


class AttemptRecord(Frozen, frozen=True, omit_defaults=True):
    """One paid (or failed) call to one deployment: a row of the ledger. Times are Unix seconds, durations seconds."""

    id: str
    request_id: str
    number: int  # 1 for the first
    started_at: float
    deployment: str
    provider: str
    endpoint: str
    upstream_model: str
    key_fingerprint: str  # first 8 hex digits of the provider key's SHA-256
    outcome: Outcome
    status: int  # the provider's HTTP status, 0 if none came
    error: str = ""  # code from the error table
    upstream_id: str = ""  # the provider's request id
    usage: Usage = Usage()
    cost_picousd: int = 0
    price_version: str = ""
    seconds: float = 0.0


class RequestRecord(Frozen, frozen=True, omit_defaults=True):
    """One authenticated request, refused ones too: a row of the ledger. Times are Unix seconds, durations seconds."""

    id: str
    started_at: float
    tenant: str
    user: str | None
    key_id: str
    route: str
    dialect: str
    model: str
    stream: bool
    outcome: Outcome
    status: int
    error: str = ""
    deployment: str = ""
    provider: str = ""
    upstream_model: str = ""
    session: str | None = None
    prompt_version: str | None = None
    tags: tuple[str, ...] = ()
    usage: Usage = Usage()
    cost_picousd: int = 0
    price_version: str = ""
    config_hash: str = ""
    ttft_seconds: float | None = None  # request sent -> first content
    itl_seconds: float | None = None  # mean gap between content events
    e2e_seconds: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    trace_id: str = ""
    undelivered: bool = False  # the answer was complete, its last write to the client failed
    traceparent: str = ""  # the caller's header as it came; for spans, no column of the ledger
    attempts: tuple[AttemptRecord, ...] = ()
    routed: str = ""  # how a router chose the model: `route_types.Routed` as JSON
    hit: str = ""  # a `cache_types.Hit`: how it was answered without a provider
    saved_picousd: int = 0  # what its answer would have cost from the provider that had given it, at today's price


class UsageRow(Frozen, frozen=True):
    """Totals of one group (a tenant, user, model or day) of ledger rows. Tokens and costs are what is charged for."""

    group: str
    requests: int
    failed: int
    refused: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_picousd: int
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    duplicate_picousd: int = 0  # what was paid for duplicates, which nobody is charged for
    saved_exact_picousd: int = 0  # by answers that were kept, and so on by `cache_types.Hit`
    saved_semantic_picousd: int = 0
    saved_coalesced_picousd: int = 0
    saved_idempotent_picousd: int = 0


class Severity(StrEnum):
    """How much a problem of the configuration matters."""

    ERROR = "error"  # the configuration cannot be used
    WARNING = "warning"  # it can, and probably should not
    NOTE = "note"  # good to know


class Problem(Frozen, frozen=True, gc=False):
    """One thing that is wrong, or worth saying, about a configuration file. Never contains a secret."""

    path: str  # the file
    line: int  # from 1; 0: about the file as a whole
    column: int
    where: str  # the place inside the configuration: models.small.fallback[0]
    message: str  # what is wrong
    hint: str = ""  # the nearest valid name, or what to do
    severity: Severity = Severity.ERROR
