"""Which web pages may read answers: what browsers are told."""

from __future__ import annotations

import pytest

from headgate.errors import Forbidden
from headgate.gateway.http.cors import Cors, is_preflight

PAGE = b"https://chat.example.com"


def test_a_page_that_is_named_may_read() -> None:
    lines = dict(Cors([PAGE.decode(), "http://localhost:5173"]).lines({b"origin": PAGE}))
    assert lines == {
        b"access-control-allow-origin": PAGE,
        b"access-control-expose-headers": b"*",
        b"vary": b"origin",
    }


def test_all_pages_may_read_when_all_may() -> None:
    everybody = Cors(["*"])
    assert everybody.rendered({b"origin": b"null"}) == (
        b"access-control-allow-origin: *\r\naccess-control-expose-headers: *\r\n"
    )
    assert b"access-control-allow-credentials" not in everybody.rendered({b"origin": PAGE})


@pytest.mark.parametrize(
    "origin", [b"https://evil.example.com", b"http://chat.example.com", PAGE + b":444", PAGE + b".evil.com", b"null"]
)
def test_other_pages_are_told_nothing(origin: bytes) -> None:
    cors = Cors([PAGE.decode()])
    assert cors.lines({b"origin": origin}) == []
    with pytest.raises(Forbidden, match="cors_origins"):
        cors.preflight({b"origin": origin})


def test_who_is_no_page_is_told_nothing() -> None:
    assert Cors(["*"]).lines({b"authorization": b"Bearer x"}) == []


def test_a_browser_may_send_what_it_asks_for() -> None:
    told = Cors(["*"]).preflight({b"origin": PAGE, b"access-control-request-headers": b"authorization,x-stainless-os"})
    assert told["access-control-allow-headers"] == "authorization,x-stainless-os"
    assert told["access-control-allow-methods"] == "GET, POST, PUT, DELETE"


def test_only_a_browser_asks_before() -> None:
    asking = {b"origin": PAGE, b"access-control-request-method": b"POST"}
    assert is_preflight("OPTIONS", asking) and not is_preflight("POST", asking)
    assert not is_preflight("OPTIONS", {b"origin": PAGE})
