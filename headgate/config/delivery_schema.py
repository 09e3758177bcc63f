"""The blocks that say how the submitters of jobs are told; parts of `jobs_schema.py` and `schema.py`."""

from __future__ import annotations

import msgspec

from headgate.config.blocks import Block, Port, Positive


class JobWebhooksConfig(Block, frozen=True):
    """URLs that callers have called when their jobs end."""

    allow_networks: list[str] = []  # networks that may be called although they are not public, e.g. 10.1.0.0/16
    ca_file: str = ""  # trust these certificates too; default: the system's


class JobMailConfig(Block, frozen=True):
    """Mail that callers have sent when their jobs end, through a server that takes it (SMTP)."""

    from_: str = msgspec.field(name="from")  # the sender's address, headgate@example.com, with or without a name
    host: str  # the mail server
    port: Port = 587  # 465: TLS from the first byte
    username: str = ""  # to log in with; empty: without logging in
    password: str = ""  # its password
    starttls: bool = True  # go on under TLS or not at all; false for a server on this machine or network that has none
    domains: list[str] = []  # who may be written to, e.g. example.com; default: anybody
    link_days: Positive = 7.0  # how long the link in the mail leads to the result


class PublishConfig(Block, frozen=True):
    """Topics that others read along, e.g. kafka://broker:9092/usage. Empty: nothing is sent."""

    usage: str = ""  # every row of the ledger
    jobs: str = ""  # every change of a job's state
