"""Members of callers' bodies: what is wrong is named by its place."""

from __future__ import annotations

import gzip

import msgspec
import pytest

from headgate.errors import InvalidRequest, MalformedJson
from headgate.wire.members import read_body, read_member, says_nothing


class Part(msgspec.Struct):
    text: str


class Body(msgspec.Struct):
    model: str
    parts: list[Part] = []


BODY = msgspec.json.Decoder(Body)


def test_a_body_and_its_members() -> None:
    fields, view = read_body(b'{"model":"a","x":[1]}', BODY)
    assert view == Body("a") and {name: bytes(raw) for name, raw in fields.items()} == {"model": b'"a"', "x": b"[1]"}


@pytest.mark.parametrize(
    ("body", "param", "sentence"),
    [
        (b'{"model":5}', "model", "Expected `str`, got `int` in 'model'."),
        (b"{}", "model", "The member 'model' is missing."),
        (b'{"model":"a","parts":[{"text":1}]}', "parts[0].text", "Expected `str`, got `int` in 'parts[0].text'."),
        (b'{"model":"a","parts":[{}]}', "parts[0].text", "The member 'parts[0].text' is missing."),
        (b"5", None, "Expected `object`, got `int`."),
    ],
)
def test_a_wrong_member(body: bytes, param: str | None, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        read_body(body, BODY)
    assert (raised.value.param, raised.value.message) == (param, sentence)


@pytest.mark.parametrize("body", [b"", b"{", b'{"model":"\xff"}', b'{"model":"\\ud83d"}', b'{"a":' * 100_000])
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(MalformedJson):
        read_body(body, BODY)


@pytest.mark.parametrize("raw", [b"5", b'{"text":5}', b"{}", b'{"text":"\\ud83d"}', b'{"text":' + b"[" * 100_000])
def test_a_wrong_value_is_named_by_its_place(raw: bytes) -> None:
    with pytest.raises(InvalidRequest) as raised:
        read_member(msgspec.json.Decoder(Part), msgspec.Raw(raw), "input[3]")
    assert (raised.value.param or "").startswith("input[3]")


@pytest.mark.parametrize("raw", [b"null", b" [ ] ", b"{}", b'""', b"false", b"0", b"0.0"])
def test_what_says_nothing(raw: bytes) -> None:
    assert says_nothing(msgspec.Raw(raw))


@pytest.mark.parametrize("raw", [b"true", b"1", b'"x"', b"[0]"])
def test_what_says_something(raw: bytes) -> None:
    assert not says_nothing(msgspec.Raw(raw))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (rb'{"model": "\ud83d"}', "it has half a character, such as \\ud83d alone"),
        (rb'{"model": "\ude00 and more"}', "it has half a character"),
        (rb'{"model": "\ud83d\ude00"', "Input data was truncated"),
        (b'{"model": "a"', "Input data was truncated"),
        (
            gzip.compress(b'{"model": "a"}', mtime=0),
            "The body is compressed. Send it as it is, without content-encoding.",
        ),
        (b'{"model": "\xff"}', "not valid UTF-8: byte 11"),
    ],
)
def test_what_cannot_be_read_is_told_as_it_is(body: bytes, said: str) -> None:
    with pytest.raises(MalformedJson) as caught:
        read_body(body, msgspec.json.Decoder(dict[str, str]))
    assert said in caught.value.message
