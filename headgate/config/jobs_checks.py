"""Checks of the blocks `jobs` and `publish`. Pure; never prints a password."""

from __future__ import annotations

import ipaddress
import re

from headgate.config.alert_checks import check_mail_server, is_mail_address
from headgate.config.problems import Findings, Place
from headgate.config.schema import Config
from headgate.config.values import QUEUE_KINDS, check_url

_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def check_jobs(config: Config, findings: Findings) -> None:
    """Add an error for every value that could not work when a job ends."""
    jobs = config.jobs
    if jobs.public_url:
        check_url(jobs.public_url, ("jobs", "public_url"), findings)
    for name, function in jobs.pipelines.items():
        if not _FUNCTION.fullmatch(function):
            findings.error(("jobs", "pipelines", name), "no function", "write module:function, e.g. our.jobs:essay")
    for index, network in enumerate(jobs.webhooks.allow_networks):
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            place = ("jobs", "webhooks", "allow_networks", index)
            findings.error(place, "no network", "write e.g. 10.1.0.0/16, or one address")
    if (mail := jobs.mail) is not None:
        if not is_mail_address(mail.from_):
            findings.error(("jobs", "mail", "from"), "no e-mail address", "write e.g. headgate@example.com")
        check_mail_server(mail, ("jobs", "mail"), findings)
        if not jobs.public_url:
            findings.warning(("jobs", "mail"), "links in mail begin with this machine's address", "set jobs.public_url")
    topics: dict[Place, str] = {("jobs", "reply_to", index): address for index, address in enumerate(jobs.reply_to)}
    topics |= {("publish", name): getattr(config.publish, name) for name in ("usage", "jobs")}
    for where, address in topics.items():
        if address not in ("", "*") and not address.startswith(QUEUE_KINDS):
            findings.error(where, "no address of a topic", f"it begins with {' or '.join(QUEUE_KINDS)}")
