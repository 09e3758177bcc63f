"""Mail servers that take their time: they hold up their own mail, and nothing else."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from email.message import EmailMessage

import pytest

from headgate.outgoing import mailing
from headgate.outgoing.mailing import MailServer, hand_in
from headgate.outgoing.undelivered import Undelivered

MORE_THAN_THREADS = 40  # that the event loop has for looking up names


def test_a_server_that_says_nothing_keeps_nobody_from_looking_up_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailing, "ATTEMPT_SECONDS", 60.0)

    async def scenario(server: MailServer) -> None:
        mails = [asyncio.create_task(hand_in(EmailMessage(), server)) for _ in range(MORE_THAN_THREADS)]
        await asyncio.sleep(0.1)
        looking = asyncio.create_task(asyncio.get_running_loop().getaddrinfo("localhost", 80))
        done, _ = await asyncio.wait([looking, *mails], return_when=asyncio.FIRST_COMPLETED)
        assert looking in done
        silent.close()  # which ends its connections
        ended = await asyncio.gather(*mails, return_exceptions=True)
        assert all(isinstance(each, Undelivered) for each in ended)

    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        asyncio.run(scenario(MailServer(*silent.getsockname(), starttls=False)))


def test_a_server_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line comes in time. The attempt must end before another process takes it over, or it never would be over."""
    monkeypatch.setattr(mailing, "WHOLE_SECONDS", 0.5)

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            for _ in range(10):
                connection.sendall(b"220-wait\r\n")
                time.sleep(0.1)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening,))
        thread.start()
        with pytest.raises(Undelivered, match=r"no answer within 0\.5 s"):
            asyncio.run(hand_in(EmailMessage(), MailServer(*listening.getsockname(), starttls=False)))
        thread.join()
