"""Bodies that cannot be used: a clear 4xx that names what is wrong, and a ledger row where somebody is known."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tests.e2e.gateway import Gateway, Json
from tests.e2e.upstream import Upstream, saying
from tests.e2e.wire import CHAT, HELLO_BODY, Response, ask, post

MESSAGES: list[Any] = [{"role": "user", "content": "Hello"}]
MALFORMED = {
    "empty": b"",
    "space": b"  \n",
    "cut": HELLO_BODY[:-9],
    "words": b"model=small&messages=hello",
    "more than one": HELLO_BODY + HELLO_BODY,
    "single quotes": HELLO_BODY.replace(b'"', b"'"),
    "NaN": b'{"model": "small", "messages": [], "temperature": NaN}',
    "trailing comma": b'{"model": "small", "messages": [],}',
    "comment": b'{"model": "small", /* no */ "messages": []}',
    "invalid UTF-8": b'{"model": "small", "messages": [{"role": "user", "content": "\xff\xfe"}]}',
    "truncated UTF-8": b'{"model": "small", "messages": "\xe2\x82"}',
    "encoded surrogate": b'{"model": "small", "messages": "\xed\xa0\x80"}',
    "UTF-16": HELLO_BODY.decode().encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + HELLO_BODY,
    "NUL": b"\x00" * 40,
    "control character in a string": b'{"model": "sm\x01all", "messages": []}',
    "bad escape": b'{"model": "small\\x41", "messages": []}',
    "compressed": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\x56\xca\xcd",
    "very deep arrays": b'{"model": "small", "messages": ' + b"[" * 100_000,
    "very deep objects": b'{"model": "small", "messages": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
    "bare number": b"1" * 1000,
}


def ask_all(gateway: Gateway, bodies: dict[str, bytes], path: str = CHAT) -> dict[str, tuple[Response, Json]]:
    """Each body's response and ledger row."""
    responses = {name: ask(gateway, post(body, path=path)) for name, body in bodies.items()}
    rows = gateway.rows([response.headers["x-request-id"] for response in responses.values()])
    for row, (name, response) in zip(rows, responses.items(), strict=True):
        assert row["status"] == response.status, name
        assert len(json.dumps(row)) < 5_000, f"{name}: a caller must not fill the ledger"
    return {name: (response, row) for row, (name, response) in zip(rows, responses.items(), strict=True)}


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/embeddings"])
def test_what_is_not_json(gateway: Gateway, upstream: Upstream, path: str) -> None:
    for name, (response, row) in ask_all(gateway, MALFORMED, path).items():
        assert response.status == 400, name
        assert response.error["code"] in ("malformed_json", "invalid_request"), name
        assert (row["outcome"], row["error"]) == ("refused", response.error["code"]), name
    assert upstream.requests == 0


WRONG = {
    "an array": ([], None),
    "a string": ("small", None),
    "null": (None, None),
    "no model": ({"messages": MESSAGES}, "model"),
    "no messages": ({"model": "small"}, "messages"),
    "empty model": ({"model": "", "messages": MESSAGES}, "model"),
    "model null": ({"model": None, "messages": MESSAGES}, "model"),
    "model a number": ({"model": 7, "messages": MESSAGES}, "model"),
    "model an object": ({"model": {"a": 1}, "messages": MESSAGES}, "model"),
    "stream a word": ({"model": "small", "messages": MESSAGES, "stream": "yes"}, "stream"),
    "stream a number": ({"model": "small", "messages": MESSAGES, "stream": 1}, "stream"),
    "stream options a list": ({"model": "small", "messages": MESSAGES, "stream_options": []}, "stream_options"),
    "n negative": ({"model": "small", "messages": MESSAGES, "n": -1}, "n"),
    "n huge": ({"model": "small", "messages": MESSAGES, "n": 10**30}, "n"),
    "n a fraction": ({"model": "small", "messages": MESSAGES, "n": 1.5}, "n"),
    "max_tokens zero": ({"model": "small", "messages": MESSAGES, "max_tokens": 0}, "max_tokens"),
    "max_tokens a word": ({"model": "small", "messages": MESSAGES, "max_tokens": "many"}, "max_tokens"),
    "user a number": ({"model": "small", "messages": MESSAGES, "user": 7}, "user"),
}


