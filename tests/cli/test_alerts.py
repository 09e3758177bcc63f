"""`headgate alerts test`, against servers on loopback that run in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import msgspec

from tests.alerts.smtp import MailServer, mail_server
from tests.cli.terminal import CONFIG, Terminal
from tests.providers.loopback import Server, answering, serving
from tests.servers import free_port

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@contextmanager
def told() -> Iterator[tuple[Server, MailServer]]:
    """A server for webhooks and one for mail."""
    ready, stop = threading.Event(), threading.Event()
    servers: list[tuple[Server, MailServer]] = []

    async def run() -> None:
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(serving(answering(OK)))
            servers.append((http, await stack.enter_async_context(mail_server(MailServer()))))
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        assert ready.wait(120)
        yield servers[0]
    finally:
        stop.set()
        thread.join(120)


def entries(*alerts: str) -> str:
    return CONFIG + "alerts:\n" + "".join(f"  - {{on: [budget], {alert}}}\n" for alert in alerts)


def test_every_channel_is_tried(terminal: Terminal) -> None:
    with told() as (http, smtp):
        url = f"http://127.0.0.1:{http.port}/x"
        mail = f"email: {{to: ops@example.com, from: h@example.com, host: 127.0.0.1, port: {smtp.port}, starttls: no}}"
        config = entries(f"webhook: '{url}', secret: whsec_test", f"slack: '{url}'", mail)
        (terminal.folder / "headgate.yaml").write_text(config)
        assert terminal.good("alerts", "test").split("\n") == [
            "alerts[0] webhook 127.0.0.1: 200 ok",
            "alerts[1] slack 127.0.0.1: 200 ok",
            "alerts[2] email ops@example.com: accepted",
            "",
        ]
        bodies = [msgspec.json.decode(body) for peer in http.peers for _, body in peer.requests]
        assert {"alert.test", "*headgate can reach you*"} <= {
            body.get("type") or body["text"].split("\n")[0] for body in bodies
        }
        assert b"Subject: [headgate] headgate can reach you" in smtp.mails[0].data


def test_a_channel_that_cannot_be_reached_is_said_and_fails_the_command(terminal: Terminal) -> None:
    with told() as (http, _):
        nowhere = free_port()
        config = entries(f"slack: 'http://127.0.0.1:{nowhere}/x'", f"slack: 'http://127.0.0.1:{http.port}/x'")
        (terminal.folder / "headgate.yaml").write_text(config)
        ran = terminal.run("alerts", "test")
        assert ran.code == 1
        first, second, _ = ran.output.split("\n")
        assert first.startswith(f"alerts[0] slack 127.0.0.1: NOT DELIVERED: No connection to 127.0.0.1:{nowhere}")
        assert second == "alerts[1] slack 127.0.0.1: 200 ok"
        tried = msgspec.json.decode(terminal.run("alerts", "test", "--json").output)
        assert [(one["channel"], one["delivered"]) for one in tried] == [
            ("alerts[0] slack 127.0.0.1", False),
            ("alerts[1] slack 127.0.0.1", True),
        ]


def test_a_configuration_without_alerts_is_said(terminal: Terminal) -> None:
    assert "has no alerts: add an entry" in terminal.bad("alerts", "test")
