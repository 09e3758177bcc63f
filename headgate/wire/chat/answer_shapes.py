"""The shapes of what servers answer, whole or in pieces: a message and a delta have the same members.

Whatever else they send is ignored.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from headgate.wire import surrogates
from headgate.wire.chat.request_shapes import ABSENT, ReasoningDetail
from headgate.wire.openai_usage import PlainUsage

Nothing = Literal[""] | None
Empty = tuple[()] | None


class _Google(msgspec.Struct):
    thought_signature: str | None = None


class _ExtraContent(msgspec.Struct):
    google: _Google | None = None


class Function(msgspec.Struct):
    """A call of a function, or a piece of one."""

    name: str | None = None
    arguments: str | dict[str, object] | None = None

    def argument_text(self) -> str:
        """The arguments as JSON; some servers send them decoded."""
        if isinstance(self.arguments, dict):
            return msgspec.json.encode(self.arguments).decode()
        return self.arguments or ""


class ToolCall(msgspec.Struct, omit_defaults=True):
    """A tool call, or a piece of one."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: Function | None = None
    extra_content: _ExtraContent | None = None
    custom: msgspec.Raw = ABSENT

    def signature(self) -> str:
        """Gemini's proof of the thought behind the call."""
        google = self.extra_content.google if self.extra_content else None
        return (google.thought_signature if google else None) or ""


class UrlCitation(msgspec.Struct):
    url: str | None = None
    title: str | None = None
    content: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class Annotation(msgspec.Struct):
    url_citation: UrlCitation | None = None


class ThoughtText(msgspec.Struct):
    text: str | None = None


class ContentPart(msgspec.Struct):
    """Mistral's; `reference` and others are kept as they are."""

    type: str | None = None
    text: str | None = None
    thinking: list[ThoughtText] | str | None = None


class ImageUrl(msgspec.Struct):
    url: str = ""


class Image(msgspec.Struct):
    image_url: ImageUrl | None = None


class Said(msgspec.Struct):
    """A message or a delta."""

    content: str | list[msgspec.Raw] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None
    annotations: list[Annotation] | None = None
    images: list[Image] | None = None
    audio: msgspec.Raw = ABSENT

    @property
    def plain_text(self) -> str:
        """The text if there is some and nothing else, as in most answers."""
        more = (
            self.reasoning_content or self.reasoning or self.reasoning_details or self.refusal or self.tool_calls
            or self.function_call or self.annotations or self.images or self.audio is not ABSENT
        )  # fmt: skip
        return self.content if isinstance(self.content, str) and not more else ""


class FinishDetails(msgspec.Struct):
    type: str | None = None


class Choice(msgspec.Struct):
    """One alternative, or a piece of it. `stop_reason` is vLLM's and `matched_stop` SGLang's for the stop sequence."""

    index: int | None = 0
    message: Said | None = None
    delta: Said | None = None
    finish_reason: str | None = None
    finish_details: FinishDetails | None = None
    logprobs: msgspec.Raw = ABSENT
    stop_reason: str | int | None = None
    matched_stop: str | int | None = None
    error: msgspec.Raw = ABSENT

    def reason(self) -> str:
        """Why it ended, empty while it has not."""
        return self.finish_reason or (self.finish_details.type if self.finish_details else None) or ""

    def stop_sequence(self) -> str:
        """The caller's stop sequence that ended it, if the server says."""
        matched = self.stop_reason or self.matched_stop
        return matched if isinstance(matched, str) else ""


class SearchResult(msgspec.Struct):
    url: str = ""
    title: str | None = None
    snippet: str | None = None


class Groq(msgspec.Struct):
    usage: msgspec.Raw = ABSENT


class Answer(msgspec.Struct):
    """A whole answer or one chunk of a stream. `citations` and `search_results` are Perplexity's."""

    id: str | None = None
    model: str | None = None
    created: int | float | None = None
    choices: list[Choice] | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    x_groq: Groq | None = None
    citations: list[str] | None = None
    search_results: list[SearchResult] | None = None


class _PlainSaid(msgspec.Struct, gc=False):
    """Text alone: the members are those of `Said`, and all others say nothing."""

    content: str
    reasoning_content: Nothing = None
    reasoning: Nothing = None
    reasoning_details: Empty = None
    refusal: Nothing = None
    tool_calls: Empty = None
    function_call: None = None
    annotations: Empty = None
    images: Empty = None
    audio: None = None


class _PlainChoice(msgspec.Struct, gc=False):
    delta: _PlainSaid
    index: Literal[0] | None = 0
    finish_reason: Nothing = None
    finish_details: None = None
    logprobs: None = None


class PlainChunk(msgspec.Struct, gc=False):
    """A chunk of a stream that says nothing but more text of the first choice: almost all are such."""

    choices: tuple[_PlainChoice]
    usage: None = None
    error: None = None
    x_groq: None = None
    citations: Empty = None
    search_results: Empty = None


class _PlainEnd(msgspec.Struct, gc=False):
    message: _PlainSaid
    finish_reason: Literal["stop", "length"]
    index: Literal[0] | None = 0
    finish_details: None = None
    logprobs: None = None
    stop_reason: int | None = None
    matched_stop: int | None = None


class PlainAnswer(msgspec.Struct, gc=False):
    """A whole answer that is one text, with nothing in it that has to be asked: most are such."""

    choices: tuple[_PlainEnd]
    id: str | None = None
    model: str | None = None
    created: int | None = None
    usage: PlainUsage | None = None
    error: None = None
    citations: Empty = None
    search_results: Empty = None


plain_answer = msgspec.json.Decoder(PlainAnswer)
plain_chunk = msgspec.json.Decoder(PlainChunk)
_answer = msgspec.json.Decoder(Answer)


def decode(data: bytes, mender: surrogates.Mender | None = None) -> Answer:
    """Read an answer or a chunk. Raises ValueError if it is neither.

    What is cut in the middle of a character is mended, with the pieces of a stream by `mender`.
    """
    try:
        return _answer.decode(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:
        if b"\\u" not in data:
            raise
    try:
        return _answer.decode(mender.mend(data) if mender else surrogates.mend(data))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
