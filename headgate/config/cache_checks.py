"""Checks of the blocks `cache`: cache points that nobody can set, answers that go too early. Pure."""

from __future__ import annotations

from headgate.config.problems import Findings, Place
from headgate.config.schema import CacheConfig, Config, ModelConfig

CACHE_POINT_KINDS = ("anthropic", "bedrock")  # of providers; all others cache what they like


def check_caches(config: Config, findings: Findings) -> None:
    """Add an error for cache points that nobody can set, and a warning for what has no effect."""
    for kind, named in (("models", config.models), ("routers", config.routers)):
        for name, one in named.items():
            _check_ages(one.cache, (kind, name, "cache"), findings)
    for name, model in config.models.items():
        if model.cache.provider is None:
            continue
        place: Place = ("models", name, "cache", "provider")
        if not model.cache.provider.points:
            findings.error((*place, "points"), "there are none", "name some of tools, system, history")
        if not _takes_points(config, model):
            kinds = " and ".join(CACHE_POINT_KINDS)
            message = f"has no effect: only providers of the kinds {kinds} take cache points"
            findings.warning(place, message, "remove it: the others cache by themselves")
    for name, router in config.routers.items():
        if router.cache.provider is not None:
            message = "a router has no provider of its own"
            findings.error(("routers", name, "cache", "provider"), message, "set it at the router's models")


def _check_ages(cache: CacheConfig, place: Place, findings: Findings) -> None:
    exact, semantic = cache.exact, cache.semantic
    if exact is not None and semantic is not None and semantic.ttl_seconds > exact.ttl_seconds:
        message = f"has no effect beyond exact.ttl_seconds, {exact.ttl_seconds:g}: answers are kept no longer"
        findings.warning((*place, "semantic", "ttl_seconds"), message, "raise that one too")


def _takes_points(config: Config, model: ModelConfig) -> bool:
    providers = [config.providers.get(deployment.provider) for deployment in model.deployments]
    return any(provider is None or provider.kind in CACHE_POINT_KINDS for provider in providers)
