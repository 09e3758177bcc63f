"""One connection to Redis: its addresses, its package, its end."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
import trustme

from headgate.errors import MissingExtra
from headgate.stores.redis import line
from tests.contract.counting import ask
from tests.servers import free_port, redis
from tests.stores.remote import BUDGET, known, on

pytestmark = pytest.mark.server


def test_every_kind_of_address() -> None:
    authority = trustme.CA()
    with tempfile.TemporaryDirectory() as folder:
        certificate, key, issuer = (str(Path(folder, name)) for name in ("cert.pem", "key.pem", "ca.pem"))
        issued = authority.issue_cert("127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        authority.cert_pem.write_to_path(issuer)
        tls_port = free_port()
        options = ("--tls-port", str(tls_port), "--tls-cert-file", certificate, "--tls-key-file", key)
        with redis(
            "--requirepass", "geheim", *options, "--tls-ca-cert-file", issuer, "--tls-auth-clients", "no"
        ) as server:
            if server is None:
                pytest.skip("needs the Debian package redis-server")

            async def scenario() -> None:
                for url in (
                    f"redis://:geheim@127.0.0.1:{server.port}/3",
                    f"redis://default:geheim@127.0.0.1:{server.port}/4",
                    f"rediss://:geheim@127.0.0.1:{tls_port}/5?ssl_ca_certs={issuer}",
                    f"unix://:geheim@{server.socket}?db=6",
                ):
                    async with on(url) as counters:
                        await known(counters)
                        assert (await counters.admit("a", "acme", [BUDGET], ask())).refusal is None
                for database in ("3", "4", "5", "6"):
                    assert server.ask("--no-auth-warning", "-a", "geheim", "-n", database, "DBSIZE") != "0"

            asyncio.run(scenario())


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "hiredis", None)
    with pytest.raises(MissingExtra, match=r"headgate\[redis\]"):
        line.Line("redis://127.0.0.1/0", {}, lambda trouble: None, 0.25)


def test_a_password_is_never_shown() -> None:
    assert line.place("redis://user:pa%40ss@store.example:6379/2?x=y") == "store.example:6379/2"


def test_a_line_can_be_closed_though_the_client_makes_an_error_of_the_cancellation() -> None:
    async def scenario() -> None:
        stubborn = line.Line("redis://127.0.0.1:9/0", {}, lambda trouble: None, 0.25)
        asked, make = asyncio.Event(), stubborn._pool.make_connection

        async def connect() -> None:
            asked.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise ConnectionError("closed while it was connecting") from None

        def made() -> object:
            connection = make()
            connection.connect = connect
            return connection

        stubborn._pool.make_connection = made
        stubborn.open()
        await asked.wait()
        async with asyncio.timeout(60):
            await stubborn.aclose()

    asyncio.run(scenario())
