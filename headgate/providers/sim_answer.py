"""The simulated model's answers in OpenAI's wire format, whole or as a stream, byte for byte as a server sends them.

Pure: what is said comes from `sim_text`, what chance decides from `sim_draws`; waiting is left to `sim`.
"""

from __future__ import annotations

import base64
import json
import sys
from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache

import msgspec

from headgate.providers.sim_draws import Draws
from headgate.providers.sim_request import BadRequest, Function, Request, prompt_tokens
from headgate.providers.sim_schema import Unsatisfiable, smallest
from headgate.providers.sim_text import SENTENCES, embedding, passage
from headgate.types import Api

DEFAULT_DIMENSIONS = 1536
_JSON_TOKEN_CHARACTERS = 4  # JSON is counted, and streamed, at four characters to a token


class Piece(msgspec.Struct, frozen=True, gc=False):
    """What is sent at once: so many seconds after the piece before, carrying so many generated tokens."""

    wait_seconds: float
    data: bytes
    tokens: int


class Choice(msgspec.Struct, frozen=True):
    """One answer: its tokens as text, why it ends, and the function it calls, if it does."""

    tokens: Sequence[str]
    finish_reason: str
    function: str = ""


def write_choices(api: Api, request: Request, draws: Draws) -> list[Choice]:
    """What is answered, `n` times for every prompt. Raises BadRequest."""
    prompts = len(request.prompts()) if api is Api.COMPLETIONS else 1
    function = request.called_function() if api is Api.CHAT else None
    document = _document(request, function) if api is Api.CHAT else None
    ceiling = request.ceiling(api)
    return [_write_choice(draws, document, function, ceiling) for _ in range(prompts * (request.n or 1))]


def _write_choice(draws: Draws, document: str | None, function: Function | None, ceiling: int | None) -> Choice:
    if document is None:
        tokens = passage(draws.chance.randrange(SENTENCES), draws.output_tokens())
    else:
        starts = range(0, len(document), _JSON_TOKEN_CHARACTERS)
        tokens = [document[start : start + _JSON_TOKEN_CHARACTERS] for start in starts]
    reason = "tool_calls" if function else "stop"
    if ceiling is not None and len(tokens) > ceiling:
        tokens, reason = tokens[:ceiling], "length"
    return Choice(tokens, reason, function.name if function else "")


def _document(request: Request, function: Function | None) -> str | None:
    """The JSON to answer with, in ASCII, or None where words will do."""
    wanted = request.response_format
    try:
        if function is not None:
            return json.dumps(smallest(function.parameters) or {})
        if wanted is not None and wanted.type == "json_schema" and wanted.json_schema is not None:
            return json.dumps(smallest(wanted.json_schema.schema))
    except Unsatisfiable as error:
        raise BadRequest(f"the simulated model cannot answer to this schema: {error}") from None
    return '{"answer": "The wheel turns."}' if wanted is not None and wanted.type == "json_object" else None


