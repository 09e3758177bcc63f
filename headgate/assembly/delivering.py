"""The composition root of deliveries: the desk where submitters say whom to tell, and the relay of a process."""

from __future__ import annotations

import logging
from collections.abc import Callable

from headgate.config.schema import Config
from headgate.deliveries.desk import DeliveryDesk
from headgate.deliveries.relay import Relay
from headgate.deliveries.senders import MailSender, OpenTopic, TopicSender, WebhookSender
from headgate.deliveries.settings import DeliverySettings, MailSettings
from headgate.deliveries.signing import Signer
from headgate.deliveries.usage import UsagePublisher
from headgate.delivery_ports import Topic
from headgate.delivery_types import OutboxStanding, TargetKind
from headgate.errors import HeadgateError, InvalidRequest
from headgate.job_ports import Jobs
from headgate.outgoing.guarding import GuardedConnector
from headgate.outgoing.mailing import MailServer
from headgate.outgoing.posting import Poster
from headgate.policy.addresses import networks
from headgate.ports import Clock
from headgate.providers.upstream.pool import PoolSettings
from headgate.stores.database import Database
from headgate.stores.sql_leases import SqlLeases
from headgate.stores.sql_outbox import SqlOutbox, SqlSigningKeys
from headgate.stores.sql_usage_feed import SqlUsageFeed

KEEP_SECONDS = 30 * 86_400.0  # what became of a delivery
_POOLS = PoolSettings(max_connections=64, keep_alive_seconds=5.0)
_DAY_SECONDS = 86_400.0

log = logging.getLogger(__name__)


class Deliveries:
    """Deliveries in one process."""

    def __init__(
        self,
        database: Database,
        jobs: Jobs,
        clock: Clock,
        config: Callable[[], Config],
        open_topic: OpenTopic | None = None,
    ) -> None:
        self._settings = settings = _Reader(config)
        self._outbox = outbox = SqlOutbox(database, clock)
        signer = Signer(SqlSigningKeys(database), settings)
        connector = GuardedConnector(lambda: settings().networks, config().jobs.webhooks.ca_file)
        open_topic = open_topic or _no_topics
        topics = TopicSender(jobs, open_topic, settings)
        self.usage = UsagePublisher(SqlUsageFeed(database), SqlLeases(database, clock), open_topic, settings, clock)
        self.relay = Relay(
            outbox,
            {
                TargetKind.WEBHOOK: WebhookSender(jobs, Poster(connector, _POOLS), signer, settings),
                TargetKind.MAIL: MailSender(jobs, signer, settings),
                TargetKind.QUEUE: topics,
                TargetKind.PUBLISH: topics,
            },
            clock,
        )
        self.desk = DeliveryDesk(outbox, signer, settings, clock)

    async def standing(self) -> OutboxStanding:
        """How much waits; forgets what ended long ago. Raises DatabaseUnavailable."""
        await self._outbox.prune(KEEP_SECONDS)
        return await self._outbox.standing()

    async def drain(self, seconds: float) -> None:
        """Wait for what is under way, and close connections."""
        try:
            await self.relay.drain(seconds)
            await self.relay.aclose()
            await self.usage.aclose()
        except HeadgateError as error:
            log.warning("deliveries were not closed: %s", error.message)


class _Reader:
    """The settings as the configuration now has them, made anew when it has changed."""

    def __init__(self, config: Callable[[], Config]) -> None:
        self._config = config
        self._known: tuple[Config, DeliverySettings] | None = None

    def __call__(self) -> DeliverySettings:
        config = self._config()
        if self._known is None or self._known[0] is not config:
            self._known = (config, delivery_settings(config))
        return self._known[1]


def delivery_settings(config: Config) -> DeliverySettings:
    """From the whole configuration."""
    jobs, server = config.jobs, config.server
    return DeliverySettings(
        public_url=(jobs.public_url or f"http://{server.host}:{server.port}").rstrip("/"),
        networks=networks(jobs.webhooks.allow_networks),
        mail=_mail(config),
        reply_to=tuple(jobs.reply_to),
        publish_jobs=config.publish.jobs,
        publish_usage=config.publish.usage,
        secrets={name: tenant.webhook_secret for name, tenant in config.tenants.items() if tenant.webhook_secret},
    )


def _mail(config: Config) -> MailSettings | None:
    mail = config.jobs.mail
    if mail is None:
        return None
    server = MailServer(mail.host, mail.port, mail.username, mail.password, mail.starttls)
    domains = tuple(domain.lower() for domain in mail.domains)
    return MailSettings(mail.from_, server, domains, mail.link_days * _DAY_SECONDS)


def _no_topics(address: str) -> Topic:
    raise InvalidRequest(f"There is nothing here that could send to {address.split('://', 1)[0]}.")
