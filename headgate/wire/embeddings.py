"""Embeddings across dialects: OpenAI's /v1/embeddings for callers, Gemini's embedContent methods for providers.

Vectors pass as the provider wrote them; nothing here makes them longer, shorter or of length one.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from headgate.errors import InvalidRequest, StreamFailed, Untranslatable
from headgate.types import Api, Call, Counted, Frozen, Usage
from headgate.wire import members
from headgate.wire.believing import believed
from headgate.wire.dialect import Fields
from headgate.wire.neutral import Leftover
from headgate.wire.openai import WholeAnswer, error_message
from headgate.wire.translation import Ask, Asked, StreamReading, refuse_leftovers

Json = dict[str, object]

_ABSENT = msgspec.Raw(b"null")
_KNOWN = frozenset({"model", "input", "dimensions", "encoding_format"})
_HINTS = frozenset({"user"})


class Request(Frozen, frozen=True):
    """Texts to embed. `dimensions` is how long the vectors are to be, None: as long as the model makes them."""

    texts: tuple[str, ...]
    dimensions: int | None = None
    in_base64: bool = False
    leftovers: tuple[Leftover, ...] = ()


class Vectors(Frozen, frozen=True):
    """A vector for each text, each a JSON array of numbers. Gemini's older models count no tokens: None."""

    vectors: tuple[msgspec.Raw, ...]
    usage: Usage | None = None


# --- a caller's request and its answer -------------------------------------------------------------------------------

_input = msgspec.json.Decoder(str | list[str | int | list[int]])
_dimensions = msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=1)] | None)
_encoding = msgspec.json.Decoder(Literal["float", "base64"] | None)
_numbers = msgspec.json.Decoder(list[float])


def read_request(fields: Fields) -> Request:
    """Read the members of an OpenAI request. Raises InvalidRequest, or Untranslatable for token ids."""
    if "input" not in fields:
        raise InvalidRequest("The member 'input' is missing.", param="input")
    value = members.read_member(_input, fields["input"], "input")
    encoding = members.read_member(_encoding, fields.get("encoding_format", _ABSENT), "encoding_format")
    unknown = [name for name, raw in fields.items() if name not in _KNOWN and not members.says_nothing(raw)]
    return Request(
        texts=_texts([value] if isinstance(value, str) else value),
        dimensions=members.read_member(_dimensions, fields.get("dimensions", _ABSENT), "dimensions"),
        in_base64=encoding == "base64",
        leftovers=tuple(Leftover(name, is_hint=name in _HINTS) for name in unknown),
    )


def _texts(values: Sequence[object]) -> tuple[str, ...]:
    texts = tuple(value for value in values if isinstance(value, str))
    if len(texts) < len(values):
        raise Untranslatable(
            "'input' is made of token ids, which only OpenAI's own models can read. Send the text.", param="input"
        )
    if not all(texts):
        raise InvalidRequest("'input' has nothing in it to embed: a text is empty.", param="input")
    if not texts:
        raise InvalidRequest("'input' has nothing in it to embed.", param="input")
    return texts


def write_answer(vectors: Vectors, request: Request, model: str) -> bytes:
    """The answer in OpenAI's dialect; its usage, which clients insist on, is zero when nobody has counted.

    Raises ValueError if a vector is to be packed and is none.
    """
    tokens = vectors.usage.input if vectors.usage else 0
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if request.in_base64 else vector}
        for index, vector in enumerate(vectors.vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return msgspec.json.encode({"object": "list", "data": data, "model": model, "usage": usage})


def _packed(vector: msgspec.Raw) -> str:
    """Little-endian 32-bit floats in base64, as OpenAI packs them."""
    numbers = _numbers.decode(vector)
    try:
        packed = struct.pack(f"<{len(numbers)}f", *numbers)
    except OverflowError as error:
        raise ValueError(f"a vector cannot be packed: {error}") from None
    return base64.b64encode(packed).decode()


# --- Gemini's --------------------------------------------------------------------------------------------------------


class _Embedding(msgspec.Struct):
    values: msgspec.Raw


class _Counts(msgspec.Struct):
    promptTokenCount: int | None = None


class _Answer(msgspec.Struct):
    embedding: _Embedding | None = None  # embedContent
    embeddings: list[_Embedding] | None = None  # batchEmbedContents
    usageMetadata: _Counts | None = None
    error: msgspec.Raw = _ABSENT


_answer = msgspec.json.Decoder(_Answer)


def write_batch_embed_contents(request: Request, model: str) -> bytes:
    """The body for Gemini's batchEmbedContents; every part of it names the model again."""
    name = model if "/" in model else f"models/{model}"
    return msgspec.json.encode({"requests": [{"model": name, **_content(text, request)} for text in request.texts]})


def write_embed_content(request: Request) -> bytes:
    """The body for embedContent, which is all that some models have on Vertex AI. Raises Untranslatable for more
    than one text."""
    if len(request.texts) > 1:
        raise Untranslatable("This model embeds one text at a time: 'input' has several.", param="input")
    return msgspec.json.encode(_content(request.texts[0], request))


def _content(text: str, request: Request) -> Json:
    content: Json = {"content": {"parts": [{"text": text}]}}
    return content if request.dimensions is None else {**content, "outputDimensionality": request.dimensions}


def read_embeddings(body: bytes, request: Request) -> Vectors:
    """Gemini's answer to either method. Raises ValueError if it is none, StreamFailed if it tells an error."""
    try:
        answer = _answer.decode(body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if answer.error != _ABSENT:
        raise StreamFailed(error_message(body))
    embeddings = answer.embeddings or ([answer.embedding] if answer.embedding else [])
    if len(embeddings) != len(request.texts):
        raise ValueError(f"it has {len(embeddings)} vectors for {len(request.texts)} texts")
    tokens = answer.usageMetadata.promptTokenCount if answer.usageMetadata else None
    usage = None if tokens is None else believed(Usage(input=max(0, tokens), counted=Counted.REPORTED))
    return Vectors(tuple(embedding.values for embedding in embeddings), usage)


class EmbeddingsAcross:
    """OpenAI's embeddings to Gemini's."""

    api = Api.EMBED_CONTENTS
    same_dialect = False
    stream_type = "text/event-stream"

    def ask(self, call: Call, ask: Ask) -> Asked:
        request = read_request(call.fields)
        if not ask.may_drop:
            refuse_leftovers(request.leftovers, ask.target.model)
        body = write_batch_embed_contents(request, ask.target.model)
        return Asked(body, tuple(leftover.field for leftover in request.leftovers))

    def read_whole(self, call: Call, ask: Ask, body: bytes) -> WholeAnswer:
        request = read_request(call.fields)
        try:
            vectors = read_embeddings(body, request)
        except StreamFailed as error:
            return WholeAnswer(empty=False, failed=error.message, usage=None, texts=())
        written = write_answer(vectors, request, ask.target.model)
        return WholeAnswer(empty=False, failed="", usage=vectors.usage, texts=(), body=written)

    def read_stream(self, call: Call, ask: Ask) -> StreamReading:
        raise AssertionError("embeddings do not stream")
