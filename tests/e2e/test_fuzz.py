"""Bytes and bodies nobody thought of: every request gets an answer or a closed connection, and none of them a 500."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.gateway import Gateway
from tests.e2e.upstream import Exchange, Upstream, chat_answer
from tests.e2e.wire import CHAT, HELLO_BODY, STREAM_BODY, Response, Wire, ask, head, post
from tests.scale import scaled

ROUNDS = settings(
    max_examples=scaled(150, 60),
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
MEMBERS = (
    "messages", "prompt", "input", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "user",
    "tools", "functions", "response_format", "tool_choice", "metadata", "stop", "logit_bias",
)  # fmt: skip
BODIES = st.fixed_dictionaries(
    {"model": st.sampled_from(["small", "simulated", "embed"]) | JSON_VALUES, "messages": JSON_VALUES},
    optional=dict.fromkeys(MEMBERS[1:], JSON_VALUES),
)
PATHS = st.sampled_from([CHAT, "/v1/completions", "/v1/embeddings"])
PIECES = st.sampled_from(
    [
        *(b"POST ", b"GET ", b"HEAD ", b"OPTIONS ", CHAT.encode(), b"/v1/models", b"/healthz", b"?", b" HTTP/1.1\r\n"),
        *(
            b" HTTP/1.0\r\n",
            b"host: x\r\n",
            b"content-length: 5\r\n",
            b"content-length: 70\r\n",
            b"connection: close\r\n",
        ),
        *(b"transfer-encoding: chunked\r\n", b"expect: 100-continue\r\n", b"upgrade: h2c\r\nconnection: upgrade\r\n"),
        *(b"authorization: Bearer hg-acme-alice-0001\r\n", b"\r\n", b"\r", b"\n", b"\x00", b"\xff", b":", b" ", b"\t"),
        *(
            b"5\r\nhello\r\n",
            b"0\r\n\r\n",
            b"46\r\n",
            HELLO_BODY,
            STREAM_BODY,
            post(HELLO_BODY),
            head("GET", "/v1/models"),
        ),
    ]
)


async def anything(exchange: Exchange) -> None:
    """An answer to every route."""
    if exchange.body.get("stream") is True:
        await exchange.words(["x"])
    else:
        await exchange.json(chat_answer("x", data=[{"index": 0, "embedding": [0.5]}]))


def is_no_fault(response: Response) -> None:
    assert response.status < 500, response.body
    if response.status >= 400:
        assert json.loads(response.body)["error"]["type"] != "api_error"


@ROUNDS
@given(path=PATHS, body=BODIES)
def test_any_json(gateway: Gateway, upstream: Upstream, path: str, body: dict[str, Any]) -> None:
    upstream.script = anything
    is_no_fault(ask(gateway, post(json.dumps(body).encode(), path=path)))


@ROUNDS
@given(body=st.binary(max_size=200), place=st.integers(0, len(HELLO_BODY)))
def test_any_bytes_in_a_body(gateway: Gateway, upstream: Upstream, body: bytes, place: int) -> None:
    upstream.script = anything
    is_no_fault(ask(gateway, post(HELLO_BODY[:place] + body + HELLO_BODY[place:])))


@ROUNDS
@given(pieces=st.lists(PIECES | st.binary(max_size=10), max_size=25), cuts=st.integers(1, 3))
def test_any_bytes_on_a_connection(gateway: Gateway, upstream: Upstream, pieces: list[bytes], cuts: int) -> None:
    """Until the gateway closes; it must, for the client has nothing more to say."""
    upstream.script = anything
    data = b"".join(pieces)
    with Wire(gateway) as wire, contextlib.suppress(ConnectionError):
        for part in range(cuts):
            wire.send(data[len(data) * part // cuts : len(data) * (part + 1) // cuts])
        wire.finish()
        received = wire.rest()
        assert b"HTTP/1.1 5" not in received
        assert received == b"" or received.startswith(b"HTTP/1.1 ")


@settings(ROUNDS, max_examples=40)  # some of them wait until they are too slow
@given(seed=st.integers(0, 2**32))
def test_a_good_request_that_was_damaged(strict_gateway: Gateway, upstream: Upstream, seed: int) -> None:
    upstream.script = anything
    chance, data = random.Random(seed), bytearray(post(HELLO_BODY, "x-headgate-tags: a,b"))
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(data))
        match chance.randrange(3):
            case 0:
                data[place] = chance.randrange(256)
            case 1:
                del data[place]
            case _:
                data.insert(place, chance.choice(b"\r\n\x00 :\xff0"))
    with Wire(strict_gateway) as wire, contextlib.suppress(ConnectionError, http.client.HTTPException):
        wire.send(bytes(data))
        is_no_fault(wire.receive())


def test_nothing_is_left_of_all_that(gateway: Gateway, strict_gateway: Gateway) -> None:
    for one in (gateway, strict_gateway):
        one.is_quiet()
        one.has_no_clients()
        assert not one.complaints()
