"""What the configuration says about deliveries."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from headgate.outgoing.mailing import MailServer
from headgate.policy.addresses import Network
from headgate.types import Frozen


class MailSettings(Frozen, frozen=True):
    """Mail for submitters. `domains` are those that may be written to; empty: any."""

    sender: str
    server: MailServer
    domains: tuple[str, ...] = ()
    link_seconds: float = 7 * 86_400.0


class DeliverySettings(Frozen, frozen=True):
    """How submitters are told. `secrets` are webhooks' by tenant, where the operator chose one himself."""

    public_url: str  # what links begin with, without a slash at the end
    networks: tuple[Network, ...] = ()
    mail: MailSettings | None = None
    reply_to: tuple[str, ...] = ()  # addresses; a * at the end stands for any ending
    publish_jobs: str = ""
    publish_usage: str = ""
    secrets: Mapping[str, str] = {}


Settings = Callable[[], DeliverySettings]
