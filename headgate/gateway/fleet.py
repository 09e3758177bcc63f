"""The live side of the configuration: models, their deployments, and what is going on at each of them right now.

A `Setup` is built from one configuration and never changes; a reload builds the next one and hands over the deployments
that stayed the same, with their connections, breakers and counters. Requests under way keep the setup they began with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from math import log
from types import MappingProxyType

from headgate.cache_types import CacheRules, ProviderCacheRules
from headgate.gateway.quotas import NO_LIMITS, Mark, Quota
from headgate.gateway.routers import RouterSpec
from headgate.idempotency_types import IdempotencyRules
from headgate.policy import health, pricing
from headgate.policy.health import Breaker, BreakerRules, Gate
from headgate.policy.pii.rules import NOTHING_ALLOWED, Rules
from headgate.policy.preflight import prompt_rules
from headgate.policy.quota import FITS, Decision, Demand, QuotaLimits
from headgate.policy.routing import Balance, Candidate
from headgate.ports import Provider
from headgate.types import Capabilities, Frozen, Price, Route, Rule
from headgate.wire import dialects
from headgate.wire.neutral import Target

AUTH_COOLDOWN_SECONDS = 60.0
RATE_LIMIT_COOLDOWN_SECONDS = 5.0
TTFT_WEIGHT = 0.2  # of the newest stream's time to first content
LATE_TTFT_WEIGHT = 0.1  # the same for the dispatch gate
USUAL_TTFT_WEIGHT = 0.02  # and for what is usual
LEAST_TTFT_SECONDS = 0.001
ANY_DEMAND = Demand()
DEFAULT_MAX_OUTPUT_TOKENS = 4096  # for an API that insists on a ceiling, when neither caller nor model has one


class KeyPool:
    """The keys of a provider: used in turn, and left alone for a while after a 401, 403 or 429."""

    __slots__ = ("_fingerprints", "_keys", "_resting_until", "_turn")

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = tuple(keys) or ("",)
        self._fingerprints = {key: hashlib.sha256(key.encode()).hexdigest()[:8] if key else "" for key in self._keys}
        self._resting_until = dict.fromkeys(self._keys, 0.0)
        self._turn = 0

    def __len__(self) -> int:
        return len(self._keys)

    def take(self, now: float, allows: Callable[[str], bool] = lambda key: True) -> str:
        """The next key in turn that is not resting; when all rest, the one that has rested longest.

        Of those awake one that `allows` has nothing against goes first.
        """
        if len(self._keys) == 1:
            return self._keys[0]
        self._turn += 1
        order = [self._keys[(self._turn + offset) % len(self._keys)] for offset in range(len(self._keys))]
        awake = [key for key in order if self._resting_until[key] <= now]
        if not awake:
            return min(order, key=lambda key: self._resting_until[key])
        return next(filter(allows, awake), awake[0])

    def in_question(self, now: float) -> tuple[str, ...]:
        """Those that `take` may choose from: all that are not resting, or all when all rest."""
        if len(self._keys) == 1:
            return self._keys
        return tuple(key for key in self._keys if self._resting_until[key] <= now) or self._keys

    def awake(self, now: float) -> int:
        """How many keys are not resting."""
        return sum(until <= now for until in self._resting_until.values())

    def rest(self, key: str, until: float) -> None:
        """Leave a key alone until a time (monotonic seconds)."""
        self._resting_until[key] = max(until, self._resting_until[key])

    def named(self, fingerprint: str) -> str:
        """The key with that fingerprint; the first if there is none."""
        return next((key for key, name in self._fingerprints.items() if name == fingerprint), self._keys[0])

    def fingerprint(self, key: str) -> str:
        """First 8 hex digits of the key's SHA-256: tells keys apart without telling them."""
        return self._fingerprints[key]


class DeploymentSpec(Frozen, frozen=True):
    """What a deployment is by configuration. Two equal specs are the same deployment across a reload."""

    name: str
    provider: str
    kind: str
    upstream_model: str
    endpoints: tuple[str, ...]
    price: Price | None  # None: free
    weight: float = 1.0
    api: str = "auto"  # auto, chat or responses
    ask_usage: bool = True
    rules: BreakerRules = BreakerRules()
    capabilities: Capabilities = Capabilities()
    connection: str = ""  # a digest of everything the provider adapter was built from
    cache_points: ProviderCacheRules | None = None  # that requests are sent with

    @property
    def origin(self) -> str:
        """Whose answers its answers are: another one when something else answers under the same name."""
        parts = (self.name, self.provider, self.kind, self.upstream_model, self.api, *sorted(self.endpoints))
        return hashlib.blake2b(repr(parts).encode(), digest_size=12).hexdigest()


