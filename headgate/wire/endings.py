"""How an answer that a client was sent has ended, in its dialect: what decides whether it may be given again.

Reads what was written for the client, whoever wrote it. Raises ValueError for what cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from headgate.cache_types import Ending
from headgate.types import Route
from headgate.wire import sse
from headgate.wire.openai import as_text

CUT = frozenset({"length", "max_tokens", "incomplete", "model_context_window_exceeded"})  # finishes before the end
_MOST_FRAME_BYTES = 16_000_000
_THOUGHTS_AND_TEXT = frozenset({"text", "thinking", "redacted_thinking"})
_PLAIN_ITEMS = frozenset({"message", "reasoning"})
_DATA = b"data: "
_NULL = msgspec.Raw(b"null")
_NOTHING = (b"null", b"[]", b'""', b"{}")


class _Said(msgspec.Struct, gc=False):
    """A message of OpenAI's chat, or a piece of one."""

    tool_calls: msgspec.Raw = _NULL
    function_call: msgspec.Raw = _NULL
    refusal: msgspec.Raw = _NULL
    audio: msgspec.Raw = _NULL
    content: object = None  # text or, from some servers, parts
    reasoning_content: object = None
    reasoning: object = None


class _Choice(msgspec.Struct, gc=False):
    index: int | None = 0
    finish_reason: str | None = None
    message: _Said | None = None
    delta: _Said | None = None
    text: object = None


class _Chat(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None


class _Embedding(msgspec.Struct, gc=False):
    embedding: msgspec.Raw = _NULL


class _Embeddings(msgspec.Struct, gc=False):
    data: list[_Embedding] | None = None


class _Block(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    thinking: str | None = None


class _Delta(msgspec.Struct, gc=False):
    stop_reason: str | None = None
    text: str | None = None
    thinking: str | None = None


class _Message(msgspec.Struct, gc=False):
    stop_reason: str | None = None
    content: list[_Block] | None = None


class _MessageEvent(msgspec.Struct, gc=False):
    type: str = ""
    delta: _Delta | None = None
    content_block: _Block | None = None


class _Item(msgspec.Struct, gc=False):
    type: str = "message"
    content: list[_Block] | None = None
    summary: list[_Block] | None = None


class _Response(msgspec.Struct, gc=False):
    status: str | None = None
    output: list[_Item] | None = None


class _ResponseEvent(msgspec.Struct, gc=False):
    response: _Response | None = None


_chat = msgspec.json.Decoder(_Chat)
_chats = msgspec.json.Decoder(list[_Chat])
_embeddings = msgspec.json.Decoder(_Embeddings)
_message = msgspec.json.Decoder(_Message)
_message_events = msgspec.json.Decoder(list[_MessageEvent])
_response = msgspec.json.Decoder(_Response)
_response_events = msgspec.json.Decoder(list[_ResponseEvent])


def of_whole(route: Route, body: bytes) -> Ending:
    """The ending of a JSON answer."""
    return _WHOLE[route](body)


def of_stream(route: Route, data: bytes) -> Ending:
    """The ending of a stream, all its events together."""
    frames = data.split(b"\n\n") if b"\r" not in data else sse.FrameSplitter(_MOST_FRAME_BYTES).feed(data)
    payloads = [frame[6:] if frame.startswith(_DATA) and b"\n" not in frame else sse.payload(frame) for frame in frames]
    told = [payload for payload in payloads if payload and payload != b"[DONE]"]
    return _STREAMS[route](b"[%b]" % b",".join(told))


def _chat_ending(body: bytes) -> Ending:
    return _of_chat([_chat.decode(body)])


def _chat_stream(events: bytes) -> Ending:
    return _of_chat(_chats.decode(events))


def _of_chat(parts: list[_Chat]) -> Ending:
    """Of a whole answer, or of the pieces of one; those of several choices come in turns."""
    finishes: dict[int, str] = {}
    words: dict[int, list[str]] = {}
    calls_tools = refuses = False
    for part in parts:
        for place, choice in enumerate(part.choices or ()):
            index = choice.index or (place if choice.message is not None else 0)
            if choice.finish_reason is not None or index not in finishes:
                finishes[index] = choice.finish_reason or finishes.get(index, "")
            kept = words.setdefault(index, [])
            if choice.text:
                kept.append(as_text(choice.text))
            said = choice.delta or choice.message
            if said is None:
                continue
            for word in (said.content, said.reasoning_content, said.reasoning):
                if word:
                    kept.append(as_text(word))
            calls_tools = calls_tools or _is_there(said.tool_calls, said.function_call, said.audio)
            refuses = refuses or _is_there(said.refusal)
    return Ending(tuple(finishes.values()), calls_tools, refuses, tuple(map("".join, words.values())))


def _is_there(*members: msgspec.Raw) -> bool:
    return any(member is not _NULL and bytes(member) not in _NOTHING for member in members)


def _embeddings_ending(body: bytes) -> Ending:
    data = _embeddings.decode(body).data or []
    return Ending(tuple("stop" if _is_there(each.embedding) else "" for each in data))


def _message_ending(body: bytes) -> Ending:
    message = _message.decode(body)
    return _of_blocks(message.stop_reason, message.content or [])


def _message_stream(events: bytes) -> Ending:
    stop, blocks, words = None, list[_Block](), list[str]()
    for event in _message_events.decode(events):
        if event.content_block is not None:
            blocks.append(event.content_block)
        if event.delta is not None:
            words.append(event.delta.text or event.delta.thinking or "")
            if event.type == "message_delta":
                stop = event.delta.stop_reason or stop
    return _of_blocks(stop, blocks, words)


def _of_blocks(stop: str | None, blocks: list[_Block], words: Iterable[str] = ()) -> Ending:
    others = any(block.type not in _THOUGHTS_AND_TEXT for block in blocks)
    texts = "".join([*(block.text or block.thinking or "" for block in blocks), *words])
    return Ending((stop or "",) if blocks else (), calls_tools=others, refuses=stop == "refusal", texts=(texts,))


def _response_ending(body: bytes) -> Ending:
    return _of_response(_response.decode(body))


def _response_stream(events: bytes) -> Ending:
    responses = [event.response for event in _response_events.decode(events) if event.response is not None]
    return _of_response(responses[-1]) if responses else Ending(())


def _of_response(response: _Response) -> Ending:
    items = response.output or []
    parts = [part for item in items for part in (*(item.content or ()), *(item.summary or ()))]
    return Ending(
        (response.status or "",) if items else (),
        calls_tools=any(item.type not in _PLAIN_ITEMS for item in items),
        refuses=any(part.type == "refusal" for part in parts),
        texts=("\n".join([part.text for part in parts if part.text]),),
    )


_WHOLE: Mapping[Route, Callable[[bytes], Ending]] = {
    Route.CHAT: _chat_ending,
    Route.COMPLETIONS: _chat_ending,
    Route.EMBEDDINGS: _embeddings_ending,
    Route.MESSAGES: _message_ending,
    Route.RESPONSES: _response_ending,
}
_STREAMS: Mapping[Route, Callable[[bytes], Ending]] = {
    Route.CHAT: _chat_stream,
    Route.COMPLETIONS: _chat_stream,
    Route.MESSAGES: _message_stream,
    Route.RESPONSES: _response_stream,
}
