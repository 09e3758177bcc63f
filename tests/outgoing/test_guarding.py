"""Calls to URLs that callers gave go to where they could go themselves, and nowhere else."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import trustme

from headgate.outgoing.guarding import GuardedConnector, mistake
from headgate.outgoing.posting import Poster
from headgate.outgoing.undelivered import Undelivered
from headgate.policy.addresses import networks
from tests.providers.loopback import answering, serving

HERE = networks(["127.0.0.0/8"])
OK = b"HTTP/1.1 204 No Content\r\n\r\n"
FOUND = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(120):
            await scenario

    asyncio.run(bounded())


class Names:
    """A name server whose answers change with every question, as a rebinding attacker's do."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0

    async def getaddrinfo(self, host: str, port: int, **_: object) -> list[Any]:
        found = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    def rule(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self.getaddrinfo)


async def refused(poster: Poster, url: str) -> str:
    with pytest.raises(Undelivered) as refusal:
        await poster.post(url, b"{}")
    return refusal.value.answer


def test_nothing_inside_is_called() -> None:
    async def scenario() -> None:
        async with serving(answering(OK)) as server:
            poster = Poster(GuardedConnector(lambda: ()))
            for host in ("127.0.0.1", "127.1", "2130706433", "0x7f.1", "localhost", "[::ffff:127.0.0.1]", "0"):
                assert "which is in this machine" in await refused(poster, f"http://{host}:{server.port}/")
            assert "neither a name nor an address" in await refused(poster, f"http://1.2.3.4.5:{server.port}/")
            assert server.peers == []
            assert await Poster(GuardedConnector(lambda: HERE)).post(f"http://127.1:{server.port}/", b"{}") == "204"

    run(scenario())


def test_a_name_is_looked_up_once_and_its_answer_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with serving(answering(OK)) as server:
            names = Names(["127.0.0.1"], ["10.0.0.1"])
            names.rule(monkeypatch)
            poster = Poster(GuardedConnector(lambda: HERE))
            assert await poster.post(f"http://hooks.example.com:{server.port}/", b"{}") == "204"
            assert names.asked == 1

    run(scenario())


def test_one_bad_address_among_good_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        Names(["93.184.215.14", "10.0.0.1"]).rule(monkeypatch)
        poster = Poster(GuardedConnector(lambda: ()))
        assert "10.0.0.1, which is in a private network" in await refused(poster, "https://hooks.example.com/")

    run(scenario())


def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with serving(answering(OK)) as server:
            Names(["127.0.0.99", "127.0.0.1"]).rule(monkeypatch)  # nobody listens on the first
            poster = Poster(GuardedConnector(lambda: HERE))
            assert await poster.post(f"http://hooks.example.com:{server.port}/", b"{}") == "204"

    run(scenario())


def test_redirects_are_not_followed() -> None:
    async def scenario() -> None:
        async with serving(answering(FOUND)) as server:
            poster = Poster(GuardedConnector(lambda: HERE))
            assert await refused(poster, f"http://127.0.0.1:{server.port}/") == "302"

    run(scenario())


def test_the_certificate_is_the_names_though_the_address_is_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("hooks.example.com").configure_cert(tls)

    async def scenario() -> None:
        async with serving(answering(OK), tls) as server:
            Names(["127.0.0.1"]).rule(monkeypatch)
            poster = Poster(GuardedConnector(lambda: HERE, str(tmp_path / "ca.pem")))
            assert await poster.post(f"https://hooks.example.com:{server.port}/", b"{}") == "204"
            assert "not trusted" in await refused(poster, f"https://other.example.com:{server.port}/")

    run(scenario())


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://hooks.example.com/", "Write a URL as"),
        ("hooks.example.com", "Write a URL as"),
        ("http://", "Write a URL as"),
        ("https://user:secret@hooks.example.com/", "user name"),
        ("https://hooks.example.com/ü", "percent-encoded"),
        ("https://hooks.example.com/a b", "percent-encoded"),
        ("https://hooks.example.com/" + "x" * 2000, "at most 2000"),
        ("http://169.254.169.254/latest/meta-data", "metadata"),
        ("http://[::1]/", "this machine"),
        ("http://1.2.3.4.5/", "neither a name nor an address"),
        ("http://localhost:8080/", "allow_networks"),
    ],
)
def test_mistakes_are_told_when_a_job_is_submitted(url: str, words: str) -> None:
    async def scenario() -> None:
        assert words in await mistake(url, ())

    run(scenario())


def test_a_name_that_is_not_known_yet_may_be_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async def unknown(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
        assert await mistake("https://hooks.example.com/x?y=1", ()) == ""

    run(scenario())
