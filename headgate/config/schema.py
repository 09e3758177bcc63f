"""The configuration, typed: one frozen struct per block, defaults beside the fields, the comment is its documentation.

`docs/configuration.md` and the JSON Schema are generated from this file and the modules of its blocks, so a field's
comment (on its line, or above it when it is long) is what users read. Every block refuses unknown keys; `decode.py`
adds the line and the nearest name.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from headgate.config.alert_schema import AlertConfig
from headgate.config.batch_schema import BatchConfig, GatherConfig
from headgate.config.billing_schema import BillingConfig, ReconcileConfig
from headgate.config.blocks import Block, Count, CountFromZero, NotNegative, Port, Positive, Share, Usd
from headgate.config.delivery_schema import PublishConfig
from headgate.config.embedder_schema import EmbedderConfig
from headgate.config.files_schema import FilesConfig
from headgate.config.jobs_schema import JobsConfig
from headgate.config.router_schema import EscalateConfig, FlagConfig, ShadowConfig, TargetConfig
from headgate.config.tiers import LimitsConfig, TenantConfig, TierConfig


class LogConfig(Block, frozen=True):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"  # the least important lines that are written
    format: Literal["json", "text"] = "json"  # one JSON object a line, or text for people
    requests: Literal["all", "failures", "off"] = "all"  # a line for every request, for those that went wrong, or none
    prompts: bool = False  # add prompt and answer text to the request line; off, because they are your users' words


class MetricsConfig(Block, frozen=True):
    """Prometheus metrics under /metrics."""

    access: Literal["open", "admin", "off"] = "open"  # on the gateway's port: for everybody, with the admin key, or not
    port: Port = 0  # an own listener on the same host; 0: none


class TracingConfig(Block, frozen=True):
    """OpenTelemetry spans; needs the extra headgate[otel]."""

    otlp_endpoint: str = ""  # where spans go (OTLP over HTTP), e.g. http://localhost:4318; empty: no spans
    sample_share: Share = 1.0  # share of requests without an incoming trace decision that are traced


class LedgerConfig(Block, frozen=True):
    """The record of requests and attempts."""

    retention_days: Count = 90  # older rows are folded into daily totals
    journal_max_bytes: Count = 256_000_000  # room for rows that wait for the database, per process
    # 0: rows survive the death of the process; above 0: fsync at least this often, so that they survive power loss
    sync_seconds: NotNegative = 0


class ServerConfig(Block, frozen=True):
    """The listening process."""

    host: str = "127.0.0.1"  # the address to listen on; 0.0.0.0: all of this machine's
    port: Port = 8080  # 0: any free one
    data_dir: str = "./headgate-data"  # embedded default: journal and SQLite for ledger, keys and jobs live here
    # off: every caller is the tenant "anonymous" and may use every model
    authentication: Literal["required", "off"] = "required"
    max_body_bytes: Count = 10_000_000  # a larger body gets 413
    max_header_bytes: Count = 32_768  # larger headers get 431
    max_in_flight: Count = 2000  # requests under way per process; more get 503 with Retry-After, at once
    max_waiting: Count = 1000  # requests in the waiting room per process; more get 503 at once
    quota_wait_seconds: NotNegative = 10.0  # a request waits this long for a provider's quota before it gets 429
    max_connections: Count = 10_000  # open client connections per process; more are closed at once
    receive_seconds: Positive = 30.0  # a request must have arrived after this time, else 408
    send_seconds: Positive = 30.0  # a client that takes nothing for this long while bytes wait is dropped
    keep_alive_seconds: Positive = 75.0  # an idle client connection is closed after this time
    drain_seconds: NotNegative = 30.0  # on SIGTERM: /readyz fails, streams finish, then exit
    # the client left: stop upstream (cancel), read on to settle (finish), or also keep the events for a return (detach)
    on_disconnect: Literal["cancel", "finish", "detach"] = "cancel"
    # origins of web pages that may call /v1/ from a browser, e.g. https://chat.example.com; "*": all. Never /admin
    cors_origins: list[str] = []
    trusted_proxies: list[str] = []  # addresses or networks whose x-forwarded-for is believed
    log: LogConfig = LogConfig()  # what is written to standard error
    metrics: MetricsConfig = MetricsConfig()  # Prometheus metrics under /metrics
    tracing: TracingConfig = TracingConfig()  # OpenTelemetry spans
    ledger: LedgerConfig = LedgerConfig()  # the record of requests and attempts


class Spread(Block, frozen=True):
    """A log-normal distribution given by two of its points."""

    median: NotNegative  # half of the values are below it
    p99: NotNegative  # 99 % of the values are below it


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

    seed: int = 0  # the same seed and request give the same answer
    ttft_seconds: Spread = Spread(median=0.15, p99=0.6)  # until the first content
    itl_seconds: Spread = Spread(median=0.012, p99=0.05)  # between tokens
    output_tokens: Spread = Spread(median=60, p99=400)  # length of an answer that is not cut by max_tokens
    faults: SimFaults = SimFaults()  # shares of requests that go wrong


class ProviderConfig(Block, frozen=True):
    """An upstream API and how to reach it."""

    # the API it speaks; openai also for vLLM, SGLang, Ollama, Groq, Together, Mistral, DeepSeek and the like
    kind: Literal["openai", "anthropic", "gemini", "azure", "bedrock", "vertex", "sim"]
    base_url: str = ""  # up to and including the version, e.g. https://api.openai.com/v1
    api_key: str = ""  # a single key, the same as api_keys: [X]; "none" for a server that asks for none
    api_keys: list[str] = []  # several keys: a pool with a cooldown each
    headers: dict[str, str] = {}  # sent with every request
    proxy: str = ""  # http://host:port; default: HTTPS_PROXY and NO_PROXY of the environment. "none": never
    ca_file: str = ""  # trust these certificates too; default: the system's
    verify_tls: bool = True  # false accepts any certificate: for tests only
    connect_seconds: Positive = 5.0  # until the connection is made
    keep_alive_seconds: Positive = 60.0  # an idle upstream connection is kept this long
    stream_usage: bool = True  # ask for the usage chunk of a stream; false for servers that refuse stream_options
    project: str = ""  # for kind: vertex, the project that pays; an API key knows its own
    location: str = "global"  # for kind: vertex, a region such as europe-west4, or global
    # for kind: vertex without an API key, a service account's key as JSON; default: the machine's own credentials
    credentials_file: str = ""
    # for kind: azure, a date such as 2024-10-21 for URLs that name a deployment; default: the v1 URLs, which have none
    api_version: str = ""
    region: str = ""  # for kind: bedrock, e.g. us-east-1: whose endpoint is asked, and what requests are signed for
    profile: str = ""  # for kind: bedrock without api_key, a profile of AWS's configuration; default: AWS's usual chain
    sim: SimConfig = SimConfig()  # for kind: sim
    billing: BillingConfig | None = None  # where it says what was used and what it costs; absent: it is not asked

    def __post_init__(self) -> None:
        """Both ways to write keys end in `api_keys`, so that nobody else has to look at `api_key`."""
        if self.api_key not in ("", "none") and not self.api_keys:
            msgspec.structs.force_setattr(self, "api_keys", [self.api_key])


class LongContextConfig(Block, frozen=True):
    """What all tokens of a request cost whose prompt is longer than the limit. USD per million tokens."""

    above_tokens: Count  # prompts of more tokens than this, cached ones included
    input: Usd | None = None  # default: as below the limit, and so for the others
    output: Usd | None = None  # answer tokens
    cached_input: Usd | None = None  # prompt tokens read from the provider's cache
    cache_write: Usd | None = None  # prompt tokens written to it for five minutes
    cache_write_1h: Usd | None = None  # prompt tokens written to it for an hour
    reasoning: Usd | None = None  # thinking tokens


class BatchPriceConfig(Block, frozen=True):
    """What requests cost that the provider answers within a day. USD per million tokens."""

    input: Usd  # prompt tokens
    output: Usd = Decimal(0)  # answer tokens
    cached_input: Usd | None = None  # prompt tokens read from the provider's cache; default: as input


class PriceConfig(Block, frozen=True):
    """USD per million tokens, at most 6 decimals."""

    input: Usd  # prompt tokens
    output: Usd = Decimal(0)  # answer tokens
    cached_input: Usd | None = None  # prompt tokens read from the provider's cache; default: as input
    cache_write: Usd | None = None  # prompt tokens written to it, for five minutes; default: as input
    cache_write_1h: Usd | None = None  # prompt tokens written to it for an hour; default: as cache_write
    reasoning: Usd | None = None  # thinking tokens; default: as output
    long_context: LongContextConfig | None = None  # other prices for long prompts; default: the same
    batch: BatchPriceConfig | None = None  # other prices for batches


class CapabilitiesConfig(Block, frozen=True):
    """What a model can, where the packaged list does not know it or is wrong. What is left out: as the list says."""

    tools: bool | None = None  # calls tools
    images: bool | None = None  # takes images in the prompt
    json_schema: bool | None = None  # gives answers that keep to a JSON schema
    reasoning: bool | None = None  # can be told how much to think


class DeploymentLimits(Block, frozen=True):
    """What the provider allows."""

    requests_per_minute: Count | None = None  # default: no limit
    tokens_per_minute: Count | None = None  # default: no limit


class DeploymentConfig(Block, frozen=True):
    """One upstream that serves a model."""

    provider: str  # a name from the block `providers`
    model: str  # the name the provider knows it by
    name: str = ""  # what logs, metrics and the ledger call it; default: provider/model
    # kinds openai and azure: what to ask it through. auto: as the caller asks, chat for callers of other dialects
    api: Literal["auto", "chat", "responses"] = "auto"
    weight: NotNegative = 1.0  # share of the traffic when balance is weighted
    endpoints: list[str] = []  # several addresses of the same deployment; default: the provider's base_url
    max_connections: Count = 1000  # open connections to each endpoint; more wait, then 503
    price: Literal["free"] | PriceConfig | None = None  # default: the model's
    capabilities: CapabilitiesConfig = CapabilitiesConfig()  # what it can; default: the model's
    limits: DeploymentLimits = DeploymentLimits()  # what the provider allows

    def __post_init__(self) -> None:
        if not self.name:
            msgspec.structs.force_setattr(self, "name", f"{self.provider}/{self.model}")


class BreakerConfig(Block, frozen=True):
    """When a deployment is left alone for a while."""

    failures: Count = 5  # this many failures in a row
    error_rate: Share = 0.5  # or this share of failures ...
    minimum_requests: Count = 20  # ... among at least so many attempts ...
    window_seconds: Positive = 30.0  # ... within this time
    open_seconds: Positive = 15.0  # how long it is left alone before one probe is let through


class ExactCacheConfig(Block, frozen=True):
    """Answers to the same request again."""

    ttl_seconds: Positive = 3600.0  # how long an answer is kept; a request may ask for less
    # answers that another try would give otherwise: keep only those to requests with a temperature of 0 (never), also
    # those to requests that name none (unset), or all of them (always)
    sampled: Literal["never", "unset", "always"] = "unset"
    # who may get an answer that another request was given: the same user, any user of the tenant, or any tenant
    share: Literal["user", "tenant", "everybody"] = "tenant"
    coalesce: bool = True  # the same request, while it is being answered, waits for that answer


class SemanticCacheConfig(Block, frozen=True):
    """Answers to a request that means the same. Needs headgate[embeddings]; turns `exact` on too."""

    # how old an answer may be that is given to another question; without a block `exact` it is kept for so long too
    ttl_seconds: Positive = 3600.0
    bound: Share = 0.01  # the highest tolerated share of wrong answers among all hits
    shadow_share: Share = 0.02  # share of hits that are asked upstream as well, to measure the wrong ones
    # what is looked for: questions with nothing said before them but instructions (first), or also those within a
    # conversation, among conversations that were the same so far (any)
    turns: Literal["first", "any"] = "first"
    max_characters: Count = 1_000  # a longer message is not looked for
    wait_seconds: Positive = 0.1  # for a question's vector; then it is a miss
    judge: str = ""  # a cheap model that compares answers; default: their words and vectors are compared
    verifier: str = ""  # a cheap model that is asked before every hit whether the answer still applies; default: none


class ProviderCacheConfig(Block, frozen=True):
    """Asking providers to cache the beginnings of prompts, those that want to be asked: kinds anthropic and bedrock."""

    # up to where: the end of the tools, of the system prompt, of the newest messages; none where a caller sets his own
    points: list[Literal["tools", "system", "history"]]
    ttl: Literal["5m", "1h"] = "5m"  # how long it is kept after its last use; an hour costs more to write
    min_tokens: CountFromZero = 1024  # a shorter beginning is not worth a point: providers cache none below a length


class CacheConfig(Block, frozen=True):
    """Paying less: answering without a provider, and what the provider itself keeps."""

    exact: ExactCacheConfig | None = None  # the same request again; absent: off
    semantic: SemanticCacheConfig | None = None  # a request that means the same; absent: off
    provider: ProviderCacheConfig | None = None  # the provider's own cache of prompts; absent: only as callers ask


class CacheStoreConfig(Block, frozen=True):
    """How much the caches of all models keep together."""

    max_entries: Count = 100_000  # answers
    max_bytes: Count = 256_000_000  # of the answers and what is kept beside them
    max_entry_bytes: Count = 1_000_000  # a longer answer is not kept


class ModelConfig(Block, frozen=True):
    """A public model name and what serves it."""

    deployments: list[DeploymentConfig]  # the upstreams that serve it
    # USD per million tokens, or free; default: the packaged price list, by the upstream's name
    price: Literal["free"] | PriceConfig | None = None
    # prompt and answer together; a longer prompt is refused by name; default: the provider decides
    context_tokens: Count | None = None
    max_output_tokens: Count | None = None  # a higher request is lowered to it
    capabilities: CapabilitiesConfig = CapabilitiesConfig()  # what it can; default: as the packaged list says
    first_token_seconds: Positive = 60.0  # until the first content of a stream
    stall_seconds: Positive = 30.0  # between chunks
    total_seconds: Positive = 600.0  # the whole request, retries included
    # before the first content, on 408, 409, 429, 5xx and connection errors; honours Retry-After
    retries: CountFromZero = 2
    balance: Literal["round_robin", "weighted", "least_busy"] = "round_robin"  # how the next deployment is chosen
    fallback: list[str] = []  # other models, tried in order; only those the caller's tier allows
    breaker: BreakerConfig = BreakerConfig()  # when a deployment is left alone for a while
    # a field that the deployment's API cannot express: refuse the request, or drop it and list it in a header
    on_untranslatable: Literal["refuse", "drop"] = "refuse"
    cache: CacheConfig = CacheConfig()  # absent: off
    batch: BatchConfig = BatchConfig()  # the provider's own batch API, for jobs
    gather: GatherConfig | None = None  # requests for embeddings, sent as one; absent: each by itself


class RouterConfig(Block, frozen=True):
    """A public name behind which headgate chooses the model."""

    from_: list[str] = msgspec.field(name="from")  # the models to choose from, the cheapest first
    cost_quality: Share = 0.5  # 0: always the cheapest, 1: always the best
    target: TargetConfig | None = None  # in place of cost_quality
    weights: dict[str, NotNegative] = {}  # in place of both, by model: fixed shares of conversations, to compare models
    flags: list[FlagConfig] = []  # a model for some tiers or a share of conversations; the first that fits counts
    difficulty_model: str = ""  # how hard questions are, a file of headgate route train; default: the packaged one
    use_embedder: bool = False  # judge questions by their meaning too: needs a prepared embedder, takes 2 ms more
    # a model that takes longer to its first content now is passed over while another is faster; default: no limit
    max_ttft_seconds: Positive | None = None
    cache: CacheConfig = CacheConfig()  # for requests that ask for this name; absent: off
    escalate: EscalateConfig = EscalateConfig()  # when the next better model is asked before an answer is shown
    session_seconds: NotNegative = 3600.0  # a conversation keeps its model until it was silent for this long; 0: never
    appeal: bool = False  # a user may ask for the better model when an answer was not good enough
    challenges: list[str] = []  # words that mean the same, e.g. "that is wrong"; in whatever way they are written
    shadow: ShadowConfig = ShadowConfig()  # asking a second model, to learn from the difference


PiiClass = Literal["email", "phone", "card", "iban", "national_id", "ip", "secret", "name"]


class PiiConfig(Block, frozen=True):
    """What caches may keep of personal data in prompts and answers, by class; a class named nowhere is never kept."""

    store: list[PiiClass] = []  # kept as it is
    redact: list[PiiClass] = []  # questions are kept with the value replaced, answers that contain it are not kept
    private: list[PiiClass] = []  # kept for the one user of the tenant who asked
    never: list[PiiClass] = []  # what contains it is not kept at all; secrets never are
    # people, customers, projects: what the class `name` means; words, each of which may end in * for any ending
    names: list[str] = []


class IdempotencyConfig(Block, frozen=True):
    """Requests that are sent with the header idempotency-key."""

    keep_hours: Positive = 24.0  # how long a key and its result are kept
    max_result_bytes: Count = 1_000_000  # a longer result is not kept: the key then only says that there was one
    alive_seconds: Positive = 15.0  # a process that says nothing for so long is thought dead; read at the start
    # the process died that had the request: answer it again and charge the second time only (retry), or say so (refuse)
    on_unknown: Literal["retry", "refuse"] = "retry"


class Config(Block, frozen=True):
    """The whole file."""

    server: ServerConfig = ServerConfig()  # the listening process
    store: str = "memory"  # hot counters and caches: memory | redis://host:port/0
    database: str = "sqlite"  # ledger, keys, jobs: sqlite (in data_dir) | postgresql://user@host/db
    on_store_failure: Literal["deny", "allow"] = "deny"  # the store is away: refuse, or go on without limits
    # the database is away: serve while the journal has room, or refuse
    on_database_failure: Literal["serve", "deny"] = "serve"
    providers: dict[str, ProviderConfig] = {}  # upstream APIs by name
    models: dict[str, ModelConfig] = {}  # what callers may ask for, by public name
    routers: dict[str, RouterConfig] = {}  # public names behind which headgate chooses the model
    cache: CacheStoreConfig = CacheStoreConfig()  # how much the caches of all models keep together
    limits: LimitsConfig = LimitsConfig()  # of all tenants together
    tiers: dict[str, TierConfig] = {}  # sets of limits and features by name
    tenants: dict[str, TenantConfig] = {}  # who pays, by name
    alerts: list[AlertConfig] = []  # whom to tell when something happens
    reconcile: ReconcileConfig = ReconcileConfig()  # comparing the ledger with what providers bill, every night
    embedder: EmbedderConfig = EmbedderConfig()  # who turns texts into vectors
    pii: PiiConfig = PiiConfig()  # what may be kept of personal data
    idempotency: IdempotencyConfig = IdempotencyConfig()  # requests that are sent with the header idempotency-key
    jobs: JobsConfig = JobsConfig()  # work that is done later, and who does it
    files: FilesConfig = FilesConfig()  # files that callers keep, and those of batches
    publish: PublishConfig = PublishConfig()  # topics that others read along
    # how workers of other processes hear of new jobs at once: sql (by the database) | redis:// | amqp:// | kafka:// | sqs://
    queue: str = "sql"
