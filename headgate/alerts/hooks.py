"""Channels that are URLs: webhooks, signed, and Slack's."""

from __future__ import annotations

from headgate.alert_types import Alert
from headgate.alerts.messages import message_id, slack_body, webhook_body
from headgate.outgoing.posting import Poster
from headgate.outgoing.signing import secret_bytes, signed_headers
from headgate.providers.upstream.connect import Connector


class Webhook:
    """A URL that is told of events as Standard Webhooks describes it."""

    def __init__(self, name: str, kinds: frozenset[str], url: str, secret: str, connector: Connector) -> None:
        self.name = name
        self.kinds = kinds
        self._url = url
        self._key = secret_bytes(secret) if secret else b""
        self._poster = Poster(connector)

    async def send(self, alert: Alert, now: float) -> str:
        body = webhook_body(alert)
        return await self._poster.post(self._url, body, signed_headers(self._key, message_id(alert), int(now), body))

    async def aclose(self) -> None:
        await self._poster.aclose()


class SlackHook:
    """A URL that takes `{"text": ...}`."""

    def __init__(self, name: str, kinds: frozenset[str], url: str, connector: Connector) -> None:
        self.name = name
        self.kinds = kinds
        self._url = url
        self._poster = Poster(connector)

    async def send(self, alert: Alert, now: float) -> str:
        return await self._poster.post(self._url, slack_body(alert))

    async def aclose(self) -> None:
        await self._poster.aclose()
