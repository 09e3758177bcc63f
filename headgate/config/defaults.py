"""The configuration when there is no file: what `make run` starts on a machine with nothing.

Must not read the process's environment itself; a key that is found there stays inside the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping

from headgate.config.catalogue import Catalogue, CatalogueModel
from headgate.config.schema import Config, DeploymentConfig, ModelConfig, ProviderConfig, TenantConfig, TierConfig

OPENAI_URL = "https://api.openai.com/v1"
DEFAULT_TENANT = "default"
DEFAULT_TIER = "default"


def zero_config(environ: Mapping[str, str]) -> Config:
    """The simulated model, and OpenAI's current models with prices if OPENAI_API_KEY is set (OPENAI_BASE_URL: where).

    One tier that allows everything and one tenant without keys: the first key is created at run time.
    """
    providers = {"sim": ProviderConfig(kind="sim")}
    models = {"simulated": ModelConfig(deployments=[DeploymentConfig(provider="sim", model="sim-small")], price="free")}
    api_key = environ.get("OPENAI_API_KEY", "").strip()
    if api_key:
        base_url = environ.get("OPENAI_BASE_URL", "").strip() or OPENAI_URL
        providers["openai"] = ProviderConfig(kind="openai", base_url=base_url, api_key=api_key)
        models |= {one.name: _openai_model(one) for one in Catalogue.packaged().models("openai")}
    return Config(
        providers=providers,
        models=models,
        tiers={DEFAULT_TIER: TierConfig(models=["*"])},
        tenants={DEFAULT_TENANT: TenantConfig(tier=DEFAULT_TIER)},
    )


def _openai_model(model: CatalogueModel) -> ModelConfig:
    """A model under its own name. Its price is left to the list, so that the ledger names the list's version."""
    return ModelConfig(
        deployments=[DeploymentConfig(provider="openai", model=model.name)],
        context_tokens=model.context_tokens,
        max_output_tokens=model.max_output_tokens,
    )
