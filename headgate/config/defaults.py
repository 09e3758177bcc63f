"""The configuration when there is no file: what `make run` starts on a machine with nothing.

Must not read the process's environment itself; a key that is found there stays inside the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from headgate.config.catalogue import Catalogue, CatalogueModel
from headgate.config.schema import Config, DeploymentConfig, ModelConfig, ProviderConfig
from headgate.config.tiers import TenantConfig, TierConfig

OPENAI_URL = "https://api.openai.com/v1"
DEFAULT_TENANT = "default"
DEFAULT_TIER = "default"


class PublicApi(msgspec.Struct, frozen=True):
    """A provider that a key in the environment is enough for. The variables are those that its own SDK reads."""

    kind: Literal["openai", "anthropic", "gemini"]  # and the provider's name, in the price list too
    key_variables: tuple[str, ...]  # the first one that is set counts
    url_variable: str
    url: str = ""  # "": the kind has one for everybody


PUBLIC_APIS = (
    PublicApi("openai", ("OPENAI_API_KEY",), "OPENAI_BASE_URL", OPENAI_URL),
    PublicApi("anthropic", ("ANTHROPIC_API_KEY",), "ANTHROPIC_BASE_URL"),
    PublicApi("gemini", ("GOOGLE_API_KEY", "GEMINI_API_KEY"), "GOOGLE_GEMINI_BASE_URL"),
)


def zero_config(environ: Mapping[str, str]) -> Config:
    """The simulated model, and the current models, with prices, of every public API whose key is set.

    One tier that allows everything and one tenant without keys: the first key is created at run time.
    """
    providers = {"sim": ProviderConfig(kind="sim")}
    models = {"simulated": ModelConfig(deployments=[DeploymentConfig(provider="sim", model="sim-small")], price="free")}
    catalogue = Catalogue.packaged()
    for api in PUBLIC_APIS:
        api_key = next(filter(None, (environ.get(name, "").strip() for name in api.key_variables)), "")
        if api_key:
            base_url = environ.get(api.url_variable, "").strip() or api.url
            providers[api.kind] = ProviderConfig(kind=api.kind, base_url=base_url, api_key=api_key)
            models |= {one.name: _model(one) for one in catalogue.models(api.kind)}
    return Config(
        providers=providers,
        models=models,
        tiers={DEFAULT_TIER: TierConfig(models=["*"])},
        tenants={DEFAULT_TENANT: TenantConfig(tier=DEFAULT_TIER)},
    )


def _model(model: CatalogueModel) -> ModelConfig:
    """A model under its own name. Its price is left to the list, so that the ledger names the list's version."""
    return ModelConfig(
        deployments=[DeploymentConfig(provider=model.provider, model=model.name)],
        max_output_tokens=model.max_output_tokens,
    )
