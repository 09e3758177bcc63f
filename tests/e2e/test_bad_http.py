"""Requests that are not HTTP as it should be: a clear 4xx at once, never a 500, never a hang."""

from __future__ import annotations

import pytest

from tests.e2e.gateway import ADMIN_KEY, ALICE, Gateway
from tests.e2e.upstream import Exchange, Upstream, chat_chunk, saying
from tests.e2e.wire import CHAT, HELLO_BODY, STREAM_BODY, Wire, ask, head, post

SECRET = "x" * 40
NOT_HTTP = {
    "no HTTP at all": b"hello\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown version": head(version="7.7"),
    "a lower-case method": head("post"),
    "an invented method": head("EXTERMINATE"),
    "a space before the colon": head("POST", CHAT, "content-length : 5") + b"hello",
    "a folded header": b"POST " + CHAT.encode() + b" HTTP/1.1\r\nhost: a\r\n b\r\nx\r\n\r\n",
    "a header without a name": head("POST", CHAT, ": nothing"),
    "NUL in a header": head("POST", CHAT, "x-headgate-user: a\x00b"),
    "a bare CR in a header": head("POST", CHAT, "x-headgate-user: a\rb"),
    "NUL in the URL": head("POST", "/v1/\x00"),
    "a space in the URL": head("GET", "/v1/models extra"),
    "both lengths": head("POST", CHAT, "content-length: 5", "transfer-encoding: chunked") + b"0\r\n\r\n",
    "both lengths, the other way round": head("POST", CHAT, "transfer-encoding: chunked", "content-length: 5")
    + b"0\r\n\r\n",
    "two different lengths": head("POST", CHAT, "content-length: 5", "content-length: 6") + b"hello!",
    "the same length twice": head("POST", CHAT, "content-length: 5", "content-length: 5") + b"hello",
    "a list of lengths": head("POST", CHAT, "content-length: 5, 5") + b"hello",
    "a negative length": head("POST", CHAT, "content-length: -1"),
    "a length with a plus": head("POST", CHAT, "content-length: +5") + b"hello",
    "a hexadecimal length": head("POST", CHAT, "content-length: 0x5") + b"hello",
    "an endless length": head("POST", CHAT, "content-length: " + "9" * 40),
    "chunked that is not last": head("POST", CHAT, "transfer-encoding: chunked, identity") + b"0\r\n\r\n",
    "a transfer coding nobody knows": head("POST", CHAT, "transfer-encoding: xchunked") + b"0\r\n\r\n",
    "chunked in quotation marks": head("POST", CHAT, 'transfer-encoding: "chunked"') + b"0\r\n\r\n",
    "a chunk size that is none": head("POST", CHAT, "transfer-encoding: chunked") + b"hello\r\n",
    "a negative chunk size": head("POST", CHAT, "transfer-encoding: chunked") + b"-5\r\n",
    "an endless chunk size": head("POST", CHAT, "transfer-encoding: chunked") + b"f" * 40 + b"\r\n",
    "a chunk longer than it says": head("POST", CHAT, "transfer-encoding: chunked") + b"2\r\nhello\r\n0\r\n\r\n",
    "CONNECT": b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n",
}


