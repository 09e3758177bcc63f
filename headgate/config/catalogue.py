"""The packaged price list, and prices from USD per million tokens to exact pico-dollars per token.

Facts only: what the lists said on the date in `prices.json`. What a provider bills may differ (long context, batches,
discounts); the configuration overrides every price. Docs: `docs/configuration.md`, "Prices".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from headgate.config.schema import DeploymentConfig, ModelConfig, PriceConfig, ProviderConfig
from headgate.types import Price

PICO_PER_TOKEN = 10**6  # 1 USD per million tokens = 1e12 pico-dollars / 1e6 tokens
_DATED = re.compile(r"(.+?)[-@](?:\d{4}-\d{2}-\d{2}|\d{8})")


class CatalogueModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the price list. USD per million tokens; what is not known is None."""

    name: str  # as the provider's API calls it
    provider: str
    kind: Literal["chat", "responses", "embedding"]
    input: Decimal
    output: Decimal = Decimal(0)
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    host: str = ""  # open models: only at this host do they cost this
    retired: str = ""  # the date from which the provider no longer serves it

    def price_config(self) -> PriceConfig:
        return PriceConfig(
            input=self.input, output=self.output, cached_input=self.cached_input, cache_write=self.cache_write
        )


class PriceList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file: when it was true, and its models."""

    version: str  # the date of the snapshot
    models: list[CatalogueModel]


class Catalogue:
    """Prices of well-known models, by the name that their provider knows them by."""

    def __init__(self, prices: PriceList) -> None:
        self.version = prices.version
        self._models = {model.name: model for model in prices.models}

    @classmethod
    def packaged(cls) -> Catalogue:
        """The list that comes with headgate; read from disk at every call (half a millisecond)."""
        content = Path(__file__).with_name("prices.json").read_bytes()
        return cls(msgspec.json.decode(content, type=PriceList))

    def find(self, upstream_model: str, base_url: str = "") -> CatalogueModel | None:
        """The line of a model: the exact name, else the name without its date (gpt-4o-mini-2024-07-18).

        An open model is found only under the host that its price is from: elsewhere, it costs something else.
        """
        dated = _DATED.fullmatch(upstream_model)
        names = [upstream_model] if dated is None else [upstream_model, dated[1]]
        for name in names:
            model = self._models.get(name)
            if model is not None and (not model.host or model.host == _host(base_url)):
                return model
        return None

    def price(self, upstream_model: str, base_url: str = "") -> Price | None:
        """The price of a model, None if the list does not have it."""
        model = self.find(upstream_model, base_url)
        return None if model is None else to_price(model.price_config(), self.version)

    def price_of(self, deployment: DeploymentConfig, model: ModelConfig, provider: ProviderConfig) -> Price | None:
        """What a deployment costs: its own price, else its model's, else the list's; None if nobody knows.

        The simulated model is free unless the configuration says otherwise.
        """
        configured = deployment.price if deployment.price is not None else model.price
        if configured is not None:
            return to_price(configured)
        if provider.kind == "sim":
            return to_price("free")
        return self.price(deployment.model, provider.base_url)

    def models(self, provider: str) -> Sequence[CatalogueModel]:
        """The models a provider serves today through the chat and embeddings APIs, without dated variants."""
        return [
            model
            for model in self._models.values()
            if model.provider == provider and model.kind != "responses" and not model.retired and _is_current(model)
        ]


def to_price(price: PriceConfig | Literal["free"], version: str = "config") -> Price:
    """USD per million tokens to pico-dollars per token, exactly: prices have at most 6 decimals."""
    if price == "free":
        return Price(input=0, version=version)
    return Price(
        input=_picousd(price.input),
        output=_picousd(price.output),
        cached_input=None if price.cached_input is None else _picousd(price.cached_input),
        reasoning=None if price.reasoning is None else _picousd(price.reasoning),
        cache_write=None if price.cache_write is None else _picousd(price.cache_write),
        version=version,
    )


def _picousd(usd_per_million: Decimal) -> int:
    return int(usd_per_million * PICO_PER_TOKEN)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # not a URL; check.py says so
        return None


def _is_current(model: CatalogueModel) -> bool:
    """Whether the name is one that the provider moves to the newest version, not one frozen at a date."""
    return _DATED.fullmatch(model.name) is None and re.search(r"-\d{4}$", model.name) is None
