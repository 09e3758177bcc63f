"""Which inference route a URL is: OpenAI's and Anthropic's, and those that clients of Azure OpenAI send.

Azure's name a deployment, which is a model here, and have an `api-version` that makes no difference here.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from headgate.types import Route

HOT_ROUTES = {f"/v1/{route.value}".encode(): route for route in Route}
_AZURE = b"/openai/"
_DEPLOYMENTS = b"/openai/deployments/"
_OF_DEPLOYMENTS = {route.value.encode(): route for route in (Route.CHAT, Route.COMPLETIONS, Route.EMBEDDINGS)}


def route_of(path: bytes) -> tuple[Route | None, str]:
    """The route of a path without its query, and the model that the path names; empty if the body does."""
    if not path.startswith(_AZURE):
        return HOT_ROUTES.get(path), ""
    if not path.startswith(_DEPLOYMENTS):
        return (Route.RESPONSES if path == b"/openai/responses" else None), ""
    name, _, route = path.removeprefix(_DEPLOYMENTS).partition(b"/")
    return _OF_DEPLOYMENTS.get(route) if name else None, unquote_to_bytes(name).decode(errors="replace")
