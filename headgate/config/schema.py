"""The configuration, typed: one frozen struct per block, defaults beside the fields, the comment is its documentation.

`docs/configuration.md` and the JSON Schema are generated from this file, so a field's comment is what users read.
Every block refuses unknown keys; `load.py` adds the line and the nearest valid name.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]
CountFromZero = Annotated[int, msgspec.Meta(ge=0)]
Usd = Decimal  # not negative; checked in check.py, msgspec has no bounds for Decimal


class Block(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all configuration blocks."""


class LogConfig(Block, frozen=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"
    requests: Literal["all", "failures", "off"] = "all"  # one line for every request, for those that went wrong, or none
    prompts: bool = False  # add prompt and answer text to the request line; off, because they are your users' words


class MetricsConfig(Block, frozen=True):
    access: Literal["open", "admin", "off"] = "open"  # on the gateway's own port: for everybody, with the admin key, or not
    port: CountFromZero = 0  # an own listener on the same host; 0: none


class TracingConfig(Block, frozen=True):
    otlp_endpoint: str = ""  # where OpenTelemetry spans go, e.g. http://localhost:4318; empty: no spans. Needs headgate[otel]
    sample_share: Share = 1.0  # share of requests without an incoming trace decision that are traced


class LedgerConfig(Block, frozen=True):
    retention_days: Count = 90  # older rows are folded into daily totals
    journal_max_bytes: Count = 256_000_000  # room for rows that wait for the database, per process
    sync_seconds: NotNegative = 0  # 0: rows survive the process; above 0: fsync at least this often, they survive power loss


class ServerConfig(Block, frozen=True):
    host: str = "127.0.0.1"
    port: CountFromZero = 8080
    data_dir: str = "./headgate-data"  # embedded default: journal and SQLite for ledger, keys and jobs live here
    authentication: Literal["required", "off"] = "required"  # off: every caller is the tenant "anonymous" and may use every model
    max_body_bytes: Count = 10_000_000  # a larger body gets 413
    max_header_bytes: Count = 32_768  # larger headers get 431
    max_in_flight: Count = 2000  # requests under way per process; more get 503 with Retry-After, at once
    max_connections: Count = 10_000  # open client connections per process; more are closed at once
    receive_seconds: Positive = 30.0  # a request must have arrived after this time, else 408
    send_seconds: Positive = 30.0  # a client that takes nothing for this long while bytes wait is dropped
    keep_alive_seconds: Positive = 75.0  # an idle client connection is closed after this time
    drain_seconds: NotNegative = 30.0  # on SIGTERM: /readyz fails, streams finish, then exit
    on_disconnect: Literal["cancel", "finish", "detach"] = "cancel"  # the client left: stop upstream, or read on to settle. detach: as finish, and keeps the events for a return
    trusted_proxies: list[str] = []  # addresses or networks whose x-forwarded-for is believed
    log: LogConfig = LogConfig()
    metrics: MetricsConfig = MetricsConfig()
    tracing: TracingConfig = TracingConfig()
    ledger: LedgerConfig = LedgerConfig()


class Spread(Block, frozen=True):
    """A log-normal distribution given by two of its points."""

    median: NotNegative
    p99: NotNegative


class SimFaults(Block, frozen=True):
    """Shares of requests that go wrong in each way; the rest go well."""

    rate_limited: Share = 0  # 429 with Retry-After
    server_error: Share = 0  # 500
    overloaded: Share = 0  # 529
    hang_before: Share = 0  # accepts the request and never answers
    hang_between: Share = 0  # stops in the middle of a stream and stays silent
    cut: Share = 0  # closes the connection in the middle of the answer
    malformed: Share = 0  # sends an event that is not JSON
    empty: Share = 0  # 200 with nothing in it
    retry_after_seconds: NotNegative = 1.0  # what a 429 says


class SimConfig(Block, frozen=True):
    """The simulated model: seeded, deterministic, no network."""

    seed: int = 0
    ttft_seconds: Spread = Spread(median=0.15, p99=0.6)
    itl_seconds: Spread = Spread(median=0.012, p99=0.05)
    output_tokens: Spread = Spread(median=60, p99=400)
    faults: SimFaults = SimFaults()


class ProviderConfig(Block, frozen=True):
    kind: Literal["openai", "anthropic", "gemini", "azure", "bedrock", "vertex", "sim"]
    base_url: str = ""  # up to and including the version, e.g. https://api.openai.com/v1
    api_key: str = ""  # a single key; "none" for a server that asks for none
    api_keys: list[str] = []  # several keys: a pool with a cooldown each
    headers: dict[str, str] = {}  # sent with every request
    proxy: str = ""  # http://host:port; default: HTTPS_PROXY and NO_PROXY of the environment. "none": never
    ca_file: str = ""  # trust these certificates too; default: the system's
    verify_tls: bool = True
    connect_seconds: Positive = 5.0  # until the connection is made
    keep_alive_seconds: Positive = 60.0  # an idle upstream connection is kept this long
    stream_usage: bool = True  # ask for the usage chunk of a stream; false for servers that refuse stream_options
    sim: SimConfig = SimConfig()  # for kind: sim


class PriceConfig(Block, frozen=True):
    """USD per million tokens, at most 6 decimals."""

    input: Usd
    output: Usd = Decimal(0)
    cached_input: Usd | None = None  # default: as input
    cache_write: Usd | None = None  # default: as input
    reasoning: Usd | None = None  # default: as output


class DeploymentLimits(Block, frozen=True):
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None


class DeploymentConfig(Block, frozen=True):
    provider: str
    model: str  # the name the provider knows it by
    name: str = ""  # default: provider/model
    weight: NotNegative = 1.0  # share of the traffic when balance is weighted
    endpoints: list[str] = []  # several addresses of the same deployment; default: the provider's base_url
    max_connections: Count = 1000  # open connections to each endpoint; more wait, then 503
    price: Literal["free"] | PriceConfig | None = None  # default: the model's
    limits: DeploymentLimits = DeploymentLimits()


class BreakerConfig(Block, frozen=True):
    """When a deployment is left alone for a while."""

    failures: Count = 5  # this many failures in a row
    error_rate: Share = 0.5  # or this share of failures ...
    minimum_requests: Count = 20  # ... among at least so many attempts ...
    window_seconds: Positive = 30.0  # ... within this time
    open_seconds: Positive = 15.0  # how long it is left alone before one probe is let through


class ExactCacheConfig(Block, frozen=True):
    ttl_seconds: Positive = 3600.0


class SemanticCacheConfig(Block, frozen=True):
    ttl_seconds: Positive = 3600.0
    bound: Share = 0.01
    shadow_share: Share = 0.02


class CacheConfig(Block, frozen=True):
    exact: ExactCacheConfig | None = None
    semantic: SemanticCacheConfig | None = None


class ModelConfig(Block, frozen=True):
    deployments: list[DeploymentConfig]
    price: Literal["free"] | PriceConfig | None = None  # USD per million tokens; default: the packaged price list, by the upstream's name
    context_tokens: Count | None = None
    max_output_tokens: Count | None = None  # a higher request is lowered to it
    first_token_seconds: Positive = 60.0  # until the first content of a stream
    stall_seconds: Positive = 30.0  # between chunks
    total_seconds: Positive = 600.0  # the whole request, retries included
    retries: CountFromZero = 2  # before the commit point, on 408, 409, 429, 5xx and connection errors; honours Retry-After
    balance: Literal["round_robin", "weighted", "least_busy"] = "round_robin"
    fallback: list[str] = []  # other models, tried in order; only those the caller's tier allows
    breaker: BreakerConfig = BreakerConfig()
    on_untranslatable: Literal["refuse", "drop"] = "refuse"
    cache: CacheConfig = CacheConfig()  # absent: off


class ShadowConfig(Block, frozen=True):
    share: Share = 0
    max_usd_per_day: Usd = Decimal(0)


class RouterConfig(Block, frozen=True):
    from_: list[str] = msgspec.field(name="from")
    cost_quality: Share = 0.5
    appeal: bool = False
    shadow: ShadowConfig = ShadowConfig()


class FeaturesConfig(Block, frozen=True):
    tools: bool = True
    images: bool = True


class BudgetsConfig(Block, frozen=True):
    """USD, calendar windows in the tenant's time zone."""

    request: Usd | None = None
    session: Usd | None = None
    user_day: Usd | None = None
    tenant_month: Usd | None = None


class VelocityConfig(Block, frozen=True):
    usd_per_5_minutes: Usd | None = None
    baseline_factor: Positive | None = None
    action: Literal["block", "degrade", "alert"] = "block"


class LoopGuardConfig(Block, frozen=True):
    requests_per_session: Count | None = None
    same_request_in_a_row: Count | None = None


class TierConfig(Block, frozen=True):
    models: list[str]  # public names, or ["*"]
    features: FeaturesConfig = FeaturesConfig()
    max_output_tokens: Count | None = None  # a higher request is lowered, and x-headgate-max-output-tokens says so
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    concurrent_requests: Count | None = None
    burst_seconds: Positive = 60.0
    budgets: BudgetsConfig = BudgetsConfig()
    on_exceed: Literal["reject"] | dict[Literal["degrade"], str] = "reject"  # reject | degrade: MODEL
    velocity: VelocityConfig = VelocityConfig()
    loop_guard: LoopGuardConfig = LoopGuardConfig()
    enforce: bool = True


class KeyConfig(Block, frozen=True):
    key: str  # the virtual key itself, from the environment or a file
    user: str | None = None
    name: str = ""
    tier: str = ""  # default: the tenant's


class TenantConfig(Block, frozen=True):
    tier: str
    timezone: str = "UTC"
    keys: list[KeyConfig] = []


class AlertConfig(Block, frozen=True):
    on: list[Literal["budget", "velocity", "drift", "store"]]
    webhook: str
    secret: str = ""


class PiiConfig(Block, frozen=True):
    store: list[str] = []
    redact: list[str] = []
    never: list[str] = []


class Config(Block, frozen=True):
    """The whole file."""

    server: ServerConfig = ServerConfig()
    store: str = "memory"  # hot counters and caches: memory | redis://host:port/0
    database: str = "sqlite"  # ledger, keys, jobs: sqlite (in data_dir) | postgresql://user@host/db
    on_store_failure: Literal["deny", "allow"] = "deny"
    on_database_failure: Literal["serve", "deny"] = "serve"  # the database is away: serve while the journal has room, or refuse
    providers: dict[str, ProviderConfig] = {}
    models: dict[str, ModelConfig] = {}
    routers: dict[str, RouterConfig] = {}
    tiers: dict[str, TierConfig] = {}
    tenants: dict[str, TenantConfig] = {}
    alerts: list[AlertConfig] = []
    pii: PiiConfig = PiiConfig()
    queue: str = "sql"