@pytest.mark.parametrize("data", NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_what_is_not_http(strict_gateway: Gateway, upstream: Upstream, data: bytes) -> None:
    with Wire(strict_gateway) as wire:
        wire.send(data)
        response = wire.receive()
        assert response.status in (400, 405), response.body
        assert response.error["type"] == "invalid_request_error"
        if response.status == 400:
            assert response.headers["connection"] == "close"
            assert wire.ended()
    assert upstream.requests == 0
    strict_gateway.is_quiet()


@pytest.mark.parametrize(("path", "key"), [(CHAT, ALICE), ("/admin/keys", ADMIN_KEY)])
@pytest.mark.parametrize(
    "rest", [b"5\r\nhello\r\nnonsense\r\n", b"zzz\r\n", b"5\r\nhel"], ids=["between", "at once", "inside a chunk"]
)
def test_a_body_that_goes_wrong(strict_gateway: Gateway, path: str, key: str, rest: bytes) -> None:
    """On hot and on cold routes."""
    with Wire(strict_gateway) as wire:
        wire.send(head("POST", path, "transfer-encoding: chunked", key=key), rest)
        wire.finish()
        response = wire.receive()
        response.is_refusal(400, "malformed_http")
        assert wire.ended()


@pytest.mark.parametrize("part", [b"", b"POST", b"POST /v1/chat/completions HT", head()[:-2], post(HELLO_BODY)[:-1]])
def test_a_request_that_ends_too_early(strict_gateway: Gateway, upstream: Upstream, part: bytes) -> None:
    with Wire(strict_gateway) as wire:
        wire.send(part)
        wire.finish()
        if part:
            wire.receive().is_refusal(400, "malformed_http")
        assert wire.ended()
    assert upstream.requests == 0


def test_headers_that_are_too_large(strict_gateway: Gateway) -> None:
    flood = [f"x-{number}: {'y' * 50}" for number in range(1000)]
    ask(strict_gateway, post(HELLO_BODY, *flood)).is_refusal(431, "headers_too_large")
    ask(strict_gateway, post(HELLO_BODY, "x-one: " + "y" * 10_000)).is_refusal(431, "headers_too_large")
    ask(strict_gateway, head("GET", "/v1/models?" + "x" * 10_000), method="GET").is_refusal(431, "headers_too_large")
    ask(strict_gateway, b"GET /" + b"x" * 50_000, method="GET").is_refusal(431, "headers_too_large")
    ask(strict_gateway, head()[:-2] + b"x" * 2_000_000).is_refusal(431, "headers_too_large")
    ask(strict_gateway, head()[:-2] + b"x: " + b"y" * 2_000_000).is_refusal(431, "headers_too_large")
    trailers = b"".join(b"x-%d: %b\r\n" % (number, b"y" * 100) for number in range(200))
    body = b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(HELLO_BODY), HELLO_BODY, trailers)
    ask(strict_gateway, head("POST", CHAT, "transfer-encoding: chunked"), body).is_refusal(431, "headers_too_large")
    extension = b"1;" + b"x" * 2_000_000
    ask(strict_gateway, head("POST", CHAT, "transfer-encoding: chunked"), extension).is_refusal(
        431, "headers_too_large"
    )


def test_many_small_headers(strict_gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying("x"))
    assert ask(strict_gateway, post(HELLO_BODY, *[f"x-{number}: y" for number in range(200)])).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", CHAT, 405, "method_not_allowed"),
        ("PUT", CHAT, 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("OPTIONS", CHAT, 405, "method_not_allowed"),
        ("OPTIONS", "*", 404, "unknown_url"),
        ("TRACE", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/", 404, "unknown_url"),
        ("POST", "/v1/chat/completion", 404, "unknown_url"),
        ("POST", "/v1/chat/completions/", 404, "unknown_url"),
        ("POST", "//v1/chat/completions", 404, "unknown_url"),
        ("POST", "/v1/../v1/chat/completions", 404, "unknown_url"),
        ("POST", "/v1/audio/speech", 404, "unknown_url"),
        ("POST", "/v1/images/generations", 404, "unknown_url"),
        ("GET", "/v1/realtime?model=x", 404, "unknown_url"),
        ("GET", "/v1/models/%00%ff", 400, "invalid_request"),
        ("GET", "/v1/models/a%0d%0ax-evil:%20yes", 404, "unknown_url"),
        ("GET", "/%E2%80%A8/%ZZ", 404, "unknown_url"),
    ],
)
def test_urls_and_methods(strict_gateway: Gateway, method: str, path: str, status: int, code: str) -> None:
    response = ask(strict_gateway, head(method, path, "content-length: 0"), method=method)
    response.is_refusal(status, code)
    assert "x-evil" not in response.headers
    assert status != 405 or response.headers["allow"]


def test_head_requests(strict_gateway: Gateway) -> None:
    with Wire(strict_gateway) as wire:
        for path, status in (("/healthz", 200), ("/v1/models", 200), (CHAT, 405), ("/nowhere", 404)):
            wire.send(head("HEAD", path))
            response = wire.receive("HEAD")
            assert (response.status, response.body) == (status, b"")
            assert response.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    "path", ["http://gateway/v1/chat/completions", "HTTP://gateway:80/v1/chat/completions?a=b", f"{CHAT}?api-version=1"]
)
def test_the_absolute_form_of_an_url(strict_gateway: Gateway, upstream: Upstream, path: str) -> None:
    """RFC 9112, 3.2.2: a server must accept it."""
    upstream.plays(saying("x"))
    assert ask(strict_gateway, post(HELLO_BODY, path=path)).status == 200


