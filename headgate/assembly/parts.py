"""From the configuration to what the pipeline runs on: models, deployments, tiers, keys. Picks the provider classes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from headgate.alerts.channel import Channel
from headgate.cache_types import CacheRules, ExactRules, ProviderCacheRules, Sampled, SemanticRules, Sharing
from headgate.config import addresses, rules
from headgate.config.cache_checks import CACHE_POINT_KINDS
from headgate.config.catalogue import Catalogue
from headgate.config.embedder_checks import LOCAL, embedding_price
from headgate.config.router_schema import EscalateConfig
from headgate.config.schema import (
    CacheConfig,
    Config,
    DeploymentConfig,
    ExactCacheConfig,
    IdempotencyConfig,
    ModelConfig,
    PiiConfig,
    ProviderCacheConfig,
    ProviderConfig,
    RouterConfig,
)
from headgate.config.tiers import BudgetsConfig, LimitsConfig, TenantConfig, TierConfig
from headgate.gateway import accounts
from headgate.gateway.accounts import Accounts, Terms
from headgate.gateway.fleet import DeploymentPlan, DeploymentSpec, ModelSpec, Setup, assemble
from headgate.gateway.routers import Flag, RouterSpec
from headgate.idempotency_types import IdempotencyRules, OnUnknown
from headgate.policy.escalating import Doubt, Standard
from headgate.policy.estimating import BODY_BYTES_PER_TOKEN
from headgate.policy.health import BreakerRules
from headgate.policy.pii.findings import PiiClass
from headgate.policy.pii.names import read_names
from headgate.policy.pii.rules import Rules
from headgate.policy.quota import QuotaLimits
from headgate.policy.routing import Balance
from headgate.ports import Clock, Embedder, Provider
from headgate.providers.anthropic import AnthropicProvider
from headgate.providers.azure import AzureProvider
from headgate.providers.bedrock import BedrockProvider, NoSigner, Signer
from headgate.providers.gathering import gathering
from headgate.providers.gemini import GeminiProvider
from headgate.providers.openai import OpenAIProvider
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.pool import PoolSettings
from headgate.providers.upstream.proxy import proxy_settings
from headgate.providers.vertex import Tokens, VertexPlace, VertexProvider
from headgate.types import PICO_PER_USD, Caller, Features, KeyRecord, Tier

ANONYMOUS = Caller(key_id="", tenant="anonymous", user=None, tier=Tier(name="anonymous", models=frozenset({"*"})))
_EMBEDDER_CONNECTIONS = 100
_NOWHERE = "sim:"  # the simulated model has no address


class Assembly:
    """Builds setups. One per process; `environment` says where the proxies are."""

    def __init__(self, clock: Clock, environment: Mapping[str, str]) -> None:
        self._clock = clock
        self._environment = environment
        self._catalogue = Catalogue.packaged()
        self._connectors: dict[ConnectSettings, Connector] = {}
        self._embedder: Embedder | None = None

    def setup(self, config: Config, config_hash: str, previous: Setup | None) -> Setup:
        """Everything a request needs. Deployments that did not change keep their connections and breakers."""
        self._connectors = {}  # shared, because each reads the system's certificates
        plans = {_model_spec(name, model): self._plans(config, model) for name, model in config.models.items()}
        return Setup(
            models=assemble({spec: plan for spec, plan in plans.items() if plan}, previous),
            config_hash=config_hash,
            max_in_flight=config.server.max_in_flight,
            max_waiting=config.server.max_waiting,
            quota_wait_seconds=config.server.quota_wait_seconds,
            on_disconnect=config.server.on_disconnect,
            on_database_failure=config.on_database_failure,
            on_store_failure=config.on_store_failure,
            global_rules=rules.global_rules(config.limits),
            caches=caches(config),
            has_budgets=has_budgets(config),
            pii=pii_rules(config.pii),
            idempotency=idempotency_rules(config.idempotency),
            routers={name: _router_spec(name, router) for name, router in config.routers.items()},
        )

    def embedder(self, config: Config) -> Embedder:
        """Who turns texts into vectors, the same for all who ask. It starts with the first text."""
        if self._embedder is None:
            self._embedder = self._make_embedder(config)
        return self._embedder

    def _make_embedder(self, config: Config) -> Embedder:
        chosen = config.embedder
        if chosen.provider == LOCAL:
            from headgate.embedding import prepared
            from headgate.embedding.local import LocalEmbedder

            return LocalEmbedder(prepared.place(chosen.directory))
        from headgate.embedding.provider import EmbeddingPlan, ProviderEmbedder

        provider = config.providers[chosen.provider]
        asked = DeploymentConfig(provider=chosen.provider, model=chosen.model)
        plan = EmbeddingPlan(
            kind=provider.kind,
            model=chosen.model,
            dimensions=chosen.dimensions,
            endpoint=_endpoints(asked, provider)[0],
            api_key=provider.api_keys[0] if provider.api_keys else "",
            price=embedding_price(config, self._catalogue),
        )
        return ProviderEmbedder(self._provider(chosen.provider, provider, _EMBEDDER_CONNECTIONS), plan, self._clock)

    def _plans(self, config: Config, model: ModelConfig) -> list[DeploymentPlan]:
        providers = config.providers
        return [
            self._plan(deployment, model, deployment.provider, providers[deployment.provider])
            for deployment in model.deployments
        ]

    def _plan(
        self, deployment: DeploymentConfig, model: ModelConfig, provider_name: str, provider: ProviderConfig
    ) -> DeploymentPlan:
        price = self._catalogue.price_of(deployment, model, provider)
        most = deployment.max_connections
        breaker_rules = msgspec.convert(msgspec.to_builtins(model.breaker), BreakerRules)
        spec = DeploymentSpec(
            name=deployment.name,
            provider=provider_name,
            kind=provider.kind,
            upstream_model=deployment.model,
            endpoints=_endpoints(deployment, provider),
            price=price,
            capabilities=self._catalogue.capabilities_of(deployment, model, provider),
            api=deployment.api,
            weight=deployment.weight,
            ask_usage=provider.stream_usage,
            rules=breaker_rules,
            connection=_digest(provider, most, model.gather),
            cache_points=_cache_points(model.cache.provider) if provider.kind in CACHE_POINT_KINDS else None,
        )
        return DeploymentPlan(
            spec=spec,
            make_provider=lambda: gathering(self._provider(provider_name, provider, most), model.gather),
            api_keys=tuple(provider.api_keys),
            limits=QuotaLimits(deployment.limits.requests_per_minute, deployment.limits.tokens_per_minute),
        )

    def _provider(self, name: str, config: ProviderConfig, max_connections: int) -> Provider:
        if config.kind == "sim":
            from headgate.providers.sim import SimProvider  # few servers that do real work have it

            return SimProvider(name, config.sim, self._clock)
        settings = ConnectSettings(
            connect_seconds=config.connect_seconds,
            ca_file=config.ca_file,
            verify_tls=config.verify_tls,
            proxy=proxy_settings(config.proxy, self._environment),
        )
        connector = self._connectors.setdefault(settings, Connector(settings))
        pools = PoolSettings(max_connections=max_connections, keep_alive_seconds=config.keep_alive_seconds)
        parts = (name, connector, pools, config.headers)
        match config.kind:
            case "openai":
                return OpenAIProvider(*parts)
            case "anthropic":
                return AnthropicProvider(*parts)
            case "gemini":
                return GeminiProvider(*parts)
            case "azure":
                return AzureProvider(*parts, config.api_version)
            case "bedrock":
                return BedrockProvider(*parts, _signer(name, config))
            case "vertex":
                place = VertexPlace(config.project, config.location)
                return VertexProvider(*parts, place, self._tokens(name, config))

    def _tokens(self, name: str, config: ProviderConfig) -> Tokens | None:
        """Vertex AI's access tokens, unless it is asked with a key. Raises MissingExtra."""
        if config.api_key or config.api_keys:
            return None
        from headgate.providers.google_tokens import GoogleTokens, TokenSettings

        return GoogleTokens(TokenSettings(name, config.credentials_file, config.proxy, config.ca_file), self._clock)