@pytest.mark.parametrize(("value", "param"), WRONG.values(), ids=WRONG.keys())
def test_wrong_types(gateway: Gateway, upstream: Upstream, value: Any, param: str | None) -> None:
    response = ask(gateway, post(json.dumps(value).encode()))
    response.is_refusal(400, "invalid_request")
    assert response.error["param"] == param
    assert upstream.requests == 0


ODD = {
    "max_tokens beyond any machine word": b'{"model": "small", "messages": [], "max_tokens": 1%b}' % (b"0" * 30),
    "a number beyond any float": b'{"model": "small", "messages": [], "seed": 1e9999}',
    "a member twice": b'{"model": "nobody", "model": "small", "messages": []}',
    "NUL in a string": b'{"model": "small", "messages": [{"role": "user", "content": "\\u0000"}], "user": "\\u0000"}',
    "lone surrogate": b'{"model": "small", "messages": [{"role": "user", "content": "\\ud800"}]}',
    "lone surrogate in the user": b'{"model": "small", "messages": [], "user": "\\udfff"}',
    "line separators": '{"model": "small", "messages": ["\u2028\u2029\u0085"], "user": "\u2028"}'.encode(),
    "a long user": b'{"model": "small", "messages": [], "user": "%b"}' % (b"u" * 50_000),
    "members without a name": b'{"": 1, "model": "small", "messages": []}',
    "stream options with members nobody knows": b'{"model": "small", "messages": [], "stream": true, '
    b'"stream_options": {"a": {"b": [1]}, "include_usage": null}}',
}


def test_what_is_odd_is_passed_on_or_refused(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying("x"))
    for name, (response, _) in ask_all(gateway, ODD).items():
        assert response.status == 200 or response.error["type"] == "invalid_request_error", name


@pytest.mark.parametrize("member", ["messages", "tools", "stream_options", "metadata"])
def test_nesting_is_passed_on_or_refused(gateway: Gateway, upstream: Upstream, member: str) -> None:
    """The interpreter's limit on nesting must show as a 400, wherever on the way it is reached."""
    upstream.plays(saying("x"))
    bodies = {}
    for depth in (10, 100, *range(900, 1040, 7), 5000):
        nested = b'{"a":' * depth + b'"image_url"' + b"}" * depth
        fields = {"messages": b"[]", member: b"[%b]" % nested if member == "messages" else nested}
        members = b", ".join(b'"%b": %b' % (name.encode(), value) for name, value in fields.items())
        bodies[f"{depth} levels"] = b'{"model": "small", "stream": true, %b}' % members
    statuses = [response.status for response, _ in ask_all(gateway, bodies).values()]
    assert set(statuses) == {200, 400}
    assert statuses == sorted(statuses), "what is nested less is not refused"


@pytest.mark.parametrize("path", [CHAT, "/v1/jobs"])
def test_a_compressed_body_is_called_one(gateway: Gateway, upstream: Upstream, path: str) -> None:
    bomb = gzip.compress(bytes(20_000_000))
    response = ask(gateway, post(bomb, "content-encoding: gzip", path=path))
    response.is_refusal(400, "malformed_json")
    assert "without content-encoding" in response.error["message"]
    assert upstream.requests == 0


def test_names_of_models_that_do_not_exist(gateway: Gateway) -> None:
    names = ["a\x00b", "x" * 256, "modèle 🤖", "../../etc", "\u2028", "' OR 1=1 --", "{}", "*"]
    bodies = {name: json.dumps({"model": name, "messages": MESSAGES}).encode() for name in names}
    for name, (response, row) in ask_all(gateway, bodies).items():
        response.is_refusal(404, "model_not_found")
        assert (row["outcome"], row["error"]) == ("refused", "model_not_found"), name
    gateway.is_quiet()


def test_a_name_that_is_too_long(gateway: Gateway) -> None:
    response = ask(gateway, post(json.dumps({"model": "x" * 100_000, "messages": MESSAGES}).encode()))
    response.is_refusal(400, "invalid_request")
    assert response.error["param"] == "model"
    assert len(response.body) < 500
