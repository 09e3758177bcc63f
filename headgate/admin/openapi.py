"""The OpenAPI 3.1 document, written from the table of endpoints and their structs.

The hot routes are described as loosely as they are read: headgate looks at a few members and passes the rest on, so a
stricter schema would be untrue the day a provider adds a field.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import msgspec

from headgate import __version__
from headgate.admin.endpoint import JSON, Access, Endpoint
from headgate.admin.streamed_bodies import ANSWERS, STREAMED_BODIES
from headgate.types import Route
from headgate.wire.openai import CEILINGS, MAX_CHOICES, MAX_OUTPUT_TOKENS

Json = dict[str, Any]

_REFERENCE = "#/components/schemas/{name}"
_SECURITY: dict[Access, list[Json]] = {
    Access.PUBLIC: [],
    Access.CALLER: [{"virtualKey": []}],
    Access.LINK: [{"virtualKey": []}, {}],
    Access.ADMIN: [{"adminKey": []}],
}
_TAGS = {
    Access.PUBLIC: "operations",
    Access.CALLER: "callers",
    Access.LINK: "callers",
    Access.ADMIN: "admin",
}
_STREAM = "text/event-stream"
_SECURITY_SCHEMES: Json = {
    "virtualKey": {"type": "http", "scheme": "bearer", "description": "A virtual key: hg-..."},
    "adminKey": {"type": "http", "scheme": "bearer", "description": "The admin key."},
}
_CEILING: Json = {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_OUTPUT_TOKENS}
_MODEL: Json = {"type": "string", "minLength": 1, "description": "A name from GET /v1/models."}
_READ_OF_EVERY_CALL: Json = {
    "model": _MODEL,
    "user": {"type": ["string", "null"]},
}
_READ_OF_A_GENERATION: Json = {
    **_READ_OF_EVERY_CALL,
    "stream": {"type": ["boolean", "null"]},
    "stream_options": {"type": ["object", "null"], "additionalProperties": True},
    "n": {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_CHOICES},
}
_HOT_ROUTES: dict[Route, tuple[str, str, Json]] = {
    Route.CHAT: ("messages", "Chat completion", {**_READ_OF_A_GENERATION, **dict.fromkeys(CEILINGS, _CEILING)}),
    Route.COMPLETIONS: (
        "prompt",
        "Text completion",
        {**_READ_OF_A_GENERATION, "max_tokens": {**_CEILING, "minimum": 0}},
    ),
    Route.EMBEDDINGS: ("input", "Embeddings", _READ_OF_EVERY_CALL),
    Route.RESPONSES: (
        "input",
        "Response",
        {**_READ_OF_EVERY_CALL, "stream": {"type": ["boolean", "null"]}, "max_output_tokens": _CEILING},
    ),
    Route.MESSAGES: (
        "messages",
        "Message",
        {"model": _MODEL, "stream": {"type": ["boolean", "null"]}, "max_tokens": {**_CEILING, "type": "integer"}},
    ),
    Route.COUNT_TOKENS: ("messages", "Count of a message's tokens", {"model": _MODEL}),
}
_WITHOUT_STREAM = (Route.EMBEDDINGS, Route.COUNT_TOKENS)
_ANTHROPICS = (Route.MESSAGES, Route.COUNT_TOKENS)


class ErrorDetail(msgspec.Struct, frozen=True):
    """What went wrong, in OpenAI's shape."""

    message: str
    type: str
    param: str | None
    code: str
    request_id: str


class Error(msgspec.Struct, frozen=True):
    """Every error of headgate's own. An error of a provider is passed on as it came."""

    error: ErrorDetail


class AnthropicErrorDetail(msgspec.Struct, frozen=True):
    """What went wrong, in Anthropic's shape."""

    type: str
    message: str


class AnthropicError(msgspec.Struct, frozen=True):
    """Every error of headgate's own on Anthropic's URLs."""

    type: str
    error: AnthropicErrorDetail
    request_id: str


def document(endpoints: Iterable[Endpoint[Any]]) -> bytes:
    """The document as JSON."""
    listed = list(endpoints)
    taken, schemas = _schemas(listed)
    paths: dict[str, Json] = {f"/v1/{route.value}": {"post": _hot_operation(route)} for route in _HOT_ROUTES}
    for endpoint in listed:
        operation = _operation(endpoint, taken[endpoint.takes.__name__]["properties"])
        paths.setdefault(endpoint.path.replace(":path}", "}"), {})[endpoint.method.lower()] = operation
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "headgate",
                "version": __version__,
                "description": "A gateway for language models: OpenAI's and Anthropic's APIs, /admin for operators.",
            },
            "paths": paths,
            "components": {"schemas": schemas, "securitySchemes": _SECURITY_SCHEMES},
        }
    )


