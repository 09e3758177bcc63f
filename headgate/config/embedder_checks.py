"""Checks of the block `embedder`. Pure."""

from __future__ import annotations

from headgate.config.problems import Findings, nearest
from headgate.config.schema import Config

LOCAL = "local"
KINDS_WITH_EMBEDDINGS = ("openai", "azure", "gemini", "sim")


def check_embedder(config: Config, findings: Findings) -> None:
    """Add an error for an embedder that could not be asked."""
    embedder = config.embedder
    if embedder.provider == LOCAL:
        for name in ("model", "dimensions"):
            if getattr(embedder, name):
                findings.error(("embedder", name), "the local embedder has a model of its own", "remove it")
        if LOCAL in config.providers:
            findings.error(("providers", LOCAL), "the embedder of this machine has that name", "give it another one")
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
    if embedder.directory:
        findings.error(("embedder", "directory"), "a provider's model lies in no folder here", "remove it")
