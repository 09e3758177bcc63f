"""The neutral model: what a request, an answer and a stream mean, whatever dialect they are spoken in.

Each dialect is translated to and from these values, never into another dialect. What a dialect says and this model has
no word for is kept as `Leftover` (a request's member) or `Opaque` (a part that only its own dialect can carry), so that
it is refused or listed by name and never lost in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

import msgspec

from headgate.types import Frozen, Usage

# --- parts: what messages and answers are made of ----------------------------------------------------------------


class Citation(Frozen, frozen=True, gc=False):
    """Where a statement comes from. Offsets are characters of the text it belongs to, -1 when not told."""

    url: str = ""
    title: str = ""
    cited_text: str = ""
    start: int = -1
    end: int = -1


class Text(Frozen, frozen=True):
    """Plain text. `cache` asks the provider to cache the prompt up to here: "5m", "1h" or empty."""

    text: str
    citations: tuple[Citation, ...] = ()
    cache: str = ""


class Image(Frozen, frozen=True):
    """An image, either as base64 `data` of a `media_type` or at a `url`. `detail` is OpenAI's: low, high, auto."""

    media_type: str = ""
    data: str = ""
    url: str = ""
    detail: str = ""
    cache: str = ""


class File(Frozen, frozen=True):
    """A document (a PDF, say): base64 `data`, a `url`, plain `text`, or the provider's own `file_id`."""

    media_type: str = ""
    data: str = ""
    url: str = ""
    text: str = ""
    file_id: str = ""
    name: str = ""
    cache: str = ""


class Audio(Frozen, frozen=True):
    """Sound as base64 `data`; `format` is wav, mp3 and the like."""

    data: str
    format: str


class Thinking(Frozen, frozen=True):
    """What a model thought before it spoke.

    `signature` proves the thought to the provider that had it, named by `origin` (`seals.py`); `redacted` is one that
    only that provider can read; `id` is what the provider calls it, if it does.
    """

    text: str = ""
    signature: str = ""
    redacted: str = ""
    origin: str = ""
    id: str = ""


class Refusal(Frozen, frozen=True):
    """The model declines, in its own words."""

    text: str


class ToolCall(Frozen, frozen=True):
    """The model asks for a tool. `arguments` is JSON as the model wrote it; `signature` as in Thinking."""

    id: str
    name: str
    arguments: str
    signature: str = ""
    origin: str = ""
    cache: str = ""


class ToolResult(Frozen, frozen=True):
    """What a tool returned; `name` is the tool's if it is known."""

    call_id: str
    parts: tuple[Text | Image | File, ...]
    is_error: bool = False
    name: str = ""
    cache: str = ""


class Opaque(Frozen, frozen=True):
    """A part or tool that only its own dialect knows: `raw` is its JSON, `kind` its type there."""

    dialect: str
    kind: str
    raw: bytes


Part = Text | Image | File | Audio | Thinking | Refusal | ToolCall | ToolResult | Opaque


def texts(parts: Iterable[Part]) -> Iterator[str]:
    """Every text in the parts that a model reads or writes, to count tokens by."""
    for part in parts:
        match part:
            case Text(text=text) | Thinking(text=text) | Refusal(text=text) | File(text=text):
                yield text
            case ToolCall(name=name, arguments=arguments):
                yield from (name, arguments)
            case ToolResult(parts=inner):
                yield from texts(inner)
            case Opaque(raw=raw):
                yield raw.decode(errors="replace")
            case _:
                pass


# --- requests --------------------------------------------------------------------------------------------------------


