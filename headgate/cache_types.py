"""The vocabulary of cached answers: what a caller and the configuration say of them, and what is kept of one."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from headgate.types import Frozen, Usage


class Sharing(StrEnum):
    """Who may get an answer that somebody else's request was given."""

    USER = "user"  # the same user of the same tenant
    TENANT = "tenant"  # every user of the same tenant
    EVERYBODY = "everybody"  # all tenants


class Sampled(StrEnum):
    """Which answers are kept though another try would have been answered otherwise."""

    NEVER = "never"  # only those to requests with a temperature of 0
    UNSET = "unset"  # also those to requests that name no temperature
    ALWAYS = "always"


class Hit(StrEnum):
    """How a request was answered without a provider."""

    EXACT = "exact"  # by an answer that was kept for the same question
    SEMANTIC = "semantic"  # for one that means the same
    COALESCED = "coalesced"  # by the answer to a request that asked the same at the same time
    IDEMPOTENT = "idempotent"  # by the result of the request that came with its idempotency key before


class NotKept(StrEnum):
    """Why an answer is not kept."""

    SAMPLED = "sampled"  # another try would be answered otherwise: the temperature is above 0, or not 0
    STATEFUL = "stateful"  # it depends on more than the request
    HOSTED_TOOLS = "hosted_tools"  # the request has tools that the provider runs
    AMBIGUOUS = "ambiguous"  # the body has a member twice: servers differ in which one they read
    UNREADABLE = "unreadable"  # the body or the answer cannot be read
    TOOL_CALL = "tool_call"  # the answer calls tools
    REFUSAL = "refusal"
    INCOMPLETE = "incomplete"  # cut, filtered, empty, or without a finish reason
    OTHER_MODEL = "other_model"  # a fallback answered, or a cheaper model
    DROPPED = "dropped"  # its provider was not told all of the request
    TOO_LONG = "too_long"
    UNWANTED = "unwanted"  # by the caller
    PRIVATE = "private"  # it contains what must not be kept


class ExactRules(Frozen, frozen=True, gc=False):
    """Answering the same request again."""

    ttl_seconds: float = 3600.0
    sampled: Sampled = Sampled.UNSET
    share: Sharing = Sharing.TENANT
    coalesce: bool = True  # the same request while it is being answered waits for that answer


class SemanticRules(Frozen, frozen=True, gc=False):
    """Answering a request that means the same."""

    ttl_seconds: float = 3600.0  # how old an answer may be
    bound: float = 0.01  # the share of wrong answers among all hits that is accepted
    shadow_share: float = 0.02  # of hits that a provider is asked for as well
    any_turn: bool = False  # also after other messages, if those are the same
    max_characters: int = 1_000  # longer messages are not looked for
    wait_seconds: float = 0.1  # for the vector of a question
    judge: str = ""  # the model that compares answers; "": their words and vectors are compared
    verifier: str = ""  # the model that is asked before an answer is given; "": none


class ProviderCacheRules(Frozen, frozen=True, gc=False):
    """Where a provider is asked to cache a prompt: behind its tools, its system prompt, its newest messages."""

    tools: bool = False
    system: bool = False
    history: bool = False
    ttl: str = "5m"  # or "1h"
    least_bytes: int = 0  # of JSON before a point


class CacheRules(Frozen, frozen=True, gc=False):
    """How requests for one public name are answered without a provider."""

    exact: ExactRules | None = None
    models: frozenset[str] = frozenset()  # whose answers are answers of that name: its own, or a router's models'
    semantic: SemanticRules | None = None


class Question(Frozen, frozen=True, gc=False):
    """What is asked, as far as the answer depends on it. Digests of 24 bytes.

    `partition` is everything but the last user message, `key` all of it. `reason` says why no answer to it may be
    kept; None: one may be.
    """

    reason: NotKept | None = None
    key: bytes = b""
    partition: bytes = b""
    message: bytes = b""  # the last user message, as canonical JSON; empty: the last word is somebody else's
    is_single_turn: bool = False  # nothing was said before the message, but for instructions


class Ending(Frozen, frozen=True, gc=False):
    """How an answer ended, in its dialect's words. `finishes` has one for each choice, "" for one that has none."""

    finishes: tuple[str, ...]
    calls_tools: bool = False  # or contains anything else but text and thoughts
    refuses: bool = False
    texts: tuple[str, ...] = ()  # what was generated, thoughts included


class CachedAnswer(Frozen, frozen=True, gc=False, array_like=True):
    """An answer that is kept. Written by position: later releases add fields with defaults at the end, nothing else.

    `body` is what the client was sent, `tail` the end of a stream, which follows when the request is booked. Times are
    Unix seconds.
    """

    key: bytes
    request_id: str  # of the request that was answered by a provider
    tenant: str
    user: str | None
    model: str  # the public name that was asked for
    prompt_version: str | None
    route: str
    stream: bool
    answered_by: str  # the public name of the model
    origin: str  # which deployment, as it was configured then
    deployment: str
    provider: str
    stored_at: float
    expires_at: float
    cost_picousd: int  # what the answer came to
    body: bytes
    tail: bytes = b""
    usage: Usage = Usage()  # of the attempt that answered


class CacheScope(Frozen, frozen=True, gc=False):
    """Which answers: those that agree in everything that is given."""

    tenant: str | None = None
    model: str | None = None
    prompt_version: str | None = None
    user: str | None = None  # whose request was answered

    def covers(self, answer: CachedAnswer) -> bool:
        """Whether an answer is one of them."""
        return (
            (self.tenant is None or answer.tenant == self.tenant)
            and (self.model is None or self.model in (answer.model, answer.answered_by))
            and (self.prompt_version is None or answer.prompt_version == self.prompt_version)
            and (self.user is None or answer.user == self.user)
        )


class SemanticActivity(Frozen, frozen=True, gc=False):
    """What became of questions that were looked for by their meaning.

    The false-hit rate is that of the verified hits; it lies between `low` and `high` with 95 % confidence, whenever it
    is looked at.
    """

    decisions: Mapping[str, int] = {}  # by reason: served, or why not
    verified: int = 0  # hits that a provider was asked for as well
    false_hits: int = 0  # of these
    false_hit_rate: float | None = None
    low: float = 0.0
    high: float = 1.0
    compared_misses: int = 0  # misses after which the best answer that was there was compared


class CacheActivity(Frozen, frozen=True, gc=False):
    """What became of requests that were looked for among the answers that are kept, since the processes started."""

    found: Mapping[str, int] = {}  # by kind: exact, semantic, coalesced, idempotent
    missed: int = 0
    kept: int = 0
    not_kept: Mapping[str, int] = {}  # by reason
    saved_picousd: int = 0  # what the answers that were found would have cost at the day's price
    semantic: Mapping[str, SemanticActivity] = {}  # by model, of those whose questions were looked for by their meaning


class Neighbour(Frozen, frozen=True, gc=False):
    """An entry near to a vector, and the product of the two: 1 is the same direction."""

    key: str
    similarity: float


class CacheSize(Frozen, frozen=True, gc=False):
    """How much a store keeps, and how many answers it has dropped to keep others."""

    entries: int
    bytes: int
    evicted: int = 0