class Head(msgspec.Struct, frozen=True):
    """What every chunk of one answer repeats."""

    api: Api
    request: Request
    identity: str
    created: int

    def members(self, kind: str) -> bytes:
        """The members before `choices`, without the braces around them."""
        prefix = "chatcmpl" if self.api is Api.CHAT else "cmpl"
        about = {
            "id": f"{prefix}-{self.identity}",
            "object": kind,
            "created": self.created,
            "model": self.request.model,
        }
        return msgspec.json.encode({**about, "system_fingerprint": "fp_sim"})[1:-1]

    def usage(self, choices: Sequence[Choice]) -> bytes:
        """The usage object."""
        prompt, completion = prompt_tokens(self.api, self.request), sum(len(choice.tokens) for choice in choices)
        return msgspec.json.encode(
            {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
                "prompt_tokens_details": {"cached_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0},
            }
        )


def whole_answer(head: Head, choices: Sequence[Choice]) -> bytes:
    """The body of an answer that is not streamed."""
    chat = head.api is Api.CHAT
    members = head.members("chat.completion" if chat else "text_completion")
    write = _chat_choice if chat else _text_choice
    written = b",".join(write(index, choice, head.identity) for index, choice in enumerate(choices))
    return b'{%s,"choices":[%s],"usage":%s}' % (members, written, head.usage(choices))


def _chat_choice(index: int, choice: Choice, identity: str) -> bytes:
    message: dict[str, object] = {"role": "assistant", "content": "".join(choice.tokens), "refusal": None}
    if choice.function:
        call = {"name": choice.function, "arguments": message["content"]}
        message["tool_calls"] = [{"id": f"call_{identity}", "type": "function", "function": call}]
        message["content"] = None
    return msgspec.json.encode(
        {"index": index, "message": message, "logprobs": None, "finish_reason": choice.finish_reason}
    )


def _text_choice(index: int, choice: Choice, identity: str) -> bytes:
    text = "".join(choice.tokens)
    return msgspec.json.encode({"text": text, "index": index, "logprobs": None, "finish_reason": choice.finish_reason})


def stream(head: Head, choices: Sequence[Choice], draws: Draws) -> Iterator[Piece]:
    """The events: roles (chat), the tokens of all choices in step, finish reasons, usage if asked for, `[DONE]`."""
    chat = head.api is Api.CHAT
    members = head.members("chat.completion.chunk" if chat else "text_completion")
    usage = b',"usage":null' if head.request.wants_usage else b""

    def event(index: int, content: bytes, reason: bytes = b"null") -> bytes:
        choice = b'"index":%d,%s,"logprobs":null,"finish_reason":%s' % (index, content, reason)
        return b'data: {%s,"choices":[{%s}]%s}\n\n' % (members, choice, usage)

    wait_seconds = draws.ttft_seconds()
    if chat:
        roles = [event(index, _role(choice, head.identity)) for index, choice in enumerate(choices)]
        yield Piece(wait_seconds, b"".join(roles), 0)
        wait_seconds = 0.0
    write = _text_content if not chat else _call_content if choices[0].function else _chat_content
    for step in range(max(len(choice.tokens) for choice in choices)):
        tokens = [event(i, write(choice.tokens[step])) for i, choice in enumerate(choices) if step < len(choice.tokens)]
        yield Piece(wait_seconds, b"".join(tokens), len(tokens))
        wait_seconds = draws.itl_seconds()
    nothing = b'"delta":{}' if chat else b'"text":""'
    end = [event(i, nothing, b'"%s"' % choice.finish_reason.encode()) for i, choice in enumerate(choices)]
    if usage:
        end.append(b'data: {%s,"choices":[],"usage":%s}\n\n' % (members, head.usage(choices)))
    yield Piece(0.0, b"".join([*end, b"data: [DONE]\n\n"]), 0)


def _role(choice: Choice, identity: str) -> bytes:
    if not choice.function:
        return b'"delta":{"role":"assistant","content":"","refusal":null}'
    function = {"name": choice.function, "arguments": ""}
    call = {"index": 0, "id": f"call_{identity}", "type": "function", "function": function}
    return b'"delta":' + msgspec.json.encode({"role": "assistant", "content": None, "tool_calls": [call]})


@lru_cache(1024)
def _chat_content(token: str) -> bytes:
    return b'"delta":{"content":%s}' % msgspec.json.encode(token)


@lru_cache(1024)
def _call_content(token: str) -> bytes:
    return b'"delta":{"tool_calls":[{"index":0,"function":{"arguments":%s}}]}' % msgspec.json.encode(token)


@lru_cache(1024)
def _text_content(token: str) -> bytes:
    return b'"text":%s' % msgspec.json.encode(token)


def embeddings(request: Request, seed: int) -> bytes:
    """The body of an answer to `/v1/embeddings`: one vector for each input."""
    dimensions = request.dimensions or DEFAULT_DIMENSIONS
    written: list[object] = []
    for index, text in enumerate(request.prompts()):
        vector = embedding(seed, text, dimensions)
        value = _base64(vector) if request.encoding_format == "base64" else vector.tolist()
        written.append({"object": "embedding", "index": index, "embedding": value})
    tokens = prompt_tokens(Api.EMBEDDINGS, request)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return msgspec.json.encode({"object": "list", "data": written, "model": request.model, "usage": usage})


def _base64(vector: array[float]) -> str:
    """32-bit floats, least significant byte first, as OpenAI sends them."""
    if sys.byteorder == "big":
        vector.byteswap()
    return base64.b64encode(vector.tobytes()).decode()
