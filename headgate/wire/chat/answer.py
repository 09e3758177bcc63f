"""Whole answers: a server's is read, a client's is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from headgate.errors import StreamFailed
from headgate.wire import data_url
from headgate.wire.chat import answer_shapes, reasoning
from headgate.wire.chat.annotations import annotation, citations_of, sources_of
from headgate.wire.chat.answer_shapes import Said
from headgate.wire.chat.finish import read_finish, write_finish
from headgate.wire.chat.messages import DIALECT
from headgate.wire.chat.request_shapes import ABSENT
from headgate.wire.chat.usage import write_usage
from headgate.wire.dialect import Fields, ReplyContext
from headgate.wire.neutral import (
    Answer,
    Choice,
    Citation,
    Finish,
    Image,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from headgate.wire.openai import error_message
from headgate.wire.openai_usage import read_usage
from headgate.wire.seals import seal

Json = dict[str, object]

_content_part = msgspec.json.Decoder(answer_shapes.ContentPart)


# --- a server's ------------------------------------------------------------------------------------------------------


def read_answer(body: bytes) -> Answer:
    """A server's JSON answer. Raises ValueError if it is none, StreamFailed if it tells an error."""
    try:
        plain = answer_shapes.plain_answer.decode(body)
    except (ValueError, RecursionError):
        return _read(body)
    (said,) = plain.choices
    parts = (Text(said.message.content),) if said.message.content else ()
    choice = Choice(parts, Finish.STOP if said.finish_reason == "stop" else Finish.LENGTH)
    usage = None if plain.usage is None else plain.usage.value()
    return Answer(plain.id or "", plain.model or "", (choice,), usage, plain.created or 0)


def _read(body: bytes) -> Answer:
    answer = answer_shapes.decode(body)
    if answer.error != ABSENT:
        raise StreamFailed(error_message(body))
    sources = sources_of(answer)
    choices = tuple([_choice(choice, answer.id or "", sources) for choice in answer.choices or ()])
    usage = read_usage(answer.usage)
    return Answer(answer.id or "", answer.model or "", choices, usage, int(answer.created or 0))


def _choice(choice: answer_shapes.Choice, answer_id: str, sources: tuple[Citation, ...]) -> Choice:
    said, index = choice.message or Said(), choice.index or 0
    parts: tuple[Part, ...]
    if (text := said.plain_text) and not sources:
        parts = (Text(text),)
    else:
        parts = (*_thoughts(said), *_content(said, sources), *_calls(said, answer_id, index))
    calls_tools, refuses = bool(said.tool_calls or said.function_call), bool(said.refusal)
    return Choice(
        parts=parts,
        finish=read_finish(choice, calls_tools=calls_tools, refuses=refuses),
        index=index,
        stop_sequence=choice.stop_sequence(),
        logprobs=None if choice.logprobs == ABSENT else choice.logprobs,
    )


def _thoughts(said: Said) -> list[Thinking]:
    plain, member = said.reasoning_content, reasoning.CONTENT
    if not plain:
        plain, member = said.reasoning or "", reasoning.REASONING
    return reasoning.server_thoughts(said.reasoning_details or (), plain, member)


def _content(said: Said, sources: tuple[Citation, ...]) -> Iterator[Part]:
    """Text, images, sound and refusals, the citations at the text."""
    citations = (*citations_of(said), *sources)
    for part in content_parts(said):
        if isinstance(part, Text) and citations:
            part, citations = Text(part.text, citations), ()
        yield part
    if citations:
        yield Text("", citations)
    yield from whole_parts(said)
    if said.refusal:
        yield Refusal(said.refusal)


def content_parts(said: Said) -> Iterator[Part]:
    """The content of a message or a delta; empty text is nothing."""
    if isinstance(said.content, str):
        if said.content:
            yield Text(said.content)
        return
    for raw in said.content or ():
        part = _content_part.decode(raw)
        if part.type == "text":
            if part.text:
                yield Text(part.text)
        elif part.type == "thinking":
            pieces = part.thinking or ()
            text = pieces if isinstance(pieces, str) else "".join(piece.text or "" for piece in pieces)
            yield Thinking(text, signature=reasoning.THINKING_PART, origin=reasoning.ORIGIN)
        else:
            yield Opaque(DIALECT, part.type or "", bytes(raw))


def whole_parts(said: Said) -> Iterator[Part]:
    """What never comes in pieces: images, and sound that no other dialect has."""
    for image in said.images or ():
        url = image.image_url.url if image.image_url else ""
        if read := data_url.read(url):
            yield Image(media_type=read[0], data=read[1])
        elif url:
            yield Image(url=url)
    if said.audio != ABSENT:
        yield Opaque(DIALECT, "audio", bytes(said.audio))


def call_id(answer_id: str, choice: int, index: int) -> str:
    """The id of a call whose server gave it none; results have to name their call."""
    return f"call_{answer_id}_{choice}_{index}"


