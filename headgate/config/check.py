"""What must hold across the whole configuration: names, values, prices, and no simulated text passed off as real.

Pure: reads the typed configuration, adds to the findings. What has no effect in this version is accepted and noted.
"""

from __future__ import annotations

from headgate.config.alert_checks import check_alerts
from headgate.config.availability import missing_capability
from headgate.config.billing_checks import check_billing
from headgate.config.cache_checks import check_caches
from headgate.config.catalogue import Catalogue
from headgate.config.embedder_checks import check_embedder
from headgate.config.jobs_checks import check_jobs
from headgate.config.limit_checks import check_limits
from headgate.config.pii_checks import check_pii
from headgate.config.problems import Findings, Place
from headgate.config.references import check_references
from headgate.config.router_checks import check_routers
from headgate.config.schema import Config, ModelConfig
from headgate.config.values import check_values


def check(config: Config, findings: Findings, catalogue: Catalogue, workers: int = 1) -> None:
    """Add everything that is wrong with a configuration whose types are right, and what is good to know.

    `workers`: how many processes are to serve with it.
    """
    check_references(config, findings)
    check_values(config, findings)
    check_alerts(config, findings)
    check_limits(config, findings, catalogue, workers)
    check_billing(config, findings)
    check_caches(config, findings)
    check_pii(config, findings)
    check_jobs(config, findings)
    check_embedder(config, findings, catalogue)
    check_routers(config, findings)
    _check_prices(config, findings, catalogue)
    _check_simulated(config, findings)
    _note_no_effect(config, findings)
    if not config.models:
        findings.warning(("models",), "there are no models: every request will be refused", "add one below models:")


def _check_prices(config: Config, findings: Findings, catalogue: Catalogue) -> None:
    """Every deployment needs a price, else the ledger would be wrong without anybody noticing."""
    for name, model in config.models.items():
        for index, deployment in enumerate(model.deployments):
            place: Place = ("models", name, "deployments", index)
            provider = config.providers.get(deployment.provider)
            unknown = (("models", name, "price"), (*place, "price"), (*place, "model"), (*place, "provider"))
            if provider is None or any(map(findings.is_broken, unknown)):
                continue
            if catalogue.price_of(deployment, model, provider) is None:
                upstream = findings.quoted((*place, "model"), deployment.model)
                message = f"no price: the packaged list of {catalogue.version} does not have {upstream}"
                hint = "add price: {input: .., output: ..} (USD per million tokens), or price: free"
                findings.error((*place, "price"), message, hint)


def _check_simulated(config: Config, findings: Findings) -> None:
    """Simulated text must never stand in for a real model's answer: neither beside a real one nor as a fallback."""
    for name, model in config.models.items():
        kinds = _kinds(config, model)
        if "sim" not in kinds:
            for index, other in enumerate(model.fallback):
                place: Place = ("models", name, "fallback", index)
                if any(kinds) and other in config.models and "sim" in _kinds(config, config.models[other]):
                    message = f"{findings.quoted(place, other)} is simulated, and this model is real"
                    findings.error(place, message, "remove it: a fallback must never quietly serve simulated text")
        elif not {*kinds} <= {"sim", ""}:
            place = ("models", name, "deployments", kinds.index("sim"))
            message = "a simulated deployment beside real ones: nobody could tell which one answered"
            findings.error(place, message, "give it a model of its own")


def _kinds(config: Config, model: ModelConfig) -> list[str]:
    """The kind of each deployment's provider, "" for one that does not exist."""
    found = [config.providers.get(deployment.provider) for deployment in model.deployments]
    return ["" if provider is None else provider.kind for provider in found]


def _note_no_effect(config: Config, findings: Findings) -> None:
    """One note per setting, at its first place: a file with 50 tiers would hide everything else otherwise."""
    places: dict[tuple[str, str], list[Place]] = {}
    for place in findings.origins:
        capability = missing_capability(place)
        if capability:
            places.setdefault((str(place[-1]), capability), []).append(place)
    for (_, capability), found in places.items():
        more = f" (and {len(found) - 1} more like it)" if len(found) > 1 else ""
        findings.note(found[0], f"accepted, has no effect in this version (no {capability} yet){more}")
