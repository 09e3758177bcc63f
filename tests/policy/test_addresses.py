"""Where callers may send headgate."""

from __future__ import annotations

import ipaddress

import pytest

from headgate.policy.addresses import literal, networks, refusal


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "0x7f.1", "0x7f000001", "017700000001", "2130706433", "0177.0.0.1", "127.0.0.1.", "0",
        "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "10.0.0.8",
        "172.31.255.255", "192.168.1.1", "100.64.0.1", "169.254.169.254", "0xa9fea9fe", "2852039166",
        "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "[fe80::1%25eth0]", "168.63.129.16", "100.100.100.200",
        "192.0.0.192", "224.0.0.1", "255.255.255.255", "[ff02::1]", "[2002:7f00:1::]", "[2001:db8::1]", "[::7f00:1]",
    ],
)  # fmt: skip
def test_inside_in_every_way_of_writing_it(host: str) -> None:
    address = literal(host)
    assert address is not None and refusal(address)


@pytest.mark.parametrize("host", ["8.8.8.8", "1.1", "172.32.0.1", "[2606:4700:4700::1111]", "[64:ff9b::808:808]"])
def test_the_public_internet(host: str) -> None:
    address = literal(host)
    assert address is not None and refusal(address) == ""


@pytest.mark.parametrize("host", ["hooks.example.com", "0x7f.example", "example.com.", "a1", "1a", "localhost"])
def test_names_are_looked_up(host: str) -> None:
    assert literal(host) is None


@pytest.mark.parametrize(
    "host", ["1.2.3.4.5", "256.256.256.256", "1.2.3.256", "example.1", "0x1ffffffff", "08.1", "[::g]"]
)
def test_what_ends_in_a_number_and_is_no_address(host: str) -> None:
    with pytest.raises(ValueError):
        literal(host)


def test_what_the_operator_allows() -> None:
    allowed = networks(["10.1.0.0/16", "fd00::/8"])
    assert refusal(ipaddress.ip_address("10.1.2.3"), allowed) == ""
    assert refusal(ipaddress.ip_address("::ffff:10.1.2.3"), allowed) == ""
    assert refusal(ipaddress.ip_address("10.2.2.3"), allowed) == "a private network"
    assert refusal(ipaddress.ip_address("fd12::1"), allowed) == ""
    assert refusal(ipaddress.ip_address("fe80::1"), allowed)
