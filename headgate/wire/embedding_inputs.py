"""Requests for embeddings one input at a time: what each is, and answers put together from vectors of several."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headgate.types import Frozen

_encoder = msgspec.json.Encoder(order="deterministic")


class KeptVector(Frozen, frozen=True, gc=False):
    """One vector as its provider wrote it, and the model it told."""

    model: msgspec.Raw
    embedding: msgspec.Raw


class _Item(msgspec.Struct, gc=False):
    embedding: msgspec.Raw
    index: int = 0


class _Answer(msgspec.Struct, gc=False):
    data: list[_Item]
    model: msgspec.Raw = msgspec.Raw(b'""')


_answer = msgspec.json.Decoder(_Answer)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_vector = msgspec.json.Decoder(KeptVector)


def split(raw: msgspec.Raw) -> list[bytes]:
    """Each input of a request as JSON: a text, or the ids of its tokens. None at all for what is no list of such.

    Raises ValueError for what is not JSON.
    """
    value = msgspec.json.decode(raw)
    if isinstance(value, str):
        return [_encoder.encode(value)]
    if not isinstance(value, list) or not value:
        return []
    if all(type(each) is int for each in value):
        return [_encoder.encode(value)]
    kinds = {type(each) for each in value}
    return [_encoder.encode(each) for each in value] if kinds in ({str}, {list}) else []


def join(inputs: Sequence[bytes]) -> msgspec.Raw:
    """Several inputs as a request has them."""
    return msgspec.Raw(b"[%b]" % b",".join(inputs))


def read_vectors(body: bytes, count: int) -> list[KeptVector]:
    """The vectors of an answer, in the order of the inputs. Raises ValueError if there are not so many."""
    answer = _answer.decode(body)
    vectors = {item.index: KeptVector(answer.model, item.embedding) for item in answer.data}
    if len(answer.data) != count or sorted(vectors) != list(range(count)):
        raise ValueError(f"it has not {count} vectors")
    return [vectors[place] for place in range(count)]


def write_kept(vector: KeptVector) -> bytes:
    """A vector as it is kept."""
    return msgspec.json.encode(vector)


def read_kept(data: bytes) -> KeptVector:
    """A vector that was kept."""
    return _vector.decode(data)


def answer_of(vectors: Sequence[KeptVector]) -> bytes:
    """An answer for which no provider was asked: no tokens were used."""
    usage = {"prompt_tokens": 0, "total_tokens": 0}
    return msgspec.json.encode({"object": "list", "data": _data(vectors), "model": vectors[0].model, "usage": usage})


def with_vectors(body: bytes, vectors: Sequence[KeptVector]) -> bytes:
    """A provider's answer to some of the inputs, with the vectors of all."""
    members = _members.decode(body)
    members["data"] = msgspec.Raw(msgspec.json.encode(_data(vectors)))
    return msgspec.json.encode(members)


def _data(vectors: Sequence[KeptVector]) -> list[dict[str, object]]:
    return [
        {"object": "embedding", "index": place, "embedding": vector.embedding} for place, vector in enumerate(vectors)
    ]
