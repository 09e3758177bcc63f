"""The packaged price list: what models cost and can, and prices as exact pico-dollars per token.

Facts only: what the lists said on the date in `prices.json`, which `scripts/price_list.py` made. What a provider bills
may differ; the configuration overrides every price and capability. Docs: `docs/configuration.md`, "Prices".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from headgate.config import addresses, names
from headgate.config.schema import (
    BatchPriceConfig,
    CapabilitiesConfig,
    DeploymentConfig,
    LongContextConfig,
    ModelConfig,
    PriceConfig,
    ProviderConfig,
)
from headgate.types import Capabilities, LongContext, Price

PICO_PER_TOKEN = 10**6  # 1 USD per million tokens = 1e12 pico-dollars / 1e6 tokens
_CLASSES = ("input", "output", "cached_input", "cache_write", "cache_write_1h", "reasoning")


class CatalogueModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the price list."""

    name: str  # as the provider's API calls it
    provider: str
    kind: Literal["chat", "responses", "embedding"]
    price: PriceConfig
    aliases: tuple[str, ...] = ()  # other names of the same model
    host: str = ""  # open models: only at this host do they cost this
    regional_percent: int = 100  # of the price, where a cloud keeps requests in a region
    capabilities: CapabilitiesConfig = CapabilitiesConfig()
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    retired: str = ""  # the date from which the provider no longer serves it
    # of the lists that have it: all, most (their price was taken), none (the first one's was), or there is but one
    agreement: Literal["all", "majority", "disputed", "single"] = "all"
    note: str = ""  # why this price


class PriceList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file: when it was true, and its models."""

    version: str  # the date of the snapshot
    sources: list[str]
    models: list[CatalogueModel]


class Catalogue:
    """Prices and capabilities of well-known models, by the names that APIs know them by."""

    def __init__(self, prices: PriceList) -> None:
        self.version = prices.version
        self._models = {model.name: model for model in prices.models}
        self._by_name = self._models | {alias: model for model in prices.models for alias in model.aliases}

    @classmethod
    def packaged(cls) -> Catalogue:
        """The list that comes with headgate; read from disk at every call (half a millisecond)."""
        content = Path(__file__).with_name("prices.json").read_bytes()
        return cls(msgspec.json.decode(content, type=PriceList))

    def find(self, upstream_model: str, base_url: str = "") -> CatalogueModel | None:
        """The line of a model, by any name that an API has for it (see `names.py`).

        An open model is found only under the host that its price is from: elsewhere, it costs something else.
        """
        for name in names.candidates(upstream_model):
            model = self._by_name.get(name)
            if model is not None and (not model.host or model.host == _host(base_url)):
                return model
        return None

    def price(self, upstream_model: str, base_url: str = "") -> Price | None:
        """The price of a model, None if the list does not have it."""
        model = self.find(upstream_model, base_url)
        if model is None:
            return None
        regional = names.is_regional(upstream_model, _host(base_url) or "")
        return to_price(model.price, self.version, percent=model.regional_percent if regional else 100)

    def price_of(self, deployment: DeploymentConfig, model: ModelConfig, provider: ProviderConfig) -> Price | None:
        """What a deployment costs: its own price, else its model's, else the list's; None if nobody knows.

        The simulated model is free unless the configuration says otherwise.
        """
        configured = deployment.price if deployment.price is not None else model.price
        if configured is not None:
            return to_price(configured)
        if provider.kind == "sim":
            return to_price("free")
        return self.price(deployment.model, addresses.base_url(provider))

    def capabilities(self, upstream_model: str, base_url: str = "") -> Capabilities:
        """What a model can and takes, as far as the list knows."""
        model = self.find(upstream_model, base_url)
        if model is None:
            return Capabilities()
        return Capabilities(
            **msgspec.structs.asdict(model.capabilities),
            context_tokens=model.context_tokens,
            max_output_tokens=model.max_output_tokens,
        )

    def capabilities_of(
        self, deployment: DeploymentConfig, model: ModelConfig, provider: ProviderConfig
    ) -> Capabilities:
        """What a deployment can: as its own block says, else its model's, else the list."""
        listed = self.capabilities(deployment.model, addresses.base_url(provider))
        said = {"context_tokens": model.context_tokens, "max_output_tokens": model.max_output_tokens}
        for block in (model.capabilities, deployment.capabilities):
            said |= {name: can for name, can in msgspec.structs.asdict(block).items() if can is not None}
        return msgspec.structs.replace(listed, **{name: value for name, value in said.items() if value is not None})

    def models(self, provider: str) -> Sequence[CatalogueModel]:
        """The models a provider serves today through its chat and embeddings APIs, without dated variants."""
        return [
            model
            for model in self._models.values()
            if model.provider == provider
            and model.kind != "responses"
            and not model.retired
            and not names.is_dated(model.name)
        ]

    def with_agreement(self, agreement: str) -> Sequence[CatalogueModel]:
        """The models about whose price the lists agree in this way."""
        return [model for model in self._models.values() if model.agreement == agreement]


def to_price(price: PriceConfig | Literal["free"], version: str = "config", *, percent: int = 100) -> Price:
    """USD per million tokens to pico-dollars per token, exactly: prices have at most 6 decimals.

    `percent` of them are charged; a part of a pico-dollar counts as a whole one.
    """
    if price == "free":
        return Price(input=0, version=version)
    amounts = _amounts(price, percent)
    plain = _price(amounts, version)
    tier, batch = price.long_context, price.batch
    above = tier and _price({**amounts, **_amounts(tier, percent)}, version)
    return msgspec.structs.replace(
        plain,
        long_context=LongContext(tier.above_tokens, above) if tier and above else None,
        batch=_price(_amounts(batch, percent), version) if batch else None,
    )


def _amounts(prices: PriceConfig | LongContextConfig | BatchPriceConfig, percent: int) -> dict[str, int]:
    """The classes that have a price, in pico-dollars per token."""
    given = {name: getattr(prices, name, None) for name in _CLASSES}
    return {name: -(-int(usd * PICO_PER_TOKEN) * percent // 100) for name, usd in given.items() if usd is not None}


def _price(amounts: dict[str, int], version: str) -> Price:
    return msgspec.convert({**amounts, "version": version}, Price)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # not a URL; check.py says so
        return None
