"""Calls to URLs that callers gave: only to addresses that they could reach themselves.

A name is looked up once for each connection, every address it has is judged, and the connection goes to one of those:
what the name means a moment later changes nothing. There is no proxy in between, which would look the name up anew.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from headgate.errors import HeadgateError, UpstreamUnreachable
from headgate.policy import addresses
from headgate.policy.addresses import Address, Network
from headgate.providers.upstream.connect import Connector, ConnectSettings
from headgate.providers.upstream.target import NOT_IN_A_URL, Target, parse_target

LOOK_UP_SECONDS = 2.0  # of a name, when a job is submitted
MAX_URL_CHARACTERS = 2000

Networks = Callable[[], Sequence[Network]]


class AddressRefused(UpstreamUnreachable):
    """A URL leads to where callers may not send headgate."""


class GuardedConnector(Connector):
    """Opens connections to public addresses and to those in `allowed`."""

    __slots__ = ("_allowed",)

    def __init__(self, allowed: Networks, ca_file: str = "") -> None:
        super().__init__(ConnectSettings(ca_file=ca_file))
        self._allowed = allowed

    async def located(self, target: Target) -> Sequence[str]:
        found = await _addresses(target)
        for address in found:
            if inside := addresses.refusal(address, self._allowed()):
                raise AddressRefused(f"{target.host} is {address}, which is in {inside}: {_WHAT_TO_DO}")
        return [str(address) for address in found]


_WHAT_TO_DO = "use an address of the public internet, or have its network allowed in jobs.webhooks.allow_networks."


async def mistake(url: str, allowed: Sequence[Network]) -> str:
    """What is wrong with a URL that is to be called later; empty: nothing that can be known now."""
    if len(url) > MAX_URL_CHARACTERS:
        return f"A URL has at most {MAX_URL_CHARACTERS} characters."
    if NOT_IN_A_URL.search(url):
        return "The URL has characters that must be percent-encoded."
    try:
        parts = urlsplit(url)
        if parts.username is not None or parts.fragment:
            return "The URL has a user name or a fragment: put what grants access into its path or query."
        target = parse_target(f"{parts.scheme}://{parts.netloc}")
    except (HeadgateError, ValueError):
        return "Write a URL as https://hooks.example.com/path, in plain ASCII."
    connector = GuardedConnector(lambda: allowed)
    try:
        async with asyncio.timeout(LOOK_UP_SECONDS):
            await connector.located(target)
    except AddressRefused as error:
        return error.message
    except UpstreamUnreachable as error:
        return error.message if isinstance(error.__cause__, ValueError) else ""
    except (OSError, TimeoutError):
        pass  # it may be there when it is needed
    return ""


async def _addresses(target: Target) -> list[Address]:
    """Raises OSError if the name is not known, UpstreamUnreachable if it is no name."""
    try:
        address = addresses.literal(target.host)
    except ValueError as error:
        raise UpstreamUnreachable(f"The host {target.host} is neither a name nor an address.") from error
    if address is not None:
        return [address]
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    texts = dict.fromkeys(str(where[0]).split("%", 1)[0] for *_, where in found)
    return [ipaddress.ip_address(text) for text in texts]
