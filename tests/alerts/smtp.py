"""A small mail server on loopback: STARTTLS, login, and refusals, as a test wants them (RFC 5321, 3207, 4954)."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Mail:
    """What a client handed in."""

    sender: str
    recipients: list[str]
    data: bytes
    under_tls: bool
    logged_in_as: str


@dataclass
class MailServer:
    """`refuse` are recipients that get the answer given; `silent` accepts connections and says nothing."""

    tls: ssl.SSLContext | None = None  # offered as STARTTLS, or from the first byte if `implicit`
    implicit: bool = False
    login: tuple[str, str] | None = None
    refuse: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    port: int = 0
    mails: list[Mail] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    sessions: set[asyncio.Task[None]] = field(default_factory=set)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(_Session(self, reader, writer)))
        self.sessions.add(task)
        task.add_done_callback(self.sessions.discard)

    async def _serve(self, session: _Session) -> None:
        try:
            await session.run()
        except (OSError, asyncio.IncompleteReadError):
            pass
        except Exception as error:
            self.failures.append(error)
        finally:
            session.writer.close()


class _Session:
    def __init__(self, server: MailServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server, self.reader, self.writer = server, reader, writer
        self.under_tls = server.implicit
        self.user = ""
        self.sender = ""
        self.recipients: list[str] = []

    async def run(self) -> None:
        if self.server.silent:
            await self.reader.read()
            return
        await self.say("220 loopback")
        while line := (await self.reader.readline()).decode().strip():
            word, _, rest = line.partition(" ")
            if word.upper() == "QUIT":
                await self.say("221 bye")
                return
            await getattr(self, f"on_{word.lower()}", self.on_other)(rest)

    async def say(self, *lines: str) -> None:
        for index, line in enumerate(lines):
            code, text = line[:3], line[4:]
            self.writer.write(f"{code}{'-' if index < len(lines) - 1 else ' '}{text}\r\n".encode())
        await self.writer.drain()

    async def on_ehlo(self, _: str) -> None:
        offers = ["250 loopback"]
        if self.server.tls is not None and not self.under_tls:
            offers.append("250 STARTTLS")
        if self.server.login is not None:
            offers.append("250 AUTH PLAIN")
        await self.say(*offers)

    async def on_starttls(self, _: str) -> None:
        assert self.server.tls is not None
        await self.say("220 go on")
        await self.writer.start_tls(self.server.tls)
        self.under_tls = True

    async def on_auth(self, rest: str) -> None:
        _, user, password = base64.b64decode(rest.split()[1]).decode().split("\0")
        if (user, password) != self.server.login:
            await self.say("535 wrong user name or password")
            return
        self.user = user
        await self.say("235 welcome")

    async def on_mail(self, rest: str) -> None:
        if self.server.login is not None and not self.user:
            await self.say("530 log in first")
            return
        self.sender = rest.split("<")[1].split(">")[0]
        await self.say("250 ok")

    async def on_rcpt(self, rest: str) -> None:
        recipient = rest.split("<")[1].split(">")[0]
        refusal = self.server.refuse.get(recipient)
        if refusal is None:
            self.recipients.append(recipient)
        await self.say(refusal or "250 ok")

    async def on_data(self, _: str) -> None:
        await self.say("354 go on")
        data = await self.reader.readuntil(b"\r\n.\r\n")
        self.server.mails.append(Mail(self.sender, self.recipients, data, self.under_tls, self.user))
        await self.say("250 taken")

    async def on_rset(self, _: str) -> None:
        self.recipients = []
        await self.say("250 ok")

    async def on_other(self, _: str) -> None:
        await self.say("502 not here")


@asynccontextmanager
async def mail_server(server: MailServer) -> AsyncIterator[MailServer]:
    """Run it while the block runs."""
    listener = await asyncio.start_server(server.accept, "127.0.0.1", 0, ssl=server.tls if server.implicit else None)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in list(server.sessions):
            task.cancel()
        await asyncio.gather(*server.sessions, return_exceptions=True)
    assert not server.failures, server.failures
