"""Mail, handed in to a real server on loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
import trustme

from headgate.alerts.postbox import Mailbox
from headgate.outgoing import mailing
from headgate.outgoing.mailing import MailServer as Settings
from headgate.outgoing.undelivered import Undelivered
from tests.alerts.samples import AT, EVERYTHING, budget
from tests.alerts.smtp import MailServer, mail_server

TO = ["ops@example.com", "money@example.com"]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's certificate that this process trusts."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return server_context(authority)


def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(120):
            await scenario

    asyncio.run(bounded())


async def sent(server: MailServer, **settings: Any) -> str:
    to = Settings("127.0.0.1", server.port, **settings)
    return await Mailbox("alerts[0]", EVERYTHING, "Headgate <h@example.com>", TO, to).send(budget(), AT)


async def refused(server: MailServer, **settings: Any) -> Undelivered:
    with pytest.raises(Undelivered) as refusal:
        await sent(server, **settings)
    return refusal.value


def test_mail_goes_under_tls_after_logging_in(tls: ssl.SSLContext) -> None:
    async def scenario() -> None:
        async with mail_server(MailServer(tls, login=("me", "s3cret"))) as server:
            assert await sent(server, username="me", password="s3cret") == "accepted"
        (mail,) = server.mails
        assert (mail.sender, mail.recipients, mail.under_tls, mail.logged_in_as) == ("h@example.com", TO, True, "me")
        read = message_from_bytes(mail.data, policy=policy.default)
        assert read["Subject"] == "[headgate] Budget tenant month of acme has reached 80 %"
        assert budget().sentence in read.get_content().replace("\n", " ")

    run(scenario())


def test_tls_from_the_first_byte(tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with mail_server(MailServer(tls, implicit=True, login=("me", "s3cret"))) as server:
            monkeypatch.setattr(mailing, "TLS_PORT", server.port)
            assert await sent(server, username="me", password="s3cret", starttls=False) == "accepted"
        assert server.mails[0].under_tls

    run(scenario())


def test_without_tls_only_where_that_is_said(tls: ssl.SSLContext) -> None:
    async def scenario() -> None:
        async with mail_server(MailServer()) as server:
            assert "STARTTLS" in (await refused(server)).answer
            assert server.mails == []
            assert await sent(server, starttls=False) == "accepted"
            assert not server.mails[0].under_tls

    run(scenario())


def test_a_server_that_cannot_prove_who_it_is_gets_no_password() -> None:
    async def scenario() -> None:
        stranger = MailServer(server_context(trustme.CA()), login=("me", "s3cret"))
        async with mail_server(stranger) as server:
            answer = (await refused(server, username="me", password="s3cret")).answer
            assert "certificate" in answer.lower() and "s3cret" not in answer
            assert server.mails == []

    run(scenario())


@pytest.mark.parametrize(
    ("refuse", "said", "final"),
    [
        (dict.fromkeys(TO, "550 no such user"), "550 no such user", True),
        ({TO[0]: "550 no such user", TO[1]: "451 come again"}, "money@example.com: 451 come again", False),
    ],
)
def test_nobody_is_accepted(refuse: dict[str, str], said: str, final: bool) -> None:
    async def scenario() -> None:
        async with mail_server(MailServer(refuse=refuse)) as server:
            refusal = await refused(server, starttls=False)
            assert said in refusal.answer and refusal.final is final

    run(scenario())


def test_some_are_accepted() -> None:
    async def scenario() -> None:
        async with mail_server(MailServer(refuse={TO[1]: "550 no such user"})) as server:
            assert await sent(server, starttls=False) == (
                "accepted, but not for all: money@example.com: 550 no such user"
            )
            assert server.mails[0].recipients == [TO[0]]

    run(scenario())


def test_a_wrong_password_is_not_tried_again() -> None:
    async def scenario() -> None:
        async with mail_server(MailServer(login=("me", "right"))) as server:
            refusal = await refused(server, username="me", password="wrong", starttls=False)
            assert (refusal.answer, refusal.final) == ("535 wrong user name or password", True)

    run(scenario())


def test_who_is_not_there_and_who_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailing, "ATTEMPT_SECONDS", 0.2)

    async def scenario() -> None:
        async with mail_server(MailServer(silent=True)) as server:
            refusal = await refused(server, starttls=False)
            assert "timed out" in refusal.answer and not refusal.final
        monkeypatch.setattr(mailing, "ATTEMPT_SECONDS", 60.0)
        assert "refused" in (await refused(server)).answer.lower()

    run(scenario())
