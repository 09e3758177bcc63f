"""Webhooks and Slack's URLs, to real servers on loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest
from openai import InvalidWebhookSignatureError, OpenAI

from headgate.alerts.channel import Channel
from headgate.alerts.hooks import SlackHook, Webhook
from headgate.alerts.messages import message_id, webhook_body
from headgate.outgoing import posting
from headgate.outgoing.undelivered import Undelivered
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.proxy import ProxySettings
from tests.alerts.samples import EVERYTHING, budget
from tests.providers.loopback import Peer, Server, answering, header, serving

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


def answer(status: str, body: str = "", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return ("\r\n".join(lines) + f"\r\n\r\n{body}").encode()


def webhook(url: str, secret: str = SECRET) -> Webhook:
    return Webhook("alerts[0]", EVERYTHING, url, secret, Connector(ConnectSettings()))


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(120):
            await scenario

    asyncio.run(bounded())


async def sent(channel: Channel) -> str:
    try:
        return await channel.send(budget(), time.time())
    finally:
        await channel.aclose()


async def refused(channel: Channel) -> Undelivered:
    with pytest.raises(Undelivered) as refusal:
        await sent(channel)
    return refusal.value


def received(server: Server) -> list[tuple[str, bytes]]:
    return [request for peer in server.peers for request in peer.requests]


def test_a_webhook_is_signed_as_the_specification_says() -> None:
    async def scenario() -> None:
        async with serving(answering(answer("200 OK", "thanks\n"))) as server:
            channel = webhook(f"http://127.0.0.1:{server.port}/hook/a%20b?team=ops&x=1")
            assert await channel.send(budget(), time.time()) == "200 thanks"
            assert await channel.send(budget(), time.time() + 1) == "200 thanks"
            await channel.aclose()
        (head, body), (again, _) = received(server)
        assert head.startswith(f"POST /hook/a%20b?team=ops&x=1 HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\n")
        assert header(head, "content-type") == "application/json" and body == webhook_body(budget())
        assert header(head, "webhook-id") == header(again, "webhook-id") == message_id(budget())
        signed = {name: str(header(head, name)) for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
        client = OpenAI(api_key="none")
        client.webhooks.verify_signature(body, signed, secret=SECRET)
        with pytest.raises(InvalidWebhookSignatureError):
            client.webhooks.verify_signature(body.replace(b"acme", b"evil"), signed, secret=SECRET)

    run(scenario())


def test_slack_gets_its_own_shape_and_no_signature() -> None:
    async def scenario() -> None:
        async with serving(answering(answer("200 OK", "ok"))) as server:
            url = f"http://127.0.0.1:{server.port}/services/T0/B0/secret"
            assert await sent(SlackHook("alerts[0]", EVERYTHING, url, Connector(ConnectSettings()))) == "200 ok"
        ((head, body),) = received(server)
        assert head.startswith("POST /services/T0/B0/secret HTTP/1.1") and header(head, "webhook-signature") is None
        assert msgspec.json.decode(body) == {"text": f"*{budget().title}*\n{budget().sentence}"}

    run(scenario())


def test_a_url_without_a_path_is_called() -> None:
    async def scenario() -> None:
        async with serving(answering(OK)) as server:
            assert await sent(webhook(f"http://127.0.0.1:{server.port}", "")) == "204"
        ((head, _),) = received(server)
        assert head.startswith("POST / HTTP/1.1") and header(head, "webhook-signature") is None

    run(scenario())


@pytest.mark.parametrize(
    ("answered", "said", "final", "retry_after"),
    [
        (answer("500 Oops", "a\nb"), "500 a b", False, 0),
        (answer("503 Busy", "", "retry-after: 17"), "503", False, 17),
        (answer("429 Slow", "", "retry-after: Wed, 21 Oct 2026 07:28:00 GMT"), "429", False, 0),
        (answer("302 Found", "", "location: http://elsewhere/"), "302", False, 0),
        (answer("404 Not Found", "x" * 5000), f"404 {'x' * 193}...", False, 0),
        (answer("410 Gone"), "410", True, 0),
        (b"220 smtp.example.com ESMTP\r\n", "sent what is not an HTTP/1.1 response", False, 0),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf", "closed the connection in the middle", False, 0),
    ],
)
def test_what_is_no_success(answered: bytes, said: str, final: bool, retry_after: float) -> None:
    async def handler(peer: Peer) -> None:
        await peer.request()
        await peer.send(answered)

    async def scenario() -> None:
        async with serving(handler) as server:
            refusal = await refused(webhook(f"http://127.0.0.1:{server.port}/"))
            assert said in refusal.answer
            assert (refusal.final, refusal.retry_after_seconds) == (final, retry_after)

    run(scenario())


def test_who_is_not_there_and_who_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "ATTEMPT_SECONDS", 0.2)

    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.gone()

    async def scenario() -> None:
        async with serving(silent) as server:
            assert (await refused(webhook(f"http://127.0.0.1:{server.port}/"))).answer == "no answer within 0.2 s"
            port = server.port
        monkeypatch.setattr(posting, "ATTEMPT_SECONDS", 60.0)
        assert f"No connection to 127.0.0.1:{port}" in (await refused(webhook(f"http://127.0.0.1:{port}/"))).answer

    run(scenario())


def test_the_proxy_of_the_environment_is_used() -> None:
    async def scenario() -> None:
        async with serving(answering(OK)) as proxy:
            settings = ConnectSettings(proxy=ProxySettings(http=f"http://127.0.0.1:{proxy.port}"))
            url = "http://hooks.example.com/x?y=1"
            assert await sent(Webhook("alerts[0]", EVERYTHING, url, SECRET, Connector(settings))) == "204"
        ((head, _),) = received(proxy)
        assert head.startswith("POST http://hooks.example.com/x?y=1 HTTP/1.1\r\nhost: hooks.example.com\r\n")

    run(scenario())