def _signer(name: str, config: ProviderConfig) -> Signer:
    """Bedrock's signatures, unless it is asked with a key. Raises MissingExtra."""
    if config.api_key or config.api_keys:
        return NoSigner()
    from headgate.providers.aws_signing import AwsSigner, SigningSettings

    return AwsSigner(SigningSettings(name, config.region, config.profile))


def idempotency_rules(config: IdempotencyConfig) -> IdempotencyRules:
    """How idempotency keys are treated."""
    return IdempotencyRules(config.keep_hours, config.max_result_bytes, OnUnknown(config.on_unknown))


def pii_rules(config: PiiConfig) -> Rules:
    """What caches may keep of personal data."""
    return Rules(
        store=frozenset(map(PiiClass, config.store)),
        redact=frozenset(map(PiiClass, config.redact)),
        private=frozenset(map(PiiClass, config.private)),
        never=frozenset(map(PiiClass, config.never)),
        names=read_names(config.names),
    )


def _model_spec(name: str, model: ModelConfig) -> ModelSpec:
    return ModelSpec(
        name=name,
        balance=Balance(model.balance),
        fallback=tuple(model.fallback),
        max_output_tokens=model.max_output_tokens,
        context_tokens=model.context_tokens,
        retries=model.retries,
        first_token_seconds=model.first_token_seconds,
        stall_seconds=model.stall_seconds,
        total_seconds=model.total_seconds,
        may_drop=model.on_untranslatable == "drop",
    )


