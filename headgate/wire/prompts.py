"""The texts of a request that a provider would count as input, and what it adds for the frame around them.

Used when a provider reports no usage. Never raises: what has an odd shape counts nothing, as the provider has already
taken the request. Sound and files count nothing either, as no public rule says how.

Sources: messages and names, OpenAI cookbook "How to count tokens with tiktoken"; images, OpenAI "Images and vision"
(a 1024 x 1024 image costs gpt-4o 765 tokens, 85 at low detail).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from headgate.errors import HeadgateError
from headgate.types import Call, Route
from headgate.wire import neutral
from headgate.wire.neutral import Request

TOKENS_PER_MESSAGE = 4  # three that frame it and one for its role
TOKENS_PER_NAME = 1
TOKENS_PER_REPLY = 3  # every answer is primed with the frame of an assistant's message
TOKENS_PER_IMAGE = 765
TOKENS_PER_LOW_DETAIL_IMAGE = 85

PROMPT_MEMBERS: Mapping[Route, str] = {  # the member of each route's body that a model answers
    Route.CHAT: "messages",
    Route.COMPLETIONS: "prompt",
    Route.EMBEDDINGS: "input",
    Route.RESPONSES: "input",
    Route.MESSAGES: "messages",
    Route.COUNT_TOKENS: "messages",
}
_PROMPT_FIELDS = {Route.COMPLETIONS: ("prompt", "suffix"), Route.EMBEDDINGS: ("input",)}
_DESCRIPTIONS = ("tools", "functions", "response_format")  # sent to the model as text, in much the form they have here


def prompt_texts(route: Route, fields: Mapping[str, msgspec.Raw]) -> list[str]:
    """Every text of the prompt, in order; `fields` are the members of the body of one of OpenAI's older routes."""
    if route is not Route.CHAT:
        values = [_decoded(fields, name) for name in _PROMPT_FIELDS[route]]
        return [text for value in values for text in _strings(value)]
    texts = [text for message in _messages(fields) for text in _message_texts(message)]
    descriptions = [bytes(fields[name]) for name in _DESCRIPTIONS if name in fields]
    return texts + [raw.decode("utf-8", "replace") for raw in descriptions if raw not in (b"null", b"[]")]


def overhead_tokens(route: Route, fields: Mapping[str, msgspec.Raw]) -> int:
    """Tokens of the prompt that are in no text: frames of messages, images, prompts that came as token ids."""
    if route is not Route.CHAT:
        return sum(_token_ids(_decoded(fields, name)) for name in _PROMPT_FIELDS[route])
    tokens = TOKENS_PER_REPLY
    for message in _messages(fields):
        tokens += TOKENS_PER_MESSAGE
        if isinstance(message.get("name"), str):
            tokens += TOKENS_PER_NAME
        tokens += sum(_image_tokens(part) for part in _parts(message))
    return tokens


def _decoded(fields: Mapping[str, msgspec.Raw], name: str) -> object:
    raw = fields.get(name)
    if raw is None:
        return None
    try:
        value: object = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return value


def _messages(fields: Mapping[str, msgspec.Raw]) -> list[dict[str, object]]:
    messages = _decoded(fields, "messages")
    return [message for message in messages if isinstance(message, dict)] if isinstance(messages, list) else []


def _message_texts(message: dict[str, object]) -> Iterator[str]:
    for name in ("content", "name", "refusal"):
        value = message.get(name)
        if isinstance(value, str):
            yield value
    for part in _parts(message):
        yield from _strings([part.get("text"), part.get("refusal")])
    calls = message.get("tool_calls")
    for call in [*(calls if isinstance(calls, list) else []), {"function": message.get("function_call")}]:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            yield from _strings([function.get("name"), function.get("arguments")])


def _parts(message: dict[str, object]) -> Iterator[dict[str, object]]:
    content = message.get("content")
    if isinstance(content, list):
        yield from (part for part in content if isinstance(part, dict))


def _image_tokens(part: dict[str, object]) -> int:
    if part.get("type") != "image_url":
        return 0
    image = part.get("image_url")
    low = isinstance(image, dict) and image.get("detail") == "low"
    return TOKENS_PER_LOW_DETAIL_IMAGE if low else TOKENS_PER_IMAGE


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _token_ids(value: object) -> int:
    """How many token ids there are in one prompt or in a list of prompts."""
    if not isinstance(value, list):
        return 0
    prompts = [value, *(prompt for prompt in value if isinstance(prompt, list))]
    return sum(isinstance(token, int) for prompt in prompts for token in prompt)


# --- prompts of the other routes, counted in their neutral form ------------------------------------------------------

ReadRequest = Callable[[Mapping[str, msgspec.Raw]], Request]


def texts_of(read_request: ReadRequest, call: Call) -> list[str]:
    """Every text of a prompt; when it cannot be read, its JSON."""
    try:
        request = read_request(call.fields)
    except HeadgateError:
        return [bytes(call.fields.get(PROMPT_MEMBERS[call.route], b"")).decode(errors="replace")]
    texts = [text for message in request.messages for text in neutral.texts(message.parts)]
    for tool in request.tools:
        if isinstance(tool, neutral.Tool):
            texts += [tool.name, tool.description, bytes(tool.parameters or b"").decode(errors="replace")]
        else:
            texts.append(tool.raw.decode(errors="replace"))
    if request.output is not None and request.output.schema is not None:
        texts.append(bytes(request.output.schema).decode(errors="replace"))
    return texts


def overhead_of(read_request: ReadRequest, call: Call) -> int:
    """Tokens of a prompt that are in no text, by the same rules as those of chat completions."""
    try:
        request = read_request(call.fields)
    except HeadgateError:
        return TOKENS_PER_REPLY
    images = [part for message in request.messages for part in _images(message.parts)]
    tokens = TOKENS_PER_REPLY + TOKENS_PER_MESSAGE * len(request.messages)
    return tokens + sum(TOKENS_PER_LOW_DETAIL_IMAGE if image.detail == "low" else TOKENS_PER_IMAGE for image in images)


def _images(parts: Sequence[neutral.Part]) -> Iterator[neutral.Image]:
    for part in parts:
        if isinstance(part, neutral.Image):
            yield part
        elif isinstance(part, neutral.ToolResult):
            yield from _images(part.parts)
