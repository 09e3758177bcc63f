"""Checks of the block `alerts`: each entry has one channel, and the channel can work.

Pure: reads the typed configuration, adds to the findings. Never prints a URL or a secret.
"""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import urlsplit

from headgate.config.alert_schema import AlertConfig, EmailConfig
from headgate.config.delivery_schema import JobMailConfig
from headgate.config.problems import Findings, Place
from headgate.config.schema import Config
from headgate.config.values import check_url

SECRET_PREFIX = "whsec_"
_CHANNELS = ("webhook", "slack", "email")
_ADDRESS = re.compile(r"(?:[^<>\r\n]*<)?[^\s<>@,]+@[^\s<>@,]+>?")
_HOST = re.compile(r"[A-Za-z0-9._:-]+")
_NEW_SECRET = (
    "make one with: python3 -c \"import base64, secrets; print('whsec_' + base64.b64encode(secrets.token_bytes(32))"
    '.decode())"'
)


def check_alerts(config: Config, findings: Findings) -> None:
    """Add an error or warning for every entry that would tell nobody, or not as meant."""
    for index, alert in enumerate(config.alerts):
        place: Place = ("alerts", index)
        if not any(findings.is_broken((*place, name)) for name in _CHANNELS):
            _check_channel(alert, place, findings)
        if not alert.on and not findings.is_broken((*place, "on")):
            findings.warning((*place, "on"), "empty: nobody is told of anything", "write e.g. on: [budget, store]")


def _check_channel(alert: AlertConfig, place: Place, findings: Findings) -> None:
    written = [name for name in _CHANNELS if (*place, name) in findings.origins]
    if not written:
        hint = 'add webhook: "https://...", slack: "https://..." or email: {to: .., from: .., host: ..}'
        findings.error(place, "no channel: nobody would be told", hint)
        return
    for second in written[1:]:
        hint = "give each channel an entry of its own"
        findings.error((*place, second), f"a second channel beside {written[0]}", hint)
    if written[0] == "email" and alert.email is not None:
        _check_email(alert.email, (*place, "email"), findings)
    elif written[0] != "email":
        _check_hook(getattr(alert, written[0]), (*place, written[0]), findings)
    if (*place, "secret") in findings.origins and not findings.is_broken((*place, "secret")):
        _check_secret(alert.secret, written[0], (*place, "secret"), findings)
    elif written[0] == "webhook":
        message = "no secret: the receiver cannot know whom a call is from"
        findings.warning((*place, "webhook"), message, f"add secret: ..; {_NEW_SECRET}")


def _check_hook(url: str, place: Place, findings: Findings) -> None:
    check_url(url, place, findings)
    if not findings.is_broken(place) and (not url.isascii() or urlsplit(url).username is not None):
        message = "has a user name, or characters that are not ASCII"
        findings.error(place, message, "put what grants access into the path or query, and percent-encode the rest")


def _check_secret(secret: str, channel: str, place: Place, findings: Findings) -> None:
    if channel != "webhook":
        findings.error(place, f"signs calls of a webhook, and this is {channel}", "remove it")
    elif not (value := secret.removeprefix(SECRET_PREFIX)):
        findings.error(place, "empty", _NEW_SECRET)
    elif not _is_base64(value):
        message = "no base64 after whsec_: its characters are taken as the key, which most receivers cannot do"
        findings.warning(place, message, _NEW_SECRET)


def _is_base64(text: str) -> bool:
    """With or without the padding at its end."""
    try:
        base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _check_email(email: EmailConfig, place: Place, findings: Findings) -> None:
    several = not isinstance(email.to, str)
    addresses: list[tuple[str, Place]] = [(email.from_, (*place, "from"))]
    addresses += [
        (address, (*place, "to", index) if several else (*place, "to"))
        for index, address in enumerate([email.to] if isinstance(email.to, str) else email.to)
    ]
    for address, where in addresses:
        if not is_mail_address(address):
            findings.error(where, "no e-mail address", "write e.g. ops@example.com")
    if len(addresses) == 1 and not findings.is_broken((*place, "to")):
        findings.error((*place, "to"), "empty: nobody would be told", "write e.g. to: ops@example.com")
    check_mail_server(email, place, findings)


def is_mail_address(text: str) -> bool:
    """Whether it is somebody@somewhere, or `Name <somebody@somewhere>`."""
    return bool(_ADDRESS.fullmatch(text))


def check_mail_server(email: EmailConfig | JobMailConfig, place: Place, findings: Findings) -> None:
    """Add an error for a server that could not be reached or logged in to."""
    if not _HOST.fullmatch(email.host):
        findings.error((*place, "host"), "no name of a host", "write e.g. host: smtp.example.com")
    if email.port == 0:
        findings.error((*place, "port"), "no port that can be called", "587 is usual")
    if bool(email.username) != bool(email.password):
        missing, given = ("password", "username") if email.username else ("username", "password")
        findings.error((*place, missing), "missing", f"add it, or remove {given} for a server that asks for none")
    elif email.password and not email.starttls and email.port != 465:
        message = "anybody between here and the mail server can read the password"
        findings.warning((*place, "starttls"), message, "use starttls: true")