def _router_spec(name: str, router: RouterConfig) -> RouterSpec:
    return RouterSpec(
        name=name,
        members=tuple(router.from_),
        cost_quality=router.cost_quality,
        target_quality=router.target.quality if router.target is not None else None,
        weights=tuple((model, router.weights[model]) for model in router.from_ if model in router.weights),
        flags=tuple(Flag(flag.model, flag.share, frozenset(flag.tiers)) for flag in router.flags),
        max_ttft_seconds=router.max_ttft_seconds,
        session_seconds=router.session_seconds,
        standard=_standard(router.escalate),
        hold_streams=router.escalate.hold_streams,
        near=router.escalate.near,
        check_with=router.escalate.check_with,
        difficulty_model=router.difficulty_model,
        use_embedder=router.use_embedder,
        appeal=router.appeal,
        challenges=tuple(phrase.lower() for phrase in router.challenges),
        shadow_share=router.shadow.share if router.shadow.max_usd_per_day else 0.0,
        shadow_picousd_per_day=int(router.shadow.max_usd_per_day * PICO_PER_USD),
        judge=router.shadow.judge,
        max_loss=router.shadow.max_loss,
    )


def _standard(escalate: EscalateConfig) -> Standard:
    kinds = (Doubt.REFUSAL, Doubt.EMPTY, Doubt.TRUNCATED, Doubt.INVALID_JSON)
    doubted = {kind for kind in kinds if getattr(escalate, kind)}
    if escalate.min_logprob is not None:
        doubted.add(Doubt.LOW_LOGPROBS)
    return Standard(frozenset(doubted), escalate.min_logprob)


def _cache_points(config: ProviderCacheConfig | None) -> ProviderCacheRules | None:
    if config is None:
        return None
    return ProviderCacheRules(
        tools="tools" in config.points,
        system="system" in config.points,
        history="history" in config.points,
        ttl=config.ttl,
        least_bytes=config.min_tokens * BODY_BYTES_PER_TOKEN,
    )


def _endpoints(deployment: DeploymentConfig, provider: ProviderConfig) -> tuple[str, ...]:
    if provider.kind == "sim":
        return (_NOWHERE,)
    address = addresses.base_url(provider)
    endpoints = deployment.endpoints or ([address] if address else [])
    return tuple(endpoint.rstrip("/") for endpoint in endpoints)


def _digest(provider: ProviderConfig, max_connections: int, gather: object) -> str:
    """Changes with everything a provider adapter is built from, the keys included, without telling them."""
    parts = (provider, max_connections) if gather is None else (provider, max_connections, gather)
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]


