"""The blocks that say whom to tell when something happens; part of `schema.py`."""

from __future__ import annotations

from typing import Literal

import msgspec

from headgate.config.blocks import Block, Port


class EmailConfig(Block, frozen=True):
    """Mail through a server that takes it (SMTP)."""

    to: str | list[str]  # one address, or several
    from_: str = msgspec.field(
        name="from"
    )  # the sender's address: headgate@example.com, or Name <headgate@example.com>
    host: str  # the mail server
    port: Port = 587  # 465: TLS from the first byte
    username: str = ""  # to log in with; empty: without logging in
    password: str = ""  # its password
    starttls: bool = True  # go on under TLS or not at all; false for a server on this machine or network that has none


class AlertConfig(Block, frozen=True):
    """Somebody to tell when something happens: one of `webhook`, `slack` and `email`."""

    on: list[Literal["budget", "velocity", "drift", "store", "cache", "router"]]  # what happened
    webhook: str = ""  # a URL that is called with a POST, as Standard Webhooks describes it
    # signs the call, so that the receiver knows whom it is from: whsec_ and the base64 of 24 to 64 random bytes
    secret: str = ""
    slack: str = ""  # the URL of an incoming webhook of Slack, or of anything else that takes {"text": ...}
    email: EmailConfig | None = None  # mail
