"""Which addresses a URL that a caller gave may lead to: those of the public internet, and what the operator allows.

What a URL's host is is decided as browsers do it (WHATWG URL, "host parsing"): `127.1`, `0x7f000001` and `017700000001`
are all 127.0.0.1. Source of the blocks: IANA's special-purpose address registries for IPv4 and IPv6 (RFC 6890).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NOT_PUBLIC: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "this machine"), ("127.0.0.0/8", "this machine"), ("::/96", "this machine"),
    ("10.0.0.0/8", "a private network"), ("172.16.0.0/12", "a private network"),
    ("192.168.0.0/16", "a private network"), ("100.64.0.0/10", "a private network"), ("fc00::/7", "a private network"),
    ("fec0::/10", "a private network"), ("169.254.0.0/16", "this link, where clouds keep their metadata"),
    ("fe80::/10", "this link, where clouds keep their metadata"), ("168.63.129.16/32", "the metadata of a cloud"),
    ("192.0.0.0/24", "a reserved block"), ("192.0.2.0/24", "a reserved block"), ("192.88.99.0/24", "a reserved block"),
    ("198.18.0.0/15", "a reserved block"), ("198.51.100.0/24", "a reserved block"),
    ("203.0.113.0/24", "a reserved block"), ("224.0.0.0/4", "many at once"), ("240.0.0.0/4", "a reserved block"),
    ("64:ff9b:1::/48", "a private network"), ("100::/64", "a reserved block"), ("2001::/23", "a reserved block"),
    ("2001:db8::/32", "a reserved block"), ("2002::/16", "a tunnel"), ("3fff::/20", "a reserved block"),
    ("5f00::/16", "a reserved block"), ("ff00::/8", "many at once"),
)  # fmt: skip
_BLOCKS = tuple((ipaddress.ip_network(block), what) for block, what in _NOT_PUBLIC)
_TRANSLATED = (ipaddress.ip_network("64:ff9b::/96"),)  # IPv4 addresses as NAT64 writes them (RFC 6052)
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """From the configuration's words. Raises ValueError."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def refusal(address: Address, allowed: Sequence[Network] = ()) -> str:
    """Why an address must not be called: what it is in; empty if it may be."""
    address = _inner(address)
    if any(address.version == network.version and address in network for network in allowed):
        return ""
    for block, what in _BLOCKS:
        if address.version == block.version and address in block:
            return what
    return ""


def literal(host: str) -> Address | None:
    """The address that a URL's host is, None for a name.

    Raises ValueError for a host that ends in a number and is no address: resolvers do not agree what that is.
    """
    text = host.removeprefix("[").removesuffix("]")
    if ":" in text:
        return ipaddress.IPv6Address(text.split("%", 1)[0])
    parts = text.removesuffix(".").split(".")
    if not _NUMBER.fullmatch(parts[-1]):
        return None
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        raise ValueError(f"'{host}' ends in a number and is no address")
    *first, last = (_number(part) for part in parts)
    if any(number > 255 for number in first) or last >= 256 ** (5 - len(parts)):
        raise ValueError(f"'{host}' ends in a number and is no address")
    return ipaddress.IPv4Address(sum(number << (8 * (3 - place)) for place, number in enumerate(first)) + last)


def _number(text: str) -> int:
    if text[:2] in ("0x", "0X"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if len(text) > 1 and text.startswith("0") else 10)


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if any(address in block for block in _TRANSLATED):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