class Deployment:
    """One upstream that serves a model, with its live state."""

    __slots__ = (
        "_endpoint_turn", "background", "breaker", "dialogues", "keys", "log_ttft", "provider", "quiet_streams",
        "quota", "refusals", "requests_in_flight", "spec", "streams", "target", "tokens_in_flight", "ttft_seconds",
        "usual_log_ttft",
    )  # fmt: skip

    def __init__(
        self, spec: DeploymentSpec, provider: Provider, keys: KeyPool, limits: QuotaLimits = NO_LIMITS
    ) -> None:
        self.spec = spec
        self.provider = provider
        self.keys = keys
        self.quota = Quota(limits)
        self.dialogues = dialects.dialogues(spec.kind, spec.api, spec.cache_points)
        self.target = _target(spec)
        self.breaker: Breaker = health.HEALTHY
        self.tokens_in_flight = 0
        self.requests_in_flight = 0
        self.ttft_seconds: float | None = None  # of streams lately, for routers
        self.log_ttft = 0.0  # natural logarithm of the same, for the dispatch gate: outliers count for less
        self.usual_log_ttft = 0.0  # of those while no background work was felt
        self.background = 0  # models whose background work it feels now
        self.streams = 0  # that had their first content
        self.quiet_streams = 0  # of them, those beside which no background work was under way
        self.refusals = 0  # 429, 503 and 529
        self._endpoint_turn = 0

    def next_endpoint(self) -> str:
        """The endpoints in turn."""
        endpoints = self.spec.endpoints
        if len(endpoints) == 1:
            return endpoints[0]
        self._endpoint_turn += 1
        return endpoints[self._endpoint_turn % len(endpoints)]

    def gate(self, now: float) -> Gate:
        """Whether attempts may go through."""
        return health.gate(self.breaker, self.spec.rules, now)

    def usable(self, now: float) -> bool:
        """Whether an attempt may go through now: the breaker lets it, and there is somewhere to send it."""
        return bool(self.spec.endpoints) and self.gate(now) is not Gate.OPEN

    def fits(self, demand: Demand, now: float) -> Decision:
        """Whether the provider's quota has room for a request."""
        quota = self.quota
        return FITS if quota.is_free else quota.decide(self.keys.in_question(now), demand, now)

    def takes(self, demand: Demand, now: float) -> bool:
        """Whether an attempt may be made now: the deployment is usable, and its quota has room."""
        return self.usable(now) and (self.quota.is_free or self.fits(demand, now).fits)

    def take_key(self, demand: Demand, now: float) -> str:
        """The key to ask with, one whose quota has room if there is one."""
        quota = self.quota
        if quota.is_free:
            return self.keys.take(now)
        return self.keys.take(now, lambda key: quota.allows(key, demand, now))

    def begin(self, demand: Demand, key: str, now: float) -> Mark:
        """An attempt starts."""
        self.breaker = health.started(self.breaker, now)
        self.tokens_in_flight += demand.tokens
        self.requests_in_flight += 1
        return self.quota.began(key, demand, now)

    def began_stream(self, ttft_seconds: float) -> None:
        """A stream had its first content: the newest ones count most."""
        before = self.ttft_seconds
        self.ttft_seconds = ttft_seconds if before is None else before + TTFT_WEIGHT * (ttft_seconds - before)
        self.streams += 1
        log_seconds = log(max(ttft_seconds, LEAST_TTFT_SECONDS))
        self.log_ttft += max(LATE_TTFT_WEIGHT, 1.0 / self.streams) * (log_seconds - self.log_ttft)
        if not self.background:
            self.quiet_streams += 1
            weight = max(USUAL_TTFT_WEIGHT, 1.0 / self.quiet_streams)
            self.usual_log_ttft += weight * (log_seconds - self.usual_log_ttft)

    def end(self, demand: Demand, used_tokens: int, *, healthy: bool | None, began: float, now: float) -> None:
        """The attempt that began then ended now; `healthy` is None when it says nothing of the deployment's health."""
        self.tokens_in_flight -= demand.tokens
        self.requests_in_flight -= 1
        self.quota.ended(demand, used_tokens, began)
        if healthy is None:
            self.breaker = health.abandoned(self.breaker, began=began)
        elif healthy:
            self.breaker = health.succeeded(self.breaker, self.spec.rules, began=began, now=now)
        else:
            self.breaker = health.failed(self.breaker, self.spec.rules, began=began, now=now)


def _target(spec: DeploymentSpec) -> Target:
    can = spec.capabilities
    return Target(
        model=spec.upstream_model,
        default_max_output_tokens=can.max_output_tokens or DEFAULT_MAX_OUTPUT_TOKENS,
        tools=can.tools,
        images=can.images,
        json_schema=can.json_schema,
        reasoning=can.reasoning,
        stream_usage=spec.ask_usage,
    )


class ModelSpec(Frozen, frozen=True):
    """How a public model is served. Times in seconds."""

    name: str
    balance: Balance = Balance.ROUND_ROBIN
    fallback: tuple[str, ...] = ()
    max_output_tokens: int | None = None
    context_tokens: int | None = None  # prompt and answer together, as the operator says; None: the provider decides
    retries: int = 2
    first_token_seconds: float = 60.0
    stall_seconds: float = 30.0
    total_seconds: float = 600.0
    may_drop: bool = False  # leave out what a deployment's dialect cannot say, rather than refuse the request


