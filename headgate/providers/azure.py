"""The provider `azure`: OpenAI's API as Azure serves it. Knows its URLs and headers, no bodies.

Azure has three kinds of URLs. The older ones name a deployment and a dated `api-version`; the v1 ones are like OpenAI's
own; those of model inference (`.../models`) are for models of other vendors.
"""

from __future__ import annotations

import re
from collections.abc import Coroutine, Mapping, Sequence
from urllib.parse import quote

from headgate.providers.sending import Sender
from headgate.providers.upstream.connect import Connector
from headgate.providers.upstream.connection import Response
from headgate.providers.upstream.pool import PoolSettings
from headgate.types import Api, Operation

MODEL_INFERENCE_VERSION = "2024-05-01-preview"  # what its reference and its own clients use
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")
_ONE_DEPLOYMENT = re.compile(r"/openai/deployments/[^/]+$")
_OF_A_DEPLOYMENT = frozenset({Api.CHAT, Api.COMPLETIONS, Api.EMBEDDINGS})


class AzureProvider:
    """Implements `ports.Provider` for one deployment. `headers` are added to every request.

    `api_version` is a date for the older URLs, "preview" or "latest" for the v1 ones, or empty.
    """

    kind = "azure"

    def __init__(
        self, name: str, connector: Connector, pools: PoolSettings, headers: Mapping[str, str], api_version: str
    ) -> None:
        self.name = name
        self._sender = Sender(name, connector, pools, headers, _authorize)
        self._api_version = api_version

    def send(
        self, operation: Operation, body: bytes, *, endpoint: str, api_key: str, headers: Sequence[tuple[str, str]] = ()
    ) -> Coroutine[None, None, Response]:
        """POST `body` to where this kind of endpoint has the operation. Raises as `Sender.post`."""
        path = operation_path(endpoint, operation, self._api_version)
        return self._sender.post(endpoint, path, api_key, body, headers)

    async def aclose(self) -> None:
        """Close idle connections and refuse new requests; requests under way may finish."""
        await self._sender.aclose()


def operation_path(endpoint: str, operation: Operation, api_version: str) -> str:
    """The path below an endpoint.

    An endpoint may be a resource's address, go on to /openai or /openai/v1, name one deployment, or be that of model
    inference. Deployments are only named in the URL when `api_version` is a date.
    """
    api = operation.api.value
    query = f"?api-version={quote(api_version, safe='')}" if api_version else ""
    if endpoint.endswith("/models"):
        return f"{api}{query or f'?api-version={MODEL_INFERENCE_VERSION}'}"
    if endpoint.endswith("/openai/v1") or _ONE_DEPLOYMENT.search(endpoint):
        return f"{api}{query}"
    root = "" if endpoint.endswith("/openai") else "openai/"
    if not _DATED.match(api_version):
        return f"{root}v1/{api}{query}"
    if operation.api in _OF_A_DEPLOYMENT:
        return f"{root}deployments/{quote(operation.model, safe='')}/{api}{query}"
    return f"{root}{api}{query}"


def _authorize(api_key: str) -> Mapping[str, str]:
    return {"api-key": api_key}