class Role(StrEnum):
    """Who says a message. OpenAI's `developer` is SYSTEM; tool results are parts of a USER message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class Message(Frozen, frozen=True):
    """One turn."""

    role: Role
    parts: tuple[Part, ...]
    name: str = ""


class Tool(Frozen, frozen=True):
    """A function the model may ask for. `parameters` is a JSON Schema, None if it takes none."""

    name: str
    description: str = ""
    parameters: msgspec.Raw | None = None
    strict: bool | None = None
    cache: str = ""


class ToolChoice(Frozen, frozen=True, gc=False):
    """Whether the model must call a tool: `auto`, `none`, `required` (any) or `named`."""

    mode: str
    name: str = ""


class OutputFormat(Frozen, frozen=True):
    """What the answer must be: any JSON (`schema` None) or JSON of a schema."""

    schema: msgspec.Raw | None = None
    name: str = ""
    description: str = ""
    strict: bool | None = None


class Effort(Frozen, frozen=True, gc=False):
    """How much the model may think.

    `level` is none, minimal, low, medium, high, xhigh, max or empty when only a budget was given; `budget_tokens` is
    an exact ceiling, -1 when the model is to decide; `summary` asks for a readable account of the thoughts.
    """

    level: str = ""
    budget_tokens: int | None = None
    summary: str = ""


class Leftover(Frozen, frozen=True, gc=False):
    """A member of a request that could not be carried over.

    A hint changes how an answer is made or stored but not what it may say (cache marks, metadata, service tier): it is
    listed and never refused.
    """

    field: str  # as in the caller's body: "logit_bias", "messages[2].content[0]"
    is_hint: bool = False


Place = tuple[tuple[int, str], ...]


class Request(Frozen, frozen=True, kw_only=True):
    """A request to generate. None and () mean that the caller did not say.

    `places` are where each message's parts stand in the caller's body, to name them to it: from the part of an index on
    in ("messages[2].content"), or at ("input[3]").
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool | Opaque, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output: OutputFormat | None = None
    effort: Effort | None = None
    verbosity: str = ""
    max_output_tokens: int | None = None
    choices: int = 1
    stop: tuple[str, ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: msgspec.Raw | None = None
    logprobs: int | None = None  # None: none; 0: of the chosen tokens; k: of the k likeliest too
    user: str = ""
    service_tier: str = ""
    stream: bool = False
    leftovers: tuple[Leftover, ...] = ()
    places: tuple[Place, ...] = ()


class Target(Frozen, frozen=True):
    """The deployment a request is written for.

    `max_output_tokens` is the ceiling to send: the caller's, lowered where it must be; None if there is none.
    `default_max_output_tokens` is for APIs that insist on one. A capability that is None is not known, and assumed.
    """

    model: str
    max_output_tokens: int | None = None
    default_max_output_tokens: int = 4096
    tools: bool | None = None
    images: bool | None = None
    json_schema: bool | None = None
    reasoning: bool | None = None
    stream_usage: bool = True  # takes `stream_options`, where a stream's usage has to be asked for


class Written(Frozen, frozen=True):
    """A request in a provider's dialect, and what did not fit into it."""

    body: bytes
    leftovers: tuple[Leftover, ...] = ()


# --- answers -------------------------------------------------------------------------------------------------------


class Finish(StrEnum):
    """Why a model stopped."""

    STOP = "stop"  # it had said what it wanted
    STOP_SEQUENCE = "stop_sequence"  # it was about to say one of the caller's stop sequences
    LENGTH = "length"  # the output ceiling or the context is used up
    TOOL_CALLS = "tool_calls"  # it waits for tools
    CONTENT_FILTER = "content_filter"  # the provider held the rest back
    REFUSAL = "refusal"  # the model or the provider declined
    PAUSE = "pause"  # a long turn that the client may let go on


class Choice(Frozen, frozen=True):
    """One of an answer's alternatives. `logprobs` are in OpenAI's chat shape ({"content": [...]})."""

    parts: tuple[Part, ...]
    finish: Finish
    index: int = 0
    stop_sequence: str = ""
    logprobs: msgspec.Raw | None = None


class Answer(Frozen, frozen=True):
    """A whole answer. `created` is in Unix seconds, 0 when the provider does not say."""

    id: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage | None = None
    created: int = 0