class ServedModel:
    """A public model and its deployments."""

    __slots__ = (
        "cache_points", "deployments", "flat_price", "mute", "origins", "output_ceiling", "prices", "prompt_rules",
        "spec", "turn",
    )  # fmt: skip

    def __init__(self, spec: ModelSpec, deployments: Sequence[Deployment]) -> None:
        self.spec = spec
        self.deployments = tuple(deployments)
        self.prices = tuple(one.spec.price for one in deployments if one.spec.price is not None)
        self.flat_price = pricing.flat(self.prices)  # for a token of the prompt and one of the answer, at most
        points = [one.spec.cache_points for one in deployments]
        self.cache_points = tuple(dict.fromkeys(one for one in points if one is not None))  # though no caller asks
        self.output_ceiling = _output_ceiling(deployments)
        self.prompt_rules = prompt_rules(deployment.spec.upstream_model for deployment in deployments)
        self.mute = {route: self._mute(route) for route in Route}  # by index, those that do not serve a route
        self.origins = {deployment.spec.name: deployment.spec.origin for deployment in deployments}
        self.turn = 0

    def serves(self, route: Route) -> bool:
        """Whether a deployment can be asked through this URL."""
        return len(self.mute[route]) < len(self.deployments)

    @property
    def simulated(self) -> bool:
        """Whether an answer may come from the simulated model."""
        return any(deployment.spec.kind == "sim" for deployment in self.deployments)

    def _mute(self, route: Route) -> frozenset[int]:
        return frozenset(
            index for index, deployment in enumerate(self.deployments) if route not in deployment.dialogues
        )

    def candidates(
        self, now: float, tried: frozenset[int] = frozenset(), demand: Demand = ANY_DEMAND
    ) -> list[Candidate]:
        """What routing may choose from."""
        return [
            Candidate(
                index=index,
                weight=deployment.spec.weight,
                tokens_in_flight=deployment.tokens_in_flight,
                usable=index not in tried and deployment.takes(demand, now),
            )
            for index, deployment in enumerate(self.deployments)
        ]


def _output_ceiling(deployments: Sequence[Deployment]) -> tuple[int, bool]:
    """The most tokens of an answer whose caller names no limit, and whether some provider has to be told of it."""
    known = [deployment.spec.capabilities.max_output_tokens for deployment in deployments]
    limits = [limit for limit in known if limit is not None]
    if limits and len(limits) == len(known):
        return max(limits), False
    return max([*limits, DEFAULT_MAX_OUTPUT_TOKENS]), True


class Setup(Frozen, frozen=True):
    """Everything a request needs of one configuration."""

    models: Mapping[str, ServedModel]
    config_hash: str
    max_in_flight: int = 2000
    max_waiting: int = 1000
    quota_wait_seconds: float = 10.0
    on_disconnect: str = "cancel"
    on_database_failure: str = "serve"
    on_store_failure: str = "deny"
    global_rules: tuple[Rule, ...] = ()  # limits of everybody together
    caches: Mapping[str, CacheRules] = MappingProxyType({})  # by the public name that is asked for, if it has one
    has_budgets: bool = False  # somebody's money or tokens are limited: a model without a price is refused
    pii: Rules = NOTHING_ALLOWED  # what caches may keep
    idempotency: IdempotencyRules = IdempotencyRules()
    routers: Mapping[str, RouterSpec] = {}  # by public name

    def has(self, name: str) -> bool:
        """Whether callers can ask for it: a model or a router."""
        return name in self.models or name in self.routers

    def deployments(self) -> list[Deployment]:
        """Every deployment once."""
        return list({id(d): d for model in self.models.values() for d in model.deployments}.values())


class DeploymentPlan(Frozen, frozen=True):
    """How to make a deployment if there is none yet with the same spec, and what its provider allows."""

    spec: DeploymentSpec
    make_provider: Callable[[], Provider]
    api_keys: tuple[str, ...]
    limits: QuotaLimits = NO_LIMITS


def assemble(plans: Mapping[ModelSpec, Sequence[DeploymentPlan]], previous: Setup | None) -> dict[str, ServedModel]:
    """Build the models, reusing deployments of `previous` whose spec is the same.

    Limits change on the deployment that is there, so that what was sent in the last minute counts.
    """
    alive = {deployment.spec: deployment for deployment in previous.deployments()} if previous else {}
    models: dict[str, ServedModel] = {}
    for model, deployment_plans in plans.items():
        deployments = []
        for plan in deployment_plans:
            deployment = alive.get(plan.spec)
            if deployment is None:
                deployment = Deployment(plan.spec, plan.make_provider(), KeyPool(plan.api_keys), plan.limits)
                alive[plan.spec] = deployment
            deployment.quota.limits = plan.limits
            deployments.append(deployment)
        models[model.name] = ServedModel(model, deployments)
    return models
