"""Web pages of other origins: a browser's questions, and answers of every kind that a page may then read."""

from __future__ import annotations

import pytest

from tests.e2e.gateway import ADMIN_KEY, ALICE, Gateway
from tests.e2e.upstream import Upstream, saying
from tests.e2e.wire import CHAT, HELLO_BODY, STREAM_BODY, Response, ask, head, post

PAGE = "https://chat.example.com"
FROM = f"origin: {PAGE}"
ASKING = (FROM, "access-control-request-method: POST", "access-control-request-headers: authorization,content-type")


def may_be_read(response: Response) -> bool:
    told = response.headers.get("access-control-allow-origin") == PAGE
    assert told == (response.headers.get("access-control-expose-headers") == "*")
    return told


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/models", "/v1/files", "/v1/jobs/1", "/v1/nowhere"])
def test_a_browser_may_send_a_page_s_request(strict_gateway: Gateway, path: str) -> None:
    response = ask(strict_gateway, head("OPTIONS", path, *ASKING), method="OPTIONS")
    assert response.status == 204 and may_be_read(response)
    assert response.headers["access-control-allow-headers"] == "authorization,content-type"
    assert "POST" in response.headers["access-control-allow-methods"]


def test_a_page_of_another_origin_is_refused(strict_gateway: Gateway) -> None:
    response = ask(strict_gateway, head("OPTIONS", CHAT, "origin: https://evil.org", ASKING[1]), method="OPTIONS")
    response.is_refusal(403, "forbidden")
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("path", ["/admin/keys", "/metrics", "/healthz"])
def test_the_admin_api_is_for_no_page(strict_gateway: Gateway, path: str) -> None:
    for method in ("OPTIONS", "GET"):
        response = ask(strict_gateway, head(method, path, *ASKING, key=ADMIN_KEY), method=method)
        assert response.status != 204 and "access-control-allow-origin" not in response.headers


def test_a_page_may_read_answers_and_streams(strict_gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying("x"))
    for body in (HELLO_BODY, STREAM_BODY):
        response = ask(strict_gateway, post(body, FROM))
        assert response.status == 200 and may_be_read(response)
        assert response.headers["vary"] == "origin"
        assert not may_be_read(ask(strict_gateway, post(body, "origin: https://evil.org")))
        assert not may_be_read(ask(strict_gateway, post(body)))
    assert may_be_read(ask(strict_gateway, head("GET", "/v1/models", FROM), method="GET"))


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (post(b"{", FROM), 400),
        (post(HELLO_BODY, FROM, key="hg-nobody"), 401),
        (post(HELLO_BODY.replace(b"small", b"tiny"), FROM), 404),
        (head("POST", CHAT, FROM, "content-length: 999999999"), 413),
        (head("POST", CHAT, FROM, "transfer-encoding: chunked") + b"20000\r\n" + b"x" * 0x20000, 413),
        (head("POST", CHAT, FROM, "transfer-encoding: chunked", key="hg-nobody") + b"5\r\nhello\r\n", 401),
        (head("POST", CHAT, FROM, "transfer-encoding: chunked") + b"5\r\nhello\r\nx\r\n", 400),
        (head("GET", "/v1/nowhere", FROM, key=ALICE), 404),
        (head("GET", "/v1/models", FROM, key="hg-nobody"), 401),
    ],
)
def test_a_page_may_read_what_went_wrong(strict_gateway: Gateway, data: bytes, status: int) -> None:
    response = ask(strict_gateway, data)
    assert response.status == status and may_be_read(response)


def test_nothing_is_said_when_nothing_is_configured(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plays(saying("x"))
    assert "access-control-allow-origin" not in ask(gateway, post(HELLO_BODY, FROM)).headers
    response = ask(gateway, head("OPTIONS", CHAT, *ASKING), method="OPTIONS")
    response.is_refusal(405, "method_not_allowed")
