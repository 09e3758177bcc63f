"""Cold paths over HTTP: finds the endpoint, checks who asks, reads what was sent, and turns what comes back into bytes.

Must not know what any endpoint does. Every answer carries `x-request-id`, every error its caller's dialect.
"""

from __future__ import annotations

import asyncio
import difflib
import logging
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from headgate.admin.admin_key import require_admin
from headgate.admin.endpoint import Access, Endpoint, Reply, Visit, read_json
from headgate.admin.services import Services
from headgate.errors import (
    BodyTooLarge,
    HeadgateError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    RouteNotFound,
    SlowSender,
)
from headgate.gateway.http import headers as http_headers
from headgate.gateway.http.cors import PREFIX, Cors, is_preflight, require_known_page
from headgate.types import Route
from headgate.wire.speakers import speaker

MAX_BODY_BYTES = 1_000_000
_HOT_PATHS = tuple(f"/v1/{route.value}" for route in Route)
_ANTHROPICS = f"/v1/{Route.MESSAGES.value}"
_NOT_HERE = {
    "/v1/audio": "Audio is not served here: headgate speaks text and embeddings. Ask the provider directly.",
    "/v1/images": "Images are not made here: headgate speaks text and embeddings. Ask the provider directly.",
    "/v1/realtime": "Realtime sessions are not served here. Use POST /v1/chat/completions with 'stream': true.",
    "/v1/responses/": "Responses are kept by the provider and are not read or changed here. Ask it directly.",
}
_NOT_HERE_EITHER = (
    "assistants",
    "fine_tuning",
    "moderations",
    "threads",
    "uploads",
    "vector_stores",
)

log = logging.getLogger(__name__)


class WrongMethod(MethodNotAllowed):
    """The URL is served with other methods: those in `allow`."""

    def __init__(self, url: str, allow: Iterable[str]) -> None:
        self.allow = ", ".join(sorted(allow))
        super().__init__(f"{url} is served with {self.allow} only.")


class _Path:
    """One URL and its endpoints by method."""

    def __init__(self, path: str) -> None:
        self.pattern: re.Pattern[str] = compile_path(path)[0]
        self.methods: dict[str, Endpoint[Any]] = {}


class ColdPaths:
    """The ASGI application."""

    def __init__(self, services: Services, endpoints: Sequence[Endpoint[Any]]) -> None:
        self._services = services
        self._paths: dict[str, _Path] = {}
        for endpoint in endpoints:
            self._paths.setdefault(endpoint.path, _Path(endpoint.path)).methods[endpoint.method] = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request, request_id = Request(scope, receive), self._services.clock.new_id("req")
        try:
            response = await self._respond(request, request_id)
        except ClientDisconnect:
            return
        except HeadgateError as error:
            told = http_headers.explained(error, dict(request.headers.raw))
            response = _error_response(told, request_id, request)
        except Exception:
            log.exception("request %s failed inside headgate", request_id)
            failure = InternalError(f"headgate failed. The operator finds the cause under {request_id}.")
            response = _error_response(failure, request_id, request)
        if (cors := self._cors(request)) is not None:
            response.raw_headers.extend(cors.lines(dict(request.headers.raw)))
        await response(scope, receive, send)

    async def _respond(self, request: Request, request_id: str) -> Response:
        sent_headers = dict(request.headers.raw)
        if is_preflight(request.method, sent_headers) and (cors := self._cors(request)) is not None:
            return Response(None, 204, cors.preflight(sent_headers))
        endpoint, path_parameters = self._find(request.method, request.scope["path"])
        secret = http_headers.secret(sent_headers)
        body = request.stream() if endpoint.is_streamed else None
        visit = Visit(self._services, request_id, secret, request.headers, body)
        if endpoint.access is Access.ADMIN:
            require_admin(secret, self._services.admin_key_hash)
        elif endpoint.access is Access.CALLER and not visit.caller().key_id:
            require_known_page(sent_headers, self._cors(request))
        sent = dict(request.query_params)
        if request.scope["path"].startswith(_ANTHROPICS):
            sent.pop("beta", None)  # what its SDK calls beta is served at the same URL
        if endpoint.reads_body:
            if sent:
                raise InvalidRequest(
                    "What this takes is sent as JSON in the body, not in the URL.", param=next(iter(sent))
                )
            sent = read_json(await self._body(request, is_large=endpoint.is_large))
        answer = await endpoint.answer(visit, sent, path_parameters)
        if not isinstance(answer, Reply):
            answer = Reply(msgspec.json.encode(answer), endpoint.status)
        headers = {**answer.headers, "x-request-id": request_id, "cache-control": "no-store"}
        if answer.stream is not None:
            return StreamingResponse(answer.stream, answer.status, headers, answer.content_type)
        return Response(answer.body, answer.status, headers, answer.content_type)

    def _cors(self, request: Request) -> Cors | None:
        """What web pages may do here, if any may do anything."""
        return self._services.cors() if request.scope["path"].startswith(PREFIX) else None

    def _find(self, method: str, url: str) -> tuple[Endpoint[Any], dict[str, str]]:
        """Raises RouteNotFound, MethodNotAllowed."""
        if url in _HOT_PATHS:
            raise WrongMethod(url, ["POST"])
        for path in self._paths.values():
            if match := path.pattern.match(url):
                endpoint = path.methods.get("GET" if method == "HEAD" else method)
                if endpoint is None:
                    raise WrongMethod(url, path.methods)
                return endpoint, match.groupdict()
        raise RouteNotFound(self._not_found(url))

    def _not_found(self, url: str) -> str:
        for prefix, sentence in _NOT_HERE.items():
            if url == prefix or url.startswith(f"{prefix.rstrip('/')}/"):
                return sentence
        for name in _NOT_HERE_EITHER:
            if url == f"/v1/{name}" or url.startswith(f"/v1/{name}/"):
                return f"OpenAI's {name} are not served here. Ask the provider directly."
        near = difflib.get_close_matches(url[:200], [*_HOT_PATHS, *self._paths], 1)
        hint = f"Did you mean {near[0]}?" if near else "GET /openapi.json lists what there is."
        return f"There is no {url[:200]} here. {hint}"

    async def _body(self, request: Request, *, is_large: bool) -> bytes:
        """Raises BodyTooLarge, SlowSender, ClientDisconnect."""
        server = self._services.running().loaded.config.server
        seconds, most, body = server.receive_seconds, server.max_body_bytes if is_large else MAX_BODY_BYTES, bytearray()
        try:
            async with asyncio.timeout(seconds):
                async for piece in request.stream():
                    body += piece
                    if len(body) > most:
                        raise BodyTooLarge(f"The body is larger than {most} bytes.")
        except TimeoutError:
            raise SlowSender(f"The request did not arrive within {seconds:g} seconds.") from None
        return bytes(body)


def _error_response(error: HeadgateError, request_id: str, request: Request) -> Response:
    """In the dialect of those who call such a URL, or who say by a header that they speak Anthropic's."""
    is_anthropics = request.scope["path"].startswith(_ANTHROPICS) or "anthropic-version" in request.headers
    route = Route.MESSAGES if is_anthropics else Route.CHAT
    response = Response(speaker(route).error_body(error, request_id), error.status)
    lines = http_headers.error_head(error, request_id, route).decode().splitlines()
    response.headers.update(dict(line.split(": ", 1) for line in lines))
    if isinstance(error, WrongMethod):
        response.headers["allow"] = error.allow
    return response
