"""What an endpoint's URL means for a socket and a request line. Pure: resolves and opens nothing."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from headgate.errors import UpstreamUnreachable
from headgate.types import Frozen

DEFAULT_PORTS = {"http": 80, "https": 443}
NOT_IN_A_URL = re.compile(r"[^\x21-\x7e]")  # blanks, line breaks and everything that is not printable ASCII


class Target(Frozen, frozen=True, gc=False):
    """An endpoint taken apart. `path` has no slash at its end; `host` has no brackets if it is an IPv6 address."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The value of the host header: the port is left out if it is the scheme's own."""
        host = bracketed(self.host)
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def address(self) -> str:
        """`host:port`, as CONNECT and error messages want it."""
        return f"{bracketed(self.host)}:{self.port}"


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def parse_target(endpoint: str) -> Target:
    """Take an endpoint's URL apart. Raises UpstreamUnreachable if it cannot be called, never showing credentials."""
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError as error:
        raise UpstreamUnreachable(f"An endpoint is not a URL ({error}). Correct base_url or endpoints.") from None
    if NOT_IN_A_URL.search(endpoint) or parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise UpstreamUnreachable(
            "An endpoint is not an http:// or https:// URL of plain ASCII. Correct base_url or endpoints."
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise UpstreamUnreachable(
            f"The endpoint at {parts.hostname} has a user name, query or fragment in its URL. "
            "Keys go into api_key, and base_url ends with the version."
        )
    return Target(parts.scheme, parts.hostname, port or DEFAULT_PORTS[parts.scheme], parts.path.rstrip("/"))