def configure(directory: Accounts, config: Config) -> None:
    """Give the directory of callers the keys, tiers and tenants of a configuration."""
    anonymous = ANONYMOUS if config.server.authentication == "off" else None
    directory.configure(configured_keys(config), tiers(config), anonymous, terms(config))


def caches(config: Config) -> dict[str, CacheRules]:
    """How requests are answered without a provider, by the public name that they ask for."""
    settings = [(name, model.cache, [name]) for name, model in config.models.items()]
    settings += [(name, router.cache, router.from_) for name, router in config.routers.items()]
    return {
        name: CacheRules(_exact_rules(cache), frozenset(models), _semantic_rules(cache))
        for name, cache, models in settings
        if cache.exact is not None or cache.semantic is not None
    }


def _exact_rules(cache: CacheConfig) -> ExactRules:
    config, semantic = cache.exact, cache.semantic
    if config is None:  # answers are kept for as long as they may be given to other questions
        config = ExactCacheConfig() if semantic is None else ExactCacheConfig(ttl_seconds=semantic.ttl_seconds)
    return ExactRules(config.ttl_seconds, Sampled(config.sampled), Sharing(config.share), config.coalesce)


def _semantic_rules(cache: CacheConfig) -> SemanticRules | None:
    semantic = cache.semantic
    if semantic is None:
        return None
    return SemanticRules(
        ttl_seconds=semantic.ttl_seconds,
        bound=semantic.bound,
        shadow_share=semantic.shadow_share,
        any_turn=semantic.turns == "any",
        max_characters=semantic.max_characters,
        wait_seconds=semantic.wait_seconds,
        judge=semantic.judge,
        verifier=semantic.verifier,
    )


def with_limits(setup: Setup, config: Config) -> Setup:
    """The same models and deployments, under another configuration's limits and budgets."""
    return msgspec.structs.replace(
        setup, global_rules=rules.global_rules(config.limits), has_budgets=has_budgets(config)
    )


def tiers(config: Config) -> dict[str, Tier]:
    """The tiers by name, for tenants that have nothing of their own."""
    return {name: _tier(name, tier, None) for name, tier in config.tiers.items()}


def terms(config: Config) -> dict[str, Terms]:
    """What each tenant has of its own, by its name."""
    nothing = LimitsConfig(), BudgetsConfig()
    return {
        name: Terms(
            tier=tenant.tier,
            timezone=tenant.timezone,
            tiers={}
            if (tenant.limits, tenant.budgets) == nothing
            else {tier_name: _tier(tier_name, tier, tenant) for tier_name, tier in config.tiers.items()},
        )
        for name, tenant in config.tenants.items()
    }


def has_budgets(config: Config) -> bool:
    """Whether money or tokens of any tier or tenant are limited."""
    own = [tier for each in terms(config).values() for tier in each.tiers.values()]
    return any(rule.counts_budget for tier in (*tiers(config).values(), *own) for rule in tier.rules)


def _tier(name: str, tier: TierConfig, tenant: TenantConfig | None) -> Tier:
    return Tier(
        name=name,
        models=frozenset(tier.models),
        features=Features(tools=tier.features.tools, images=tier.features.images),
        max_output_tokens=tier.max_output_tokens,
        rules=rules.tier_rules(tier, tenant),
        degrade_to=tier.on_exceed["degrade"] if isinstance(tier.on_exceed, dict) else "",
    )


def configured_keys(config: Config) -> list[KeyRecord]:
    """The virtual keys that stand in the configuration."""
    return [
        accounts.config_key(key.key, tenant=name, tier=key.tier or tenant.tier, user=key.user, name=key.name)
        for name, tenant in config.tenants.items()
        for key in tenant.keys
    ]


def alert_channels(config: Config, environment: Mapping[str, str]) -> tuple[Channel, ...]:
    """Whom to tell of alerts, in the order of the configuration."""
    if not config.alerts:
        return ()
    from headgate.alerts.building import channels  # mail and its kin take a while to load

    return channels(config.alerts, environment)
