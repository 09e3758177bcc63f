"""Where submitters say whom to tell: checks it at once, so that a mistake is told now and not when the job ends."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from headgate.deliveries.settings import Settings
from headgate.deliveries.signing import Signer
from headgate.delivery_errors import LinkExpired, MailRefused, ReplyRefused, WebhookRefused
from headgate.delivery_ports import Outbox
from headgate.delivery_types import Target, TargetKind
from headgate.outgoing.guarding import mistake
from headgate.ports import Clock
from headgate.types import Caller, Frozen

MAX_RECIPIENTS = 10
REPORT_LINK_SECONDS = 86_400.0
_ADDRESS = re.compile(r"[^\s<>@,;:\"()\[\]\\]{1,64}@([A-Za-z0-9][A-Za-z0-9.-]{0,252})")


class Wanted(Frozen, frozen=True):
    """Whom a submitter wants told of a job's end."""

    webhook: str | None = None
    mail: tuple[str, ...] = ()
    reply_to: str | None = None


class DeliveryDesk:
    """Deliveries as callers see them."""

    def __init__(self, outbox: Outbox, signer: Signer, settings: Settings, clock: Clock) -> None:
        self.outbox = outbox
        self.signer = signer
        self._settings = settings
        self._clock = clock

    async def targets(self, caller: Caller, wanted: Wanted) -> tuple[Target, ...]:
        """Who is told, and the operator's own topic. Raises WebhookRefused, MailRefused or ReplyRefused."""
        settings, tenant = self._settings(), caller.tenant
        targets = []
        if wanted.webhook is not None:
            if wrong := await mistake(wanted.webhook, settings.networks):
                raise WebhookRefused(wrong, param="webhook")
            lane = f"{tenant} webhook {urlsplit(wanted.webhook).netloc.lower()}"
            targets.append(Target(TargetKind.WEBHOOK, wanted.webhook, lane))
        self._check_mail(wanted.mail)
        targets += [Target(TargetKind.MAIL, address, f"{tenant} mail") for address in wanted.mail]
        if wanted.reply_to is not None:
            self._check_reply(wanted.reply_to)
            targets.append(Target(TargetKind.QUEUE, wanted.reply_to, f"{tenant} queue {wanted.reply_to}"))
        if settings.publish_jobs:
            targets.append(Target(TargetKind.PUBLISH, "jobs", "publish jobs"))
        return tuple(targets)

    async def check_link(self, job_id: str, expires: str, signature: str) -> None:
        """Raises LinkExpired if a link to a result is none of ours, or its time is over."""
        if not await self.signer.is_good_link(job_id, expires, signature, self._clock.now()):
            raise LinkExpired("This link has expired, or it was changed. Ask with your key.")

    async def report_link(self, job_id: str) -> str:
        """The path and query of a page that says how a job stands, for whoever has it, for a day."""
        expires = int(self._clock.now() + REPORT_LINK_SECONDS)
        signature = await self.signer.link_signature(_report(job_id), expires)
        query = f"format=html&expires={expires}&signature={signature}"
        return f"/v1/jobs/{job_id}/report?{query}"

    async def check_report_link(self, job_id: str, expires: str, signature: str) -> None:
        """As `check_link`, for the report and the events."""
        await self.check_link(_report(job_id), expires, signature)

    def _check_mail(self, addresses: Sequence[str]) -> None:
        if not addresses:
            return
        mail = self._settings().mail
        if mail is None:
            raise MailRefused("This gateway sends no mail. The operator can set up jobs.mail.", param="mail")
        if len(addresses) > MAX_RECIPIENTS:
            raise MailRefused(f"A job has at most {MAX_RECIPIENTS} addresses.", param="mail")
        for address in addresses:
            match = _ADDRESS.fullmatch(address)
            if match is None or not address.isprintable():
                raise MailRefused(f"'{address[:100]}' is no address. Write e.g. ann@example.com.", param="mail")
            if mail.domains and match[1].lower() not in mail.domains:
                domains = ", ".join(mail.domains)
                raise MailRefused(f"This gateway writes to {domains} only, not to {match[1]}.", param="mail")

    def _check_reply(self, address: str) -> None:
        for allowed in self._settings().reply_to:
            stem = allowed.removesuffix("*")
            if address == allowed or (stem != allowed and address.startswith(stem)):
                return
        raise ReplyRefused("The operator of this gateway allows no answers there: jobs.reply_to.", param="reply_to")


def _report(job_id: str) -> str:
    """What a link to a report is signed for: one to a result opens no report."""
    return f"{job_id}/report"
