"""Mail, handed in to a server with Python's SMTP client, in a thread."""

from __future__ import annotations

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from typing import TYPE_CHECKING

from headgate.outgoing.undelivered import ATTEMPT_SECONDS, Undelivered
from headgate.types import Frozen

if TYPE_CHECKING:
    import smtplib

WHOLE_SECONDS = 4 * ATTEMPT_SECONDS  # for all that is said; ATTEMPT_SECONDS for each answer
TLS_PORT = 465  # where TLS comes before SMTP (RFC 8314, 3.3)
PERMANENT = 500  # the first code of answers that another attempt does not change (RFC 5321, 4.2.1)


class MailServer(Frozen, frozen=True):
    """Where mail is handed in. `starttls`: under TLS or not at all."""

    host: str
    port: int
    username: str = ""
    password: str = ""
    starttls: bool = True


async def hand_in(message: EmailMessage, server: MailServer) -> str:
    """What the server said. Raises Undelivered, also if it takes too long: the message may be delivered nevertheless.

    In a thread of its own: a server that does not answer would keep those busy in which names are looked up.
    """
    thread = ThreadPoolExecutor(1, "headgate-mail")
    try:
        async with asyncio.timeout(WHOLE_SECONDS):
            return await asyncio.get_running_loop().run_in_executor(thread, _hand_in, message, server)
    except TimeoutError:
        raise Undelivered(f"{server.host}:{server.port}: no answer within {WHOLE_SECONDS:g} s") from None
    finally:
        thread.shutdown(wait=False)


def _hand_in(message: EmailMessage, server: MailServer) -> str:
    import smtplib  # most gateways never send mail

    try:
        with _connected(server) as smtp:
            if server.username:
                smtp.login(server.username, server.password)
            refused = smtp.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        raise Undelivered(_refusals(error.recipients), final=min(codes, default=0) >= PERMANENT) from error
    except smtplib.SMTPResponseException as error:
        said = error.smtp_error
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise Undelivered(f"{error.smtp_code} {text}", final=error.smtp_code >= PERMANENT) from error
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise Undelivered(f"{server.host}:{server.port}: {error or type(error).__name__}") from error
    return f"accepted, but not for all: {_refusals(refused)}" if refused else "accepted"


def _connected(server: MailServer) -> smtplib.SMTP:
    import smtplib

    context = ssl.create_default_context()
    if server.port == TLS_PORT:
        return smtplib.SMTP_SSL(server.host, server.port, timeout=ATTEMPT_SECONDS, context=context)
    smtp = smtplib.SMTP(server.host, server.port, timeout=ATTEMPT_SECONDS)
    if server.starttls:
        try:
            smtp.starttls(context=context)
        except BaseException:
            smtp.close()
            raise
    return smtp


def _refusals(refused: dict[str, tuple[int, bytes]]) -> str:
    return "; ".join(f"{to}: {code} {said.decode('utf-8', 'replace')}" for to, (code, said) in refused.items())
