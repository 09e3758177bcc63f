"""Checks of names that refer to something else in the configuration: they must exist, once, and not go in circles.

Pure: reads the typed configuration, adds to the findings.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from headgate.config.problems import Findings, Place, nearest, written
from headgate.config.schema import CacheConfig, Config, DeploymentConfig


def check_references(config: Config, findings: Findings) -> None:
    """Add an error for every name that leads nowhere, to itself, or to two things."""
    names = _Names(config, findings)
    for model_name, model in config.models.items():
        place: Place = ("models", model_name)
        for index, deployment in enumerate(model.deployments):
            names.provider(deployment.provider, (*place, "deployments", index, "provider"))
        names.helpers(model.cache, (*place, "cache"))
        for index, other in enumerate(model.fallback):
            if other == model_name:
                at = (*place, "fallback", index)
                findings.error(at, "a model cannot be its own fallback", "remove it; retries are set by retries")
            names.model(other, (*place, "fallback", index))
    for router_name, router in config.routers.items():
        names.helpers(router.cache, ("routers", router_name, "cache"))
        for index, model_name in enumerate(router.from_):
            names.model(model_name, ("routers", router_name, "from", index))
        if router_name in config.models:
            findings.error(("routers", router_name), "a model has the same name", "rename one of them")
    for tier_name, tier in config.tiers.items():
        for index, public_name in enumerate(tier.models):
            names.public(public_name, ("tiers", tier_name, "models", index))
        if isinstance(tier.on_exceed, dict):
            for action, model_name in tier.on_exceed.items():
                names.model(model_name, ("tiers", tier_name, "on_exceed", action))
    for tenant_name, tenant in config.tenants.items():
        names.tier(tenant.tier, ("tenants", tenant_name, "tier"))
        for index, key in enumerate(tenant.keys):
            if key.tier:
                names.tier(key.tier, ("tenants", tenant_name, "keys", index, "tier"))
    _check_circles(config, findings)
    _check_deployment_names(config, findings)


class _Names:
    """The names that a configuration defines."""

    def __init__(self, config: Config, findings: Findings) -> None:
        self._config = config
        self._findings = findings

    def provider(self, name: str, place: Place) -> None:
        self._exists(name, self._config.providers, "provider", place)

    def model(self, name: str, place: Place) -> None:
        self._exists(name, self._config.models, "model", place)

    def public(self, name: str, place: Place) -> None:
        if name != "*":
            self._exists(name, [*self._config.models, *self._config.routers], "model", place)

    def helpers(self, cache: CacheConfig, place: Place) -> None:
        """The models that the semantic cache asks."""
        if cache.semantic is not None:
            for role in ("judge", "verifier"):
                if name := getattr(cache.semantic, role):
                    self.model(name, (*place, "semantic", role))

    def tier(self, name: str, place: Place) -> None:
        self._exists(name, self._config.tiers, "tier", place)

    def _exists(self, name: str, known: Iterable[str], kind: str, place: Place) -> None:
        names = list(known)
        if name not in names and not self._findings.is_broken((f"{kind}s",)):
            hint = nearest(name, names, f"{kind}s")
            self._findings.error(place, f"there is no {kind} {self._findings.quoted(place, name)}", hint)


def _check_circles(config: Config, findings: Findings) -> None:
    """Every circle of fallbacks is told once, where it closes."""
    finished: set[str] = set()

    def walk(name: str, path: Sequence[str]) -> None:
        for index, other in enumerate(config.models[name].fallback):
            if other in path and other != name:
                circle = " -> ".join([*path[path.index(other) :], other])
                hint = "remove one of these fallbacks"
                findings.error(("models", name, "fallback", index), f"fallbacks go in a circle: {circle}", hint)
            elif other in config.models and other not in finished and other != name:
                walk(other, [*path, other])
        finished.add(name)

    for name in config.models:
        if name not in finished:
            walk(name, [name])


def _check_deployment_names(config: Config, findings: Findings) -> None:
    """A name stands for one upstream: twice within a model, or for different upstreams, it would mix their figures."""
    first: dict[str, tuple[Place, DeploymentConfig]] = {}
    for model_name, model in config.models.items():
        for index, deployment in enumerate(model.deployments):
            place: Place = ("models", model_name, "deployments", index)
            if deployment.name not in first:
                first[deployment.name] = place, deployment
                continue
            other_place, other = first[deployment.name]
            same_upstream = (other.provider, other.model, other.endpoints) == (
                deployment.provider,
                deployment.model,
                deployment.endpoints,
            )
            if other_place[:2] == place[:2] or not same_upstream:
                named = place if findings.is_broken((*place, "name")) else (*place, "name")
                shown = findings.quoted((*place, "name"), deployment.name)
                message = f"the deployment name {shown} is taken by {written(other_place)}"
                findings.error(named, message, "give one of them another name: ...")
