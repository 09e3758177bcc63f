"""Addresses of the internet: e-mail (RFC 5321), IPv4 and IPv6 (RFC 4291)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from headgate.policy.pii.findings import Finding, PiiClass

_LOCAL_PART = frozenset(".!#$%&'*+/=?^_`{|}~-")
_LONGEST_LOCAL_PART = 64
_DOMAIN = re.compile(r"(?:[\w-]{1,63}\.){1,8}(?:xn--[A-Za-z0-9-]{2,59}|[^\W\d_]{2,63})(?![\w-])")
_NOBODY = ("git", "hg", "svn")  # of addresses of code: git@github.com

_VERSION = re.compile(
    r"(?:\b(?:versions?|releases?|before|prior to|through|kernel|v)|[<>=]=?|\w-)\W*(?:[\d.x]+\W+(?:and|to|or)\W+)?$"
)
_LOOK_BACK = 40
_HIGHEST_OF_VERSION = 40
DOTS_OF_IPV4 = 3
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(rf"(?<![\w.:])(?:{_OCTET}\.){{3}}{_OCTET}(?![\w:]*::)(?![0-9A-Za-z_])(?:/(?:3[012]|[12]?\d)(?!\d))?")
_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_OF_IPV6 = frozenset("0123456789abcdefABCDEF:.")
_LONGEST_IPV6 = 45
_IPV6_TAIL = re.compile(r"(?:%[A-Za-z0-9]{1,15})?(?:/(?:12[0-8]|1[01]\d|\d{1,2})(?!\d))?")


def emails(text: str) -> Iterator[Finding]:
    """Every e-mail address."""
    at = text.find("@")
    while at >= 0:
        start = at
        floor = max(0, at - _LONGEST_LOCAL_PART)
        while start > floor and (text[start - 1].isalnum() or text[start - 1] in _LOCAL_PART):
            start -= 1
        while start < at and text[start] in "./'`*=":  # quotes and bullets before it, never of an address
            start += 1
        domain = _DOMAIN.match(text, at + 1)
        if domain is not None and start < at and text[at - 1] != "." and text[start:at] not in _NOBODY:
            yield Finding(PiiClass.EMAIL, start, domain.end())
        at = text.find("@", at + 1)


def ipv4(text: str, start: int, end: int) -> Iterator[Finding]:
    """The IPv4 addresses and networks in an area of a text."""
    for match in _IPV4.finditer(text, start, end):
        if not _is_version(text, match):
            yield Finding(PiiClass.IP, match.start(), match.end())


def _is_version(text: str, match: re.Match[str]) -> bool:
    """Four small numbers after a word that announces a version."""
    octets = match[0].split("/")[0].split(".")
    if any(int(octet) > _HIGHEST_OF_VERSION for octet in octets) or octets[0] == "10" or match[0] == "0.0.0.0":
        return False
    return _VERSION.search(text[max(0, match.start() - _LOOK_BACK) : match.start()]) is not None


def ipv6(text: str) -> Iterator[Finding]:
    """The IPv6 addresses and networks; `::` alone is no address of anybody, and is an operator of many languages."""
    beyond = 0
    for match in _COLONS.finditer(text):
        if match.start() < beyond:
            continue
        start, floor = match.start(), max(beyond, match.start() - _LONGEST_IPV6)
        while start > floor and text[start - 1] in _OF_IPV6:
            start -= 1
        beyond, ceiling = match.end(), min(len(text), match.end() + _LONGEST_IPV6)
        while beyond < ceiling and text[beyond] in _OF_IPV6:
            beyond += 1
        end = beyond
        while (end > start and text[end - 1] == ".") or (text[end - 1] == ":" and text[end - 2] != ":"):
            end -= 1
        if _is_ipv6(text, start, end):
            yield Finding(PiiClass.IP, start, end + _length_of_tail(text, end))


def _is_ipv6(text: str, start: int, end: int) -> bool:
    if text.endswith("::", start, end) and not text.startswith("/", end):
        return False  # as a heading or a scope ends
    address, beside = text[start:end], text[max(0, start - 1) : start] + text[end : end + 1]
    if len(address) < 3 or address.count(":") > 7 or any(one.isalnum() or one == "_" for one in beside):
        return False
    groups = address.split(":")  # a slice of a list has short ones, and few: [1::3]
    if address != "::1" and sum(map(bool, groups)) < 4 and max(map(len, groups)) < 3:
        return False
    if (address == "::1" and beside.startswith("[")) or not any(one.isdigit() for one in address):
        return False
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return False
    return True


def _length_of_tail(text: str, end: int) -> int:
    tail = _IPV6_TAIL.match(text, end)
    return tail.end() - end if tail else 0
