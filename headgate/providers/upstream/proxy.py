"""Which proxy stands before a target, by configuration or the usual environment variables. Pure: values are passed in.

The meaning of NO_PROXY is the common denominator of curl and Go: names match themselves and their subdomains, addresses
match networks in CIDR notation, `host:port` matches that port only, `*` matches everything. Loopback is not special.
"""

from __future__ import annotations

import ipaddress
from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from headgate.errors import UpstreamUnreachable
from headgate.providers.upstream.target import Target, bracketed
from headgate.types import Frozen

DEFAULT_PORT = 80
PASSWORD_WANTED = "wants a user name and password (407): put the right ones into its URL"


class ProxySettings(Frozen, frozen=True, gc=False):
    """Proxy URLs by the scheme of the target; empty: none."""

    https: str = ""
    http: str = ""
    no_proxy: str = ""


class Proxy(Frozen, frozen=True, gc=False):
    """A proxy to connect to; `authorization` is the value of the proxy-authorization header, or empty."""

    host: str
    port: int
    authorization: str = ""

    @property
    def address(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"


def proxy_settings(configured: str, environment: Mapping[str, str]) -> ProxySettings:
    """The proxies of a provider: `configured` is its `proxy` (a URL, "none", or empty: by the environment)."""
    if configured == "none":
        return ProxySettings()
    if configured:
        return ProxySettings(https=configured, http=configured)

    def variable(name: str) -> str:
        return environment.get(name.lower()) or environment.get(name.upper(), "")

    everything = variable("all_proxy")
    return ProxySettings(
        https=variable("https_proxy") or everything,
        http=variable("http_proxy") or everything,
        no_proxy=variable("no_proxy"),
    )


def proxy_for(target: Target, settings: ProxySettings) -> Proxy | None:
    """The proxy before a target, or None. Raises UpstreamUnreachable if its URL cannot be used."""
    url = settings.https if target.scheme == "https" else settings.http
    if not url or bypasses(target, settings.no_proxy):
        return None
    return parse_proxy(url)


def parse_proxy(url: str) -> Proxy:
    """Take a proxy's URL or `host:port` apart. Raises UpstreamUnreachable, never showing credentials."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        raise UpstreamUnreachable("The proxy's URL has no host. Write it as http://host:port.")
    if parts.scheme != "http":
        raise UpstreamUnreachable(f"The proxy {host} is a {parts.scheme}:// one, only http:// proxies are spoken to.")
    return Proxy(host, port or DEFAULT_PORT, basic_authorization(parts.username, parts.password))


def basic_authorization(user: str | None, password: str | None) -> str:
    """RFC 7617; what the URL has percent-encoded is decoded first."""
    if user is None:
        return ""
    credentials = f"{unquote(user)}:{unquote(password or '')}"
    return "Basic " + b64encode(credentials.encode()).decode()


def bypasses(target: Target, no_proxy: str) -> bool:
    """Whether NO_PROXY names the target."""
    return any(_names(entry, target) for entry in no_proxy.replace(",", " ").lower().split())


def _names(entry: str, target: Target) -> bool:
    if entry == "*":
        return True
    network = _network(entry)
    if network is not None:
        address = _network(target.host)
        if address is None or address.version != network.version:
            return False
        return address.subnet_of(network)  # type: ignore[arg-type]  # both are of one version
    host, colon, port = entry.rpartition(":")
    if not colon:
        host = entry
    elif port != str(target.port):
        return False
    host = host.strip("[]").removeprefix("*").removeprefix(".")
    name = target.host.lower().rstrip(".")
    return bool(host) and (name == host or name.endswith(f".{host}"))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None
