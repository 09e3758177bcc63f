"""Which web pages may read answers: what browsers are told."""

from __future__ import annotations

from typing import cast

import pytest

from headgate.assembly.parts import ANONYMOUS
from headgate.errors import Forbidden
from headgate.gateway.accounts import Accounts
from headgate.gateway.http.cors import Cors, is_preflight, require_known_page
from headgate.gateway.http.exchange import Edge, EdgeLimits
from headgate.types import Caller
from tests.gateway.corridor import ALICE, Corridor, deployment, model, run
from tests.gateway.scripted import ScriptedProvider, answer
from tests.gateway.test_garbage import Everybody, Uncounted

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


@pytest.mark.parametrize(
    "origin", [b"http://localhost", b"http://localhost:5173", b"https://127.0.0.1:8443", b"http://[::1]:80"]
)
def test_pages_of_this_machine_need_no_key_where_nobody_does(origin: bytes) -> None:
    require_known_page({b"origin": origin}, None)


def test_who_is_no_page_and_pages_that_are_named_need_none_either() -> None:
    require_known_page({b"host": b"localhost"}, None)
    require_known_page({b"origin": PAGE}, Cors([PAGE.decode()]))
    require_known_page({b"origin": b"null"}, Cors(["*"]))


@pytest.mark.parametrize(
    "origin", [PAGE, b"null", b"http://localhost.evil.org", b"http://127.0.0.1@evil.org", b"file://"]
)
def test_a_page_of_anybody_may_not_spend_the_operators_money(origin: bytes) -> None:
    for cors in (None, Cors(["https://other.example.com"])):
        with pytest.raises(Forbidden, match=r"server\.cors_origins"):
            require_known_page({b"origin": origin}, cors)


def test_the_edge_asks_whose_page_it_is_where_nobody_has_a_key() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer()))))

        def edge(known: Caller) -> Edge:
            accounts = cast("Accounts", Everybody(known))
            return Edge(corridor.pipeline, accounts, corridor.clock, Uncounted(), EdgeLimits())

        with pytest.raises(Forbidden, match="cors_origins"):
            edge(ANONYMOUS).caller({b"origin": PAGE})
        assert edge(ANONYMOUS).caller({b"origin": b"http://localhost"}) is edge(ANONYMOUS).caller({}) is ANONYMOUS
        assert edge(ALICE).caller({b"origin": PAGE}) is ALICE  # no page has a key by chance

    run(scenario)
