"""The plain text of a question and of an answer, whatever the dialect: what has a meaning that can be compared.

Raises ValueError for what cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from headgate.types import Route
from headgate.wire import sse

_MOST_FRAME_BYTES = 16_000_000
_TEXT_PARTS = ("text", "input_text")


class _Part(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None


class _Asked(msgspec.Struct, gc=False):
    content: str | list[_Part] | None = None


class _Said(msgspec.Struct, gc=False):
    content: str | list[_Part] | None = None  # parts from some servers


class _Choice(msgspec.Struct, gc=False):
    message: _Said | None = None
    delta: _Said | None = None
    text: str | None = None  # of completions


class _Chat(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None


class _Message(msgspec.Struct, gc=False):
    content: list[_Part] | None = None


class _MessageEvent(msgspec.Struct, gc=False):
    type: str = ""
    delta: _Part | None = None


class _Response(msgspec.Struct, gc=False):
    output: list[_Message] | None = None


class _ResponseEvent(msgspec.Struct, gc=False):
    type: str = ""
    response: _Response | None = None


_asked = msgspec.json.Decoder(str | _Asked)
_chat = msgspec.json.Decoder(_Chat)
_message = msgspec.json.Decoder(_Message)
_message_event = msgspec.json.Decoder(_MessageEvent)
_response = msgspec.json.Decoder(_Response)
_response_event = msgspec.json.Decoder(_ResponseEvent)


def of_question(message: bytes) -> str | None:
    """What a user message says, given as JSON; None if it has anything else in it: an image, the result of a tool."""
    asked = _asked.decode(message)
    if isinstance(asked, str):
        return asked
    if asked.content is None or isinstance(asked.content, str):
        return asked.content
    texts = [part.text for part in asked.content if part.type in _TEXT_PARTS]
    if len(texts) != len(asked.content) or None in texts:
        return None
    return "\n".join(text for text in texts if text is not None)


def of_answer(route: Route, data: bytes, *, stream: bool) -> str:
    """What an answer says, without its thoughts. `data` is the JSON body, or all of a stream."""
    if not stream:
        return "".join(_WHOLE[route](data))
    frames = sse.FrameSplitter(_MOST_FRAME_BYTES).feed(data)
    payloads = [payload for frame in frames if (payload := sse.payload(frame)) and payload != b"[DONE]"]
    return "".join(text for payload in payloads for text in _STREAMS[route](payload))


def _of_chat(payload: bytes) -> Iterator[str]:
    for choice in _chat.decode(payload).choices or ():
        said = choice.message or choice.delta
        content = choice.text if said is None else said.content
        if isinstance(content, list):
            yield from _of_parts(content)
        else:
            yield content or ""


def _of_message(body: bytes) -> Iterator[str]:
    return _of_parts(_message.decode(body).content)


def _of_message_event(payload: bytes) -> Iterator[str]:
    event = _message_event.decode(payload)
    if event.delta is not None and event.delta.type == "text_delta":
        yield event.delta.text or ""


def _of_response(body: bytes) -> Iterator[str]:
    for item in _response.decode(body).output or ():
        yield from _of_parts(item.content)


def _of_response_event(payload: bytes) -> Iterator[str]:
    """The last event of a stream repeats all of it."""
    if b'"response.completed"' in payload:
        event = _response_event.decode(payload)
        for item in (event.response.output if event.response is not None else None) or ():
            yield from _of_parts(item.content)


def _of_parts(parts: Sequence[_Part] | None) -> Iterator[str]:
    return (part.text or "" for part in parts or () if part.type in ("text", "output_text"))


_WHOLE: Mapping[Route, Callable[[bytes], Iterator[str]]] = {
    Route.CHAT: _of_chat,
    Route.COMPLETIONS: _of_chat,
    Route.MESSAGES: _of_message,
    Route.RESPONSES: _of_response,
}
_STREAMS: Mapping[Route, Callable[[bytes], Iterator[str]]] = {
    Route.CHAT: _of_chat,
    Route.COMPLETIONS: _of_chat,
    Route.MESSAGES: _of_message_event,
    Route.RESPONSES: _of_response_event,
}