def test_pipelined_requests_are_answered_in_order(strict_gateway: Gateway, upstream: Upstream) -> None:
    async def script(exchange: Exchange) -> None:
        content = exchange.body["messages"][0]["content"]
        await exchange.words([content])

    upstream.plays(script)
    bodies = [STREAM_BODY.replace(b"Hello", b"number %d" % number) for number in range(8)]
    with Wire(strict_gateway) as wire:
        wire.send(*(post(body) + head("GET", "/healthz") + b"\r\n" for body in bodies))
        for number in range(8):
            assert b'"number %d"' % number in wire.receive().body
            assert wire.receive("GET").body.startswith(b'{"status"')


def test_the_answer_before_a_bad_request_is_sent(strict_gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying("first"))
    with Wire(strict_gateway) as wire:
        wire.send(post(HELLO_BODY), b"this is no request\r\n\r\n")
        assert b"first" in wire.receive().body
        wire.receive().is_refusal(400, "malformed_http")
        assert wire.ended()


def test_a_smuggled_request_is_not_served(strict_gateway: Gateway, upstream: Upstream) -> None:
    """What one reads as the body and another as the next request, nobody gets."""
    upstream.plays(saying("x"))
    hidden = post(HELLO_BODY)
    for lines in (
        ("content-length: 4", "transfer-encoding: chunked"),
        ("transfer-encoding: chunked", "transfer-encoding: identity"),
        ("transfer-encoding: identity", "content-length: 4"),
        ("transfer-encoding:\x0bchunked", "content-length: 4"),
        ("transfer-encoding : chunked", "content-length: 4"),
    ):
        with Wire(strict_gateway) as wire:
            wire.send(head("POST", CHAT, *lines), b"0\r\n\r\n", hidden)
            response = wire.receive()
            assert 400 <= response.status < 500, lines
    assert upstream.requests == 0


def test_expect_100_continue(strict_gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying("x"))
    with Wire(strict_gateway) as wire:
        wire.send(head("POST", CHAT, f"content-length: {len(HELLO_BODY)}", "expect: 100-continue"))
        assert (wire.line(), wire.line()) == (b"HTTP/1.1 100 Continue\r\n", b"\r\n")
        wire.send(HELLO_BODY)
        assert wire.receive().status == 200
        wire.send(head("POST", CHAT, "content-length: 1000000", "expect: 100-continue"))
        wire.receive().is_refusal(413, "body_too_large")


@pytest.mark.parametrize("parts", [1, 3])
def test_an_upgrade_nobody_offered_is_ignored(strict_gateway: Gateway, upstream: Upstream, parts: int) -> None:
    upstream.plays(saying("x"))
    lines = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQCAAAAAAIAAAAA")
    data = post(HELLO_BODY, *lines)
    with Wire(strict_gateway) as wire:
        for part in range(parts):
            wire.send(data[len(data) * part // parts : len(data) * (part + 1) // parts])
        assert wire.receive().status == 200


def test_http_1_0(strict_gateway: Gateway, upstream: Upstream) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.words(["one", "two"])

    upstream.plays(script)
    with Wire(strict_gateway) as wire:
        wire.send(post(STREAM_BODY, version="1.0"))
        response = wire.receive()
        assert "transfer-encoding" not in response.headers and response.headers["connection"] == "close"
        assert chat_chunk({"content": "two"}) in response.body and response.body.endswith(b"data: [DONE]\n\n")
        assert wire.ended()
    upstream.plays(saying("whole"))
    assert b"whole" in ask(strict_gateway, post(HELLO_BODY, version="1.0")).body
    assert ask(strict_gateway, b"GET /healthz HTTP/1.0\r\n\r\n", method="GET").status == 200


@pytest.mark.parametrize("value", ["a\x01b", "\xff\xfe", "x" * 300, "a" * 200 + "\xe9"])
@pytest.mark.parametrize("name", ["x-headgate-session", "x-headgate-user", "x-headgate-tags", "traceparent"])
def test_odd_values_of_headers(strict_gateway: Gateway, upstream: Upstream, name: str, value: str) -> None:
    upstream.plays(saying("x"))
    response = ask(strict_gateway, post(HELLO_BODY, f"{name}: {value}"))
    assert response.status in (200, 400, 403)
    assert response.status == 200 or response.error["type"] in ("invalid_request_error", "permission_error")


def test_keys_that_are_none(strict_gateway: Gateway, upstream: Upstream) -> None:
    for key in ("", " ", "hg-", "\xff\xfe", SECRET, "a b c"):
        response = ask(strict_gateway, post(HELLO_BODY, key=key))
        response.is_refusal(401, "invalid_api_key")
        assert response.headers["www-authenticate"] == "Bearer"
        assert SECRET not in response.body.decode()
    assert SECRET not in strict_gateway.log()
    assert upstream.requests == 0
