"""Checks of the block `embedder`. Pure."""

from __future__ import annotations

from headgate.config.catalogue import Catalogue
from headgate.config.problems import Findings, nearest
from headgate.config.schema import Config, DeploymentConfig, ModelConfig, PriceConfig
from headgate.types import Price

LOCAL = "local"
KINDS_WITH_EMBEDDINGS = ("openai", "azure", "gemini", "sim")


def embedding_price(config: Config, catalogue: Catalogue) -> Price | None:
    """What a token of a provider's embedder costs; None: nobody knows."""
    embedder = config.embedder
    price = None if embedder.price is None else PriceConfig(input=embedder.price)
    asked = DeploymentConfig(provider=embedder.provider, model=embedder.model, price=price)
    return catalogue.price_of(asked, ModelConfig(deployments=[]), config.providers[embedder.provider])


def check_embedder(config: Config, findings: Findings, catalogue: Catalogue) -> None:
    """Add an error for an embedder that could not be asked."""
    embedder = config.embedder
    if embedder.provider == LOCAL:
        for name in ("model", "dimensions", "price"):
            if getattr(embedder, name):
                findings.error(("embedder", name), "the local embedder has a model of its own", "remove it")
        return
    place = ("embedder", "provider")
    provider = config.providers.get(embedder.provider)
    if provider is None:
        hint = nearest(embedder.provider, [LOCAL, *config.providers], "providers")
        findings.error(place, f"there is no provider {findings.quoted(place, embedder.provider)}", hint)
    elif provider.kind not in KINDS_WITH_EMBEDDINGS:
        hint = f"choose one of the kinds {', '.join(KINDS_WITH_EMBEDDINGS)}, or local"
        findings.error(place, f"headgate cannot ask the kind {provider.kind} for embeddings", hint)
    if not embedder.model:
        findings.error(("embedder", "model"), "missing", "add e.g. model: text-embedding-3-small")
    elif provider is not None and embedding_price(config, catalogue) is None:
        message = f"no price: the packaged list of {catalogue.version} does not have it"
        findings.error(("embedder", "price"), message, "add price: .. (USD per million tokens), or price: 0")
    if embedder.directory:
        findings.error(("embedder", "directory"), "a provider's model lies in no folder here", "remove it")
