"""Where a provider is when the configuration does not say."""

from __future__ import annotations

from headgate.config.schema import ProviderConfig

_PUBLIC = {
    "anthropic": "https://api.anthropic.com",
    "gemini": "https://generativelanguage.googleapis.com/v1beta",
}
_VERTEX_HOSTS = {  # of locations that are no regions
    "global": "aiplatform.googleapis.com",
    "us": "aiplatform.us.rep.googleapis.com",
    "eu": "aiplatform.eu.rep.googleapis.com",
}
KINDS_WITH_KEY = frozenset({"openai", "azure", "anthropic", "gemini"})


def base_url(provider: ProviderConfig) -> str:
    """The configured address, else the one that its kind has for everybody; "" if there is none."""
    if provider.kind == "vertex" and not provider.base_url:
        host = _VERTEX_HOSTS.get(provider.location) or f"{provider.location}-aiplatform.googleapis.com"
        return f"https://{host}/v1"
    if provider.kind == "bedrock" and provider.region and not provider.base_url:
        ending = ".cn" if provider.region.startswith("cn-") else ""
        return f"https://bedrock-runtime.{provider.region}.amazonaws.com{ending}"
    return provider.base_url or _PUBLIC.get(provider.kind, "")
