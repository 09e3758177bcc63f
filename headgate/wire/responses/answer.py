"""Whole answers of the Responses API: a provider's JSON to the neutral model, and neutral values to a client's."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headgate.wire import surrogates
from headgate.wire.dialect import ReplyContext
from headgate.wire.neutral import Answer, Choice, Finish, Image, Opaque, Part, Refusal, Text, Thinking, ToolCall
from headgate.wire.responses.annotations import write_annotation
from headgate.wire.responses.open_items import NO_ARGUMENTS
from headgate.wire.responses.output import (
    ResponseView,
    finish_of,
    kind_of,
    message_item,
    read_item,
    response_view,
)
from headgate.wire.responses.parts import DIALECT
from headgate.wire.responses.reply import (
    COMPLETED,
    FunctionCall,
    Item,
    Message,
    OutputRefusal,
    OutputText,
    Reasoning,
    Reply,
    Summary,
    generated_image,
    logprobs_of,
    status_of_last,
)
from headgate.wire.responses.thoughts import sealed_call, sealed_thought
from headgate.wire.responses.usage import read_usage


class _Logprobs(msgspec.Struct):
    content: list[msgspec.Raw]


_entries = msgspec.json.Decoder(list[msgspec.Raw] | None)


def read_answer(body: bytes) -> Answer:
    """A response object. Raises ValueError for anything else, StreamFailed for a response that failed."""
    try:
        return _read(_decode(body))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _decode(body: bytes) -> ResponseView:
    try:
        return response_view.decode(body)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return response_view.decode(surrogates.mend(body))


def _read(response: ResponseView) -> Answer:
    items = response.output or []
    parts = tuple(part for item in items for part in read_item(item))
    refuses = any(isinstance(part, Refusal) for part in parts)
    finish = finish_of(response, {kind_of(item) for item in items}, refuses=refuses)
    if response.output is None:
        raise ValueError("the member 'output' is missing")
    return Answer(
        id=response.id or "",
        model=response.model or "",
        choices=(Choice(parts, finish, logprobs=_logprobs(items)),),
        usage=read_usage(response.usage),
        created=int(response.created_at or 0),
    )


def _logprobs(items: Sequence[msgspec.Raw]) -> msgspec.Raw | None:
    """Those of all texts together, in the neutral shape."""
    parts = (part for item in items if kind_of(item) == "message" for part in message_item.decode(item).content or ())
    entries = [entry for part in parts for entry in _entries.decode(part.logprobs) or ()]
    return msgspec.Raw(msgspec.json.encode(_Logprobs(entries))) if entries else None


# --- towards a client ------------------------------------------------------------------------------------------------


_SHOWN = (Text, Refusal, Thinking, ToolCall, Image)


def shows(part: Part) -> bool:
    """Whether a client is shown a part: all but files, sound, and what only another dialect knows."""
    if isinstance(part, Opaque):
        return part.dialect == DIALECT
    return isinstance(part, _SHOWN)


def write_answer(answer: Answer, context: ReplyContext) -> bytes:
    """The response object of an answer's first choice: the API knows one."""
    reply = Reply(context, answer.id, answer.model, answer.created)
    choice = answer.choices[0] if answer.choices else Choice((), Finish.STOP)
    output: list[Item] = []
    for part in choice.parts:
        _add(part, output, reply)
    if choice.logprobs is not None:
        _add_logprobs(output, logprobs_of(choice.logprobs))
    if output and isinstance(output[-1], Message | FunctionCall):
        output[-1].status = status_of_last(choice.finish)
    return bytes(reply.ended(output, choice.finish, answer.usage))


def _add(part: Part, output: list[Item], reply: Reply) -> None:
    """A part as an item of its own, or in the message that is being made. Others' opaque parts have no form here."""
    match part:
        case Text(text=text, citations=citations):
            annotations = [write_annotation(citation, len(text)) for citation in citations]
            _message(output, reply).content.append(OutputText(text, annotations, []))
        case Refusal(text=text):
            _message(output, reply).content.append(OutputRefusal(text))
        case Thinking(text=text):
            if text or part.signature or part.redacted:
                summary = [Summary(text)] if text else []
                output.append(Reasoning(reply.item_id("rs", len(output)), summary, sealed_thought(part)))
        case ToolCall(signature=signature):
            if signature:
                sealed = sealed_call(part.origin, signature)
                output.append(Reasoning(reply.item_id("rs", len(output)), [], sealed))
            item_id = reply.item_id("fc", len(output))
            output.append(FunctionCall(item_id, COMPLETED, part.arguments or NO_ARGUMENTS, part.id, part.name))
        case Image():
            output.append(generated_image(part, reply.item_id("ig", len(output))))
        case Opaque(raw=raw) if shows(part):
            output.append(msgspec.Raw(raw))
        case _:
            pass


def _message(output: list[Item], reply: Reply) -> Message:
    last = output[-1] if output else None
    if isinstance(last, Message):
        return last
    message = Message(reply.item_id("msg", len(output)), COMPLETED, [])
    output.append(message)
    return message


def _add_logprobs(output: list[Item], entries: list[msgspec.Raw]) -> None:
    """To the first text: an answer that has them has one."""
    texts = (part for item in output if isinstance(item, Message) for part in item.content)
    for part in texts:
        if isinstance(part, OutputText):
            part.logprobs += entries
            return
