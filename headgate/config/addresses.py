"""Where a provider is when the configuration does not say."""

from __future__ import annotations

from headgate.config.schema import ProviderConfig

_PUBLIC = {
    "anthropic": "https://api.anthropic.com",
    "gemini": "https://generativelanguage.googleapis.com/v1beta",
}
KINDS_WITH_KEY = frozenset({"openai", "azure", "anthropic", "gemini"})


def base_url(provider: ProviderConfig) -> str:
    """The configured address, else the one that its kind has for everybody; "" if there is none."""
    return provider.base_url or _PUBLIC.get(provider.kind, "")