def _calls(said: Said, answer_id: str, choice: int) -> Iterator[Part]:
    for index, call in enumerate(said.tool_calls or ()):
        if call.function is None:
            yield Opaque(DIALECT, call.type or "", msgspec.json.encode(call))
            continue
        signature = call.signature()
        yield ToolCall(
            id=call.id or call_id(answer_id, choice, index),
            name=call.function.name or "",
            arguments=call.function.argument_text(),
            signature=signature,
            origin=reasoning.ORIGIN if signature else "",
        )
    if said.function_call is not None and said.function_call.name:
        function = said.function_call
        yield ToolCall(call_id(answer_id, choice, 0), function.name or "", function.argument_text())


# --- a client's ------------------------------------------------------------------------------------------------------


def write_answer(answer: Answer, context: ReplyContext) -> bytes:
    """The JSON answer for a client."""
    legacy = speaks_of_functions(context.fields)
    body: Json = {
        **head(answer.id, answer.model, answer.created, context),
        "object": "chat.completion",
        "choices": [_written_choice(choice, legacy) for choice in answer.choices],
    }
    if answer.usage is not None:
        body["usage"] = write_usage(answer.usage)
    return msgspec.json.encode(body)


def head(answer_id: str, model: str, created: int, context: ReplyContext) -> Json:
    """What an answer and every chunk of a stream begin with."""
    return {
        "id": answer_id or f"chatcmpl-{context.request_id}",
        "created": created or context.created,
        "model": model or context.fields.get("model", ""),
    }


def speaks_of_functions(fields: Fields) -> bool:
    """Whether a caller gave `functions`, which tools have replaced: it expects a `function_call`."""
    return "functions" in fields and "tools" not in fields


def _written_choice(choice: Choice, legacy: bool) -> Json:
    message = _written_message(choice.parts, legacy)
    refuses = message["refusal"] is not None
    return {
        "index": choice.index,
        "message": message,
        "logprobs": choice.logprobs,
        "finish_reason": write_finish(choice.finish, refuses=refuses, legacy="function_call" in message),
    }


_SHOWN = (Text, Refusal, Thinking, ToolCall, Image)


def shows(part: Part) -> bool:
    """Whether a chat client is shown a part: all but files, sound, and what only another dialect knows."""
    if isinstance(part, Opaque):
        return (part.dialect, part.kind) == (DIALECT, "audio")
    return isinstance(part, _SHOWN)


def _written_message(parts: Sequence[Part], legacy: bool) -> Json:
    """What is no text, thought, refusal, call or image cannot be shown to a chat client, unless it is chat's own."""
    if len(parts) == 1 and isinstance(parts[0], Text) and not parts[0].citations:  # most answers: nothing to look for
        return {"role": "assistant", "content": parts[0].text, "refusal": None}
    refusals = [part.text for part in parts if isinstance(part, Refusal)]
    calls = [part for part in parts if isinstance(part, ToolCall)]
    images = [part for part in parts if isinstance(part, Image)]
    text, annotations = _joined(parts)
    message: Json = {
        "role": "assistant",
        "content": text if text or not (calls or refusals) else None,
        "refusal": "".join(refusals) if refusals else None,
        **_written_thoughts(parts),
    }
    if annotations:
        message["annotations"] = annotations
    if calls and legacy:
        message["function_call"] = {"name": calls[0].name, "arguments": calls[0].arguments}
    elif calls:
        message["tool_calls"] = [written_call(call) for call in calls]
    if images:
        message["images"] = [written_image(image, index) for index, image in enumerate(images)]
    for part in parts:
        if isinstance(part, Opaque) and shows(part):
            message["audio"] = msgspec.Raw(part.raw)
    return message


def _joined(parts: Sequence[Part]) -> tuple[str, list[Json]]:
    """All text as one, and what it cites."""
    text, annotations = "", []
    for part in parts:
        if isinstance(part, Text):
            start, text = len(text), text + part.text
            annotations += [annotation(citation, start, len(text)) for citation in part.citations]
    return text, annotations


def _written_thoughts(parts: Sequence[Part]) -> Json:
    thoughts = [part for part in parts if isinstance(part, Thinking)]
    texts = [thought.text for thought in thoughts if thought.text]
    numbered = enumerate(thoughts)
    details = [detail for index, thought in numbered if (detail := reasoning.detail_of(thought, index)) is not None]
    written: Json = {"reasoning_content": reasoning.BETWEEN_THOUGHTS.join(texts)} if texts else {}
    return {**written, "reasoning_details": details} if details else written


def written_call(call: ToolCall) -> Json:
    """A tool call, with Google's member for its signature."""
    written: Json = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
    if call.signature:
        written["extra_content"] = {"google": {"thought_signature": seal(call.origin, call.signature)}}
    return written


def written_image(image: Image, index: int) -> Json:
    """A generated image, as OpenRouter writes it."""
    url = image.url or data_url.write(image.media_type, image.data)
    return {"type": "image_url", "index": index, "image_url": {"url": url}}
