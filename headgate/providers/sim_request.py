"""A request as the simulated model reads it: OpenAI's members, and how many prompt tokens they come to.

Pure. A request that a real server would refuse raises BadRequest with the sentence it would say.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from headgate.providers.sim_draws import Directive
from headgate.providers.sim_text import IMAGE_TOKENS, MESSAGE_TOKENS, REPLY_TOKENS, text_tokens
from headgate.types import Api

MAX_CHOICES = 128
MAX_DIMENSIONS = 8192
MAX_INPUTS = 2048
COMPLETION_TOKENS = 16  # OpenAI's default for /v1/completions

Positive = Annotated[int, msgspec.Meta(ge=1)]
Texts = str | list[str | int | list[int]]  # a text, several, a tokenized text, or several tokenized texts


class BadRequest(ValueError):
    """What the request has that it should not have."""


class Part(msgspec.Struct):
    type: str
    text: str | None = None


class Message(msgspec.Struct):
    role: str
    content: str | list[Part] | None = None


class Function(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class Tool(msgspec.Struct):
    type: str = "function"
    function: Function | None = None


class NamedFunction(msgspec.Struct):
    name: str


class ToolChoice(msgspec.Struct):
    type: str
    function: NamedFunction | None = None


class JsonSchema(msgspec.Struct):
    name: str
    schema: dict[str, Any] | bool = True


class ResponseFormat(msgspec.Struct):
    type: str
    json_schema: JsonSchema | None = None


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class Request(msgspec.Struct, kw_only=True):
    """The members of a body that change what the simulated model says."""

    model: str
    messages: list[Message] | None = None
    prompt: Texts | None = None
    input: Texts | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=MAX_CHOICES)] | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    tools: list[Tool] | None = None
    tool_choice: str | ToolChoice | None = None
    response_format: ResponseFormat | None = None
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=MAX_DIMENSIONS)] | None = None
    encoding_format: str | None = None
    sim: Directive = Directive()

    @property
    def wants_usage(self) -> bool:
        """The stream shall end with a usage chunk."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def ceiling(self, api: Api) -> int | None:
        """The most tokens one choice may have."""
        return self.max_completion_tokens or self.max_tokens or (COMPLETION_TOKENS if api is Api.COMPLETIONS else None)

    def called_function(self) -> Function | None:
        """The function that `tool_choice` demands a call of, if it demands one."""
        functions = [tool.function for tool in self.tools or () if tool.function]
        if self.tool_choice == "required" and functions:
            return functions[0]
        if isinstance(self.tool_choice, ToolChoice) and self.tool_choice.function:
            wanted = self.tool_choice.function.name
            found = next((function for function in functions if function.name == wanted), None)
            if found is None:
                raise BadRequest(f"tool_choice names the function '{wanted}', which is not among the tools")
            return found
        return None

    def prompts(self) -> list[bytes]:
        """The texts of `prompt` or `input`, one by one; tokenized ones as the JSON of their numbers."""
        given = self.prompt if self.prompt is not None else self.input
        if isinstance(given, str):
            return [given.encode()]
        if not given or len(given) > MAX_INPUTS:
            raise BadRequest(f"there must be between 1 and {MAX_INPUTS} inputs")
        if all(isinstance(item, int) for item in given):
            return [msgspec.json.encode(given)]
        return [item.encode() if isinstance(item, str) else msgspec.json.encode(item) for item in given]


_decoder = msgspec.json.Decoder(Request)
_REQUIRED = {Api.CHAT: "messages", Api.COMPLETIONS: "prompt", Api.EMBEDDINGS: "input"}


def read_request(api: Api, body: bytes) -> Request:
    """Raises BadRequest, where a real server answers 400."""
    try:
        request = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(f"the body cannot be read: {error}") from None
    if getattr(request, _REQUIRED[api]) is None:
        raise BadRequest(f"the member '{_REQUIRED[api]}' is missing")
    return request


def prompt_tokens(api: Api, request: Request) -> int:
    """The rule: every text by `text_tokens`, tokenized text by its length, and for a chat a surcharge for each message,
    for the reply and for each image; tool definitions count as their JSON."""
    if api is not Api.CHAT:
        return _count_texts(request)
    tokens = REPLY_TOKENS
    for message in request.messages or ():
        tokens += MESSAGE_TOKENS
        if isinstance(message.content, str):
            tokens += text_tokens(message.content)
        elif message.content is not None:
            tokens += sum(IMAGE_TOKENS if part.text is None else text_tokens(part.text) for part in message.content)
    return tokens + (text_tokens(msgspec.json.encode(request.tools)) if request.tools else 0)


def _count_texts(request: Request) -> int:
    given = request.prompt if request.prompt is not None else request.input
    items = given if isinstance(given, list) else [given or ""]
    return sum(1 if isinstance(i, int) else len(i) if isinstance(i, list) else text_tokens(i) for i in items)
