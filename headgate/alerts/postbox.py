"""The channel that is mail."""

from __future__ import annotations

from headgate.alert_types import Alert
from headgate.alerts.messages import mail
from headgate.outgoing.mailing import MailServer, hand_in


class Mailbox:
    """People who are told by mail."""

    def __init__(
        self, name: str, kinds: frozenset[str], sender: str, recipients: list[str], server: MailServer
    ) -> None:
        self.name = name
        self.kinds = kinds
        self._sender = sender
        self._recipients = recipients
        self._server = server

    async def send(self, alert: Alert, now: float) -> str:
        return await hand_in(mail(alert, self._sender, self._recipients), self._server)

    async def aclose(self) -> None:
        """There is a connection for each message only."""
