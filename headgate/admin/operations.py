"""The state of the process as operators see it: health, metrics, deployments, configuration, reload."""

from __future__ import annotations

import os

import msgspec

from headgate.admin.admin_key import require_admin
from headgate.admin.audit import auditor
from headgate.admin.difference import Change, SettingChange, difference, setting_difference
from headgate.admin.endpoint import Input, Nothing, Reply, Visit
from headgate.config.problems import line_of, report
from headgate.errors import ConfigInvalid, RouteNotFound
from headgate.gateway.fleet import Deployment
from headgate.policy import health
from headgate.policy.health import Gate
from headgate.policy.quota import Demand
from headgate.types import Frozen

_A_SMALL_REQUEST = Demand(1, 1, 1)


class Health(Frozen, frozen=True):
    """The process is alive."""

    status: str


class DeploymentState(Frozen, frozen=True):
    """One deployment as this process sees it: each worker has breakers and counts of its own."""

    name: str
    provider: str
    kind: str
    upstream_model: str
    models: list[str]
    endpoints: int
    gate: Gate
    reason: str
    opens_again_in_seconds: float
    requests_in_flight: int
    tokens_in_flight: int
    keys: int
    keys_resting: int
    quota: str  # why the provider's quota has no room for another request; empty if it has
    quota_frees_in_seconds: float


class DeploymentList(Frozen, frozen=True):
    """All deployments, in the order of the configuration."""

    process: int
    data: list[DeploymentState]


class ConfigState(Frozen, frozen=True):
    """The configuration in force. `loaded_at` is Unix seconds."""

    path: str
    hash: str
    loaded_at: float
    warnings: list[str]


class ConfigDifference(Frozen, frozen=True):
    """What run-time commands changed against the file."""

    path: str
    data: list[Change]  # of keys
    settings: list[SettingChange]  # limits, budgets and tiers


class Reload(Input, frozen=True):
    """Read the configuration again, in every worker."""


class Reloaded(Frozen, frozen=True):
    """The configuration now in force, and what is different."""

    hash: str
    changes: list[str]


async def alive(_visit: Visit, _: Nothing) -> Health:
    """Answers as long as the process does."""
    return Health("alive")


async def ready(visit: Visit, _: Nothing) -> Reply:
    """Whether this process may take traffic: 200, or 503 with what is missing."""
    readiness = visit.services.readiness()
    return Reply(msgspec.json.encode(readiness), status=200 if readiness.ready else 503)


async def metrics(visit: Visit, _: Nothing) -> Reply:
    """Metrics for Prometheus, over all workers. Open, with the admin key, or off by `server.metrics.access`."""
    services = visit.services
    access = services.running().loaded.config.server.metrics.access
    if access == "off":
        raise RouteNotFound("Metrics are switched off on this port by server.metrics.access.")
    if access == "admin":
        require_admin(visit.secret, services.admin_key_hash)
    return await own_metrics(visit, _)


async def own_metrics(visit: Visit, _: Nothing) -> Reply:
    """Metrics on the listener of their own: whoever reaches it may read them."""
    text, content_type = await visit.services.metrics()
    return Reply(text, content_type=content_type)


async def deployments(visit: Visit, _: Nothing) -> DeploymentList:
    """Breaker, load and provider keys of every deployment, as the process that answers sees them."""
    setup, now = visit.services.running().setup, visit.services.clock.monotonic()
    states = [
        _state(deployment, [name for name, model in setup.models.items() if deployment in model.deployments], now)
        for deployment in setup.deployments()
    ]
    return DeploymentList(os.getpid(), states)


def _state(deployment: Deployment, models: list[str], now: float) -> DeploymentState:
    spec, breaker, quota = deployment.spec, deployment.breaker, deployment.fits(_A_SMALL_REQUEST, now)
    return DeploymentState(
        name=spec.name,
        provider=spec.provider,
        kind=spec.kind,
        upstream_model=spec.upstream_model,
        models=models,
        endpoints=len(spec.endpoints),
        gate=deployment.gate(now),
        reason=breaker.reason,
        opens_again_in_seconds=round(health.opens_again_in_seconds(breaker, spec.rules, now), 3),
        requests_in_flight=deployment.requests_in_flight,
        tokens_in_flight=deployment.tokens_in_flight,
        keys=len(deployment.keys),
        keys_resting=len(deployment.keys) - deployment.keys.awake(now),
        quota=quota.reason,
        quota_frees_in_seconds=0.0 if quota.fits else round(max(0.0, quota.at - now), 3),
    )


async def config_state(visit: Visit, _: Nothing) -> ConfigState:
    """Which configuration is in force, and what was worth a warning in it."""
    running = visit.services.running()
    loaded = running.loaded
    return ConfigState(loaded.source, loaded.hash, running.loaded_at, [line_of(note) for note in loaded.notes])


async def config_difference(visit: Visit, _: Nothing) -> ConfigDifference:
    """Keys made, revoked or expired and settings changed at run time: they win over the file and survive restarts."""
    services = visit.services
    keys, settings = difference(services.accounts.keys()), setting_difference(services.settings)
    return ConfigDifference(services.running().loaded.source, keys, settings)


async def reload(visit: Visit, command: Reload) -> Reloaded:
    """Read the configuration again, in every worker, without dropping a request. If it has errors nothing changes."""
    try:
        changes = await visit.services.reload()
    except ConfigInvalid as error:
        error.message = report(error.problems)  # an operator wants to see all of them
        raise
    await auditor(visit).note(command, after=msgspec.json.encode(visit.services.running().loaded.hash).decode())
    return Reloaded(visit.services.running().loaded.hash, list(changes))
