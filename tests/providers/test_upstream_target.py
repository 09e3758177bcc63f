"""Endpoints' URLs, proxies' URLs and NO_PROXY: pure functions."""

from __future__ import annotations

import pytest

from headgate.errors import UpstreamUnreachable
from headgate.providers.upstream.proxy import Proxy, ProxySettings, parse_proxy, proxy_for, proxy_settings
from headgate.providers.upstream.target import Target, parse_target

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("endpoint", "target", "authority"),
    [
        ("https://api.openai.com/v1", Target("https", "api.openai.com", 443, "/v1"), "api.openai.com"),
        ("https://api.openai.com/v1/", Target("https", "api.openai.com", 443, "/v1"), "api.openai.com"),
        ("http://127.0.0.1:8000/v1", Target("http", "127.0.0.1", 8000, "/v1"), "127.0.0.1:8000"),
        ("http://LocalHost:80", Target("http", "localhost", 80, ""), "localhost"),
        ("http://[::1]:8000/v1", Target("http", "::1", 8000, "/v1"), "[::1]:8000"),
        ("https://[::1]", Target("https", "::1", 443, ""), "[::1]"),
    ],
)
def test_an_endpoint_is_taken_apart(endpoint: str, target: Target, authority: str) -> None:
    assert parse_target(endpoint) == target
    assert parse_target(endpoint).authority == authority


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "api.openai.com/v1",
        "ftp://host/v1",
        "http://",
        "http://host:port/v1",
        "http://host:99999/v1",
        "http://[::1/v1",
        "http://ho st/v1",
        "http://host/v1\r\nx-evil: 1",
        "http://host/\x00",
        "http://hôst/v1",
        "http://user:secret-in-url@host/v1",
        "http://host/v1?key=secret-in-url",
        "http://host/v1#secret-in-url",
    ],
)
def test_an_endpoint_that_cannot_be_called_is_named_without_its_secrets(endpoint: str) -> None:
    with pytest.raises(UpstreamUnreachable) as caught:
        parse_target(endpoint)
    assert "endpoint" in caught.value.message
    assert "secret-in-url" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        (PROXY, Proxy("proxy.example", 3128)),
        ("proxy.example:3128", Proxy("proxy.example", 3128)),
        ("http://proxy.example", Proxy("proxy.example", 80)),
        ("http://al%40ice:p%3Aw@proxy.example:1", Proxy("proxy.example", 1, "Basic YWxAaWNlOnA6dw==")),
        ("http://alice@proxy.example:1", Proxy("proxy.example", 1, "Basic YWxpY2U6")),
    ],
)
def test_a_proxy_is_taken_apart(url: str, proxy: Proxy) -> None:
    assert parse_proxy(url) == proxy


@pytest.mark.parametrize("url", ["http://", "socks5://u:secret-in-url@host:1", "https://host", "http://host:port"])
def test_a_proxy_that_cannot_be_used_is_named_without_its_secrets(url: str) -> None:
    with pytest.raises(UpstreamUnreachable) as caught:
        parse_proxy(url)
    assert "proxy" in caught.value.message
    assert "secret-in-url" not in caught.value.message


@pytest.mark.parametrize(
    ("no_proxy", "endpoint", "bypassed"),
    [
        ("", "http://example.com", False),
        ("*", "http://example.com", True),
        ("example.com", "http://example.com", True),
        ("example.com", "http://api.example.com", True),
        (".example.com", "http://api.example.com", True),
        ("*.example.com", "http://api.example.com", True),
        ("EXAMPLE.com", "http://api.Example.COM", True),
        ("example.com", "http://notexample.com", False),
        ("api.example.com", "http://example.com", False),
        ("other.org, example.com", "http://example.com", True),
        ("other.org example.com", "http://example.com", True),
        ("example.com:8000", "http://example.com:8000", True),
        ("example.com:8000", "http://example.com:8001", False),
        ("example.com:443", "https://example.com", True),
        ("10.0.0.0/8", "http://10.1.2.3:8000", True),
        ("10.0.0.0/8", "http://11.1.2.3:8000", False),
        ("10.0.0.0/8", "http://10.example.com", False),
        ("127.0.0.1", "http://127.0.0.1:8000", True),
        ("127.0.0.1:8000", "http://127.0.0.1:8000", True),
        ("127.0.0.1:8001", "http://127.0.0.1:8000", False),
        ("::1", "http://[::1]:8000", True),
        ("[::1]", "http://[::1]:8000", True),
        ("[::1]:8000", "http://[::1]:8000", True),
        ("fd00::/8", "http://[fd12::1]", True),
        ("fd00::/8", "http://10.0.0.1", False),
        ("localhost", "http://127.0.0.1", False),
        (",,", "http://example.com", False),
    ],
)
def test_no_proxy(no_proxy: str, endpoint: str, bypassed: bool) -> None:
    settings = ProxySettings(https=PROXY, http=PROXY, no_proxy=no_proxy)
    assert (proxy_for(parse_target(endpoint), settings) is None) == bypassed


def test_the_proxy_is_chosen_by_the_scheme_of_the_target() -> None:
    settings = ProxySettings(https="http://secure:1", http="http://plain:2")
    assert proxy_for(parse_target("https://example.com"), settings) == Proxy("secure", 1)
    assert proxy_for(parse_target("http://example.com"), settings) == Proxy("plain", 2)
    assert proxy_for(parse_target("http://example.com"), ProxySettings(https="http://secure:1")) is None


def test_a_providers_proxy_wins_over_the_environment() -> None:
    environment = {"HTTPS_PROXY": "http://upper:1", "http_proxy": "http://lower:2", "NO_PROXY": "example.com"}
    assert proxy_settings("none", environment) == ProxySettings()
    assert proxy_settings(PROXY, environment) == ProxySettings(https=PROXY, http=PROXY)
    assert proxy_settings("", environment) == ProxySettings("http://upper:1", "http://lower:2", "example.com")
    assert proxy_settings("", {"ALL_PROXY": PROXY}) == ProxySettings(https=PROXY, http=PROXY)
    assert proxy_settings("", {}) == ProxySettings()
