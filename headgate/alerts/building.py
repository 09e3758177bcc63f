"""From the block `alerts` of the configuration to channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from headgate.alerts.channel import Channel
from headgate.alerts.hooks import SlackHook, Webhook
from headgate.alerts.postbox import Mailbox
from headgate.config.alert_schema import AlertConfig, EmailConfig
from headgate.outgoing.mailing import MailServer
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.proxy import proxy_settings


def channels(entries: Sequence[AlertConfig], environment: Mapping[str, str]) -> tuple[Channel, ...]:
    """One channel for each entry; the environment says where the proxies are. Connects to nothing yet."""
    connector = Connector(ConnectSettings(proxy=proxy_settings("", environment)))
    return tuple(_channel(index, entry, connector) for index, entry in enumerate(entries))


def _channel(index: int, entry: AlertConfig, connector: Connector) -> Channel:
    kinds: frozenset[str] = frozenset(entry.on)
    place = f"alerts[{index}]"
    if entry.email is not None:
        return _mailbox(place, kinds, entry.email)
    if entry.slack:
        return SlackHook(f"{place} slack {urlsplit(entry.slack).hostname}", kinds, entry.slack, connector)
    name = f"{place} webhook {urlsplit(entry.webhook).hostname}"
    return Webhook(name, kinds, entry.webhook, entry.secret, connector)


def _mailbox(place: str, kinds: frozenset[str], email: EmailConfig) -> Mailbox:
    recipients = [email.to] if isinstance(email.to, str) else email.to
    server = MailServer(email.host, email.port, email.username, email.password, email.starttls)
    return Mailbox(f"{place} email {', '.join(recipients)}"[:200], kinds, email.from_, recipients, server)
