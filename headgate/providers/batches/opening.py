"""Which batch API a provider has, where it is, and how it is asked."""

from __future__ import annotations

import re
from urllib.parse import quote

from headgate.config.schema import ProviderConfig
from headgate.errors import InvalidRequest
from headgate.provider_batch_ports import BatchApi
from headgate.providers.anthropic import API_VERSION
from headgate.providers.batches.anthropic import AnthropicBatchApi
from headgate.providers.batches.calling import Account, Caller
from headgate.providers.batches.gemini import GeminiBatchApi
from headgate.providers.batches.openai import OpenAIBatchApi
from headgate.providers.generating import google_key, versioned
from headgate.providers.sending import bearer
from headgate.providers.upstream.connect import Connector

_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")


def open_api(endpoint: str, provider: ProviderConfig, api_key: str, connector: Connector) -> BatchApi:
    """The batch API of a provider at an endpoint. Raises InvalidRequest for a kind that has none."""
    own = {name.lower(): value for name, value in provider.headers.items()}

    def caller(headers: dict[str, str]) -> Caller:
        return Caller(Account(endpoint, {**headers, **own}), connector)

    match provider.kind:
        case "openai":
            return OpenAIBatchApi(caller(dict(bearer(api_key))))
        case "azure":
            prefix, query, of_lines = _azure(endpoint, provider.api_version)
            return OpenAIBatchApi(
                caller({"api-key": api_key}), lambda path: f"{prefix}{path}{query}", lambda api: f"{of_lines}{api}"
            )
        case "anthropic":
            prefix = "" if endpoint.endswith("/v1") else "v1/"
            return AnthropicBatchApi(caller({"x-api-key": api_key, API_VERSION[0]: API_VERSION[1]}), prefix)
        case "gemini":
            return GeminiBatchApi(caller(dict(google_key(api_key))), versioned("", endpoint, "v1beta"))
    raise InvalidRequest(f"A provider of kind {provider.kind} has no batch API.")


def _azure(endpoint: str, api_version: str) -> tuple[str, str, str]:
    """What stands before and behind a path, and before the path in each line: older URLs have a dated version."""
    query = f"?api-version={quote(api_version, safe='')}" if api_version else ""
    if endpoint.endswith("/openai/v1"):
        return "", query, "/v1/"
    root = "" if endpoint.endswith("/openai") else "openai/"
    return (root, query, "/") if _DATED.match(api_version) else (f"{root}v1/", query, "/v1/")
