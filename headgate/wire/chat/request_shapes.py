"""The shapes of what callers send. Members that are read and mean nothing to a model are listed too, so that they are
not taken for unknown ones."""

from __future__ import annotations

from typing import Annotated

import msgspec

ABSENT = msgspec.Raw(b"null")  # msgspec takes `Raw | None` for null alone

Arguments = str | dict[str, object] | None  # some clients keep a call's arguments decoded
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]


class _Strict(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    pass


class CacheControl(_Strict):
    """Anthropic's cache mark, which OpenRouter and others take in chat completions."""

    type: str = "ephemeral"
    ttl: str | None = None


class ImageUrl(_Strict):
    url: str
    detail: str | None = None


class InputAudio(_Strict):
    data: str
    format: str


class FileRef(_Strict):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class ThoughtText(_Strict):
    text: str
    type: str = "text"


class Part(_Strict):
    """One part of a message's content; which member counts depends on `type`."""

    type: str | None = None
    text: str | None = None
    image_url: str | ImageUrl | None = None
    input_audio: InputAudio | None = None
    file: FileRef | None = None
    refusal: str | None = None
    thinking: list[ThoughtText] | None = None  # Mistral's
    closed: bool | None = None  # of `thinking`
    cache_control: CacheControl | None = None
    prompt_cache_breakpoint: msgspec.Raw = ABSENT  # OpenAI's cache mark


class PartType(msgspec.Struct):
    """What has to be known of a part that is not known."""

    type: str | None = None


class Google(_Strict):
    thought_signature: str | None = None
    thought: bool | None = None


class ExtraContent(_Strict):
    google: Google | None = None


class FunctionCall(_Strict):
    name: str
    arguments: Arguments = None
    parsed_arguments: msgspec.Raw = ABSENT  # what OpenAI's SDK adds


class CustomCall(_Strict):
    name: str
    input: str


class ToolCall(_Strict):
    id: str | None = None
    type: str | None = None
    function: FunctionCall | None = None
    custom: CustomCall | None = None
    index: int | None = None
    extra_content: ExtraContent | None = None
    cache_control: CacheControl | None = None


class ReasoningDetail(msgspec.Struct, omit_defaults=True):
    """OpenRouter's public convention for thoughts that are sent back."""

    type: str | None = None
    text: str | None = None
    summary: str | None = None
    data: str | None = None
    signature: str | None = None
    format: str | None = None
    index: int | None = None
    id: str | None = None


class _SentBack(ReasoningDetail, forbid_unknown_fields=True, omit_defaults=True):
    pass


class Message(_Strict):
    """One message of any role."""

    role: str
    content: str | list[msgspec.Raw] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    function_call: FunctionCall | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[_SentBack] | None = None
    cache_control: CacheControl | None = None
    audio: msgspec.Raw = ABSENT
    extra_content: msgspec.Raw = ABSENT  # Gemini's signature of a text, which it can do without
    annotations: msgspec.Raw = ABSENT  # of an answer: no server reads them
    parsed: msgspec.Raw = ABSENT  # what OpenAI's SDK adds
    images: msgspec.Raw = ABSENT
    provider_specific_fields: msgspec.Raw = ABSENT  # what the litellm package adds to answers, and sends back


class Function(_Strict):
    """What a tool is."""

    name: str
    description: str | None = None
    parameters: msgspec.Raw = ABSENT
    strict: bool | None = None


class ToolSpec(_Strict):
    function: Function
    type: str | None = None  # Mistral's clients leave it out
    cache_control: CacheControl | None = None


class Named(msgspec.Struct):
    name: str


class AllowedTool(msgspec.Struct):
    function: Named


class AllowedTools(_Strict):
    mode: str
    tools: list[AllowedTool]


class ToolChoice(_Strict):
    type: str | None = None  # some clients leave it out
    function: Named | None = None
    allowed_tools: AllowedTools | None = None
    custom: msgspec.Raw = ABSENT


class JsonSchema(_Strict):
    name: str | None = None
    schema: msgspec.Raw = ABSENT
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(_Strict):
    type: str
    json_schema: JsonSchema | None = None


class Reasoning(_Strict):
    """OpenRouter's."""

    effort: str | None = None
    max_tokens: int | None = None
    enabled: bool | None = None
    exclude: bool | None = None
    summary: str | None = None


class Body(_Strict):
    """The members that mean something in other dialects as well, or mean nothing beyond headgate itself."""

    messages: list[Message]
    model: msgspec.Raw = ABSENT
    stream: bool | None = None
    stream_options: msgspec.Raw = ABSENT
    tools: list[msgspec.Raw] | None = None
    tool_choice: str | ToolChoice | None = None
    functions: list[Function] | None = None
    function_call: str | Named | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    n: Count | None = None
    stop: str | list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: msgspec.Raw = ABSENT
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning_effort: str | None = None
    reasoning: Reasoning | None = None
    verbosity: str | None = None
    user: str | None = None
    service_tier: str | None = None