def _schemas(endpoints: Iterable[Endpoint[Any]]) -> tuple[Json, Json]:
    """The schemas of what endpoints take, which stand where they are taken, and those that the document refers to."""
    taken = msgspec.json.schema_components([one.takes for one in endpoints], ref_template=_REFERENCE)[1]
    given = [one.gives for one in endpoints if one.gives is not None]
    schemas = msgspec.json.schema_components([Error, AnthropicError, *given], ref_template=_REFERENCE)[1]
    whole = {one.takes.__name__ for one in endpoints}
    return taken, schemas | {name: schema for name, schema in taken.items() if name not in whole}


def _operation(endpoint: Endpoint[Any], taken: Json) -> Json:
    text = inspect.cleandoc(endpoint.handle.__doc__ or "")
    in_path = {name: schema for name, schema in taken.items() if name in endpoint.path_parameters}
    sent = {name: schema for name, schema in taken.items() if name not in in_path}
    operation: Json = {
        "operationId": f"{endpoint.handle.__name__}_{endpoint.method.lower()}",
        "summary": text.split(". ")[0].rstrip("."),
        "description": text,
        "tags": [_TAGS[endpoint.access]],
        "security": _SECURITY[endpoint.access],
        "parameters": [_parameter(name, "path", schema) for name, schema in in_path.items()],
        "responses": {str(endpoint.status): _answer(endpoint), "default": _refused(_error_shape(endpoint))},
    }
    if endpoint.is_streamed:
        operation["requestBody"] = {"required": True, "content": STREAMED_BODIES[endpoint.path]}
    elif endpoint.reads_body:
        required = [field.name for field in msgspec.structs.fields(endpoint.takes) if field.required]
        operation["requestBody"] = _body(sent, [name for name in required if name in sent])
    else:
        operation["parameters"] += [_parameter(name, "query", schema) for name, schema in sent.items()]
    if endpoint.path == "/readyz":
        operation["responses"]["503"] = {**_answer(endpoint), "description": "Not ready."}
    return operation


def _parameter(name: str, place: str, schema: Json) -> Json:
    """In a URL there is no null: a parameter that may be left out is left out."""
    alternatives = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    shown = alternatives[0] if len(alternatives) == 1 else schema
    description = shown.get("description", "")
    return {"name": name, "in": place, "required": place == "path", "schema": shown, "description": description}


def _body(properties: Json, required: list[str]) -> Json:
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"required": bool(required), "content": {JSON: {"schema": schema}}}


def _answer(endpoint: Endpoint[Any]) -> Json:
    if endpoint.gives is not None:
        content: Json = {JSON: {"schema": {"$ref": _REFERENCE.format(name=endpoint.gives.__name__)}}}
    else:
        kinds = ANSWERS.get(endpoint.path, (JSON,))
        content = {kind: {"schema": {"type": "object"}} if kind == JSON else {} for kind in kinds}
    return {"description": "As asked.", "content": content}


def _error_shape(endpoint: Endpoint[Any]) -> str:
    return "AnthropicError" if endpoint.path.startswith(f"/v1/{Route.MESSAGES.value}") else "Error"


def _refused(shape: str) -> Json:
    content: Json = {JSON: {"schema": {"$ref": _REFERENCE.format(name=shape)}}}
    return {"description": "What went wrong, and what to do.", "content": content}


def _hot_operation(route: Route) -> Json:
    member, name, properties = _HOT_ROUTES[route]
    dialect = "Anthropic" if route in _ANTHROPICS else "OpenAI"
    refused = _refused("AnthropicError" if route in _ANTHROPICS else "Error")
    content: Json = {JSON: {"schema": {"type": "object", "additionalProperties": True}}}
    if route not in _WITHOUT_STREAM:
        content[_STREAM] = {"schema": {"type": "string"}}
    schema = {
        "type": "object",
        "properties": {**properties, member: {}},
        "required": ["model", member, *(["max_tokens"] if route is Route.MESSAGES else [])],
        "additionalProperties": True,
    }
    return {
        "operationId": route.value.replace("/", "_"),
        "summary": name,
        "description": f"{name} in {dialect}'s dialect. Members that are not named here are passed on as they are.",
        "tags": [_TAGS[Access.CALLER]],
        "security": _SECURITY[Access.CALLER],
        "requestBody": {"required": True, "content": {JSON: {"schema": schema}}},
        "responses": {"200": {"description": "The answer of the model.", "content": content}, "default": refused},
    }
