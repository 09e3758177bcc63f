"""How Google's models are asked, by the Gemini API and by Vertex AI alike: paths, methods, and the header of a key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from headgate.errors import RouteNotServed
from headgate.types import Api, Operation

_PLAIN = "/@-._~"
_ENDS_WITH_VERSION = re.compile(r"/v\d+[a-z0-9]*$")


def method(operation: Operation) -> str:
    """What stands behind the model's name in the path. Raises RouteNotServed for an API that Google does not have."""
    if operation.api is Api.GENERATE_CONTENT:
        return "streamGenerateContent?alt=sse" if operation.stream else "generateContent"
    if operation.api is Api.EMBED_CONTENTS:
        return "batchEmbedContents"
    raise RouteNotServed(f"Google's models do not know '{operation.api}'.")


def model_path(model: str, collection: str) -> str:
    """A model's name as a path: below `collection` unless it says itself where it is ("tunedModels/mine")."""
    name = quote(model, safe=_PLAIN)
    return name if "/" in name else f"{collection}/{name}"


def versioned(path: str, endpoint: str, version: str) -> str:
    """The path below an endpoint, which may end with the API's version or leave it to us."""
    return path if _ENDS_WITH_VERSION.search(endpoint) else f"{version}/{path}"


def google_key(api_key: str) -> Mapping[str, str]:
    """In a header: a key in the URL ends up in logs."""
    return {"x-goog-api-key": api_key}
