"""Which web pages may read what is served under `/v1/`: cross-origin resource sharing, as browsers ask for it.

https://fetch.spec.whatwg.org/#http-cors-protocol. Keys come in headers that a page sets itself, never as cookies, so
no page is allowed credentials, and `*` may stand for every header that it may read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from headgate.errors import Forbidden

ANY = "*"
PREFIX = "/v1/"  # never the admin API
_METHODS = "GET, POST, PUT, DELETE"
_REMEMBERED_SECONDS = "600"

_OF_THIS_MACHINE = re.compile(rb"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")

Lines = list[tuple[bytes, bytes]]


class Cors:
    """What the pages of some origins may do."""

    def __init__(self, origins: Sequence[str]) -> None:
        """Each as browsers send it, such as `https://chat.example.com`, or `*`."""
        self._any = ANY in origins
        self._allowed = frozenset(origin.encode() for origin in origins)

    def lines(self, headers: Mapping[bytes, bytes]) -> Lines:
        """The headers that let a page read the answer to a request; none for those that may not, and for others."""
        origin = headers.get(b"origin")
        if origin is None or not (self._any or origin in self._allowed):
            return []
        if self._any:
            return [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", b"*")]
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", b"*"),
            (b"vary", b"origin"),
        ]

    def rendered(self, headers: Mapping[bytes, bytes]) -> bytes:
        """As `lines`, as they are written."""
        return b"".join([b"%b: %b\r\n" % line for line in self.lines(headers)])

    def preflight(self, headers: Mapping[bytes, bytes]) -> dict[str, str]:
        """What a browser that asks before it sends a page's request is told besides. Raises Forbidden."""
        if not self.lines(headers):
            raise Forbidden("Pages of this origin may not ask here. The operator allows them in server.cors_origins.")
        told = {"access-control-allow-methods": _METHODS, "access-control-max-age": _REMEMBERED_SECONDS}
        if wanted := headers.get(b"access-control-request-headers"):
            told["access-control-allow-headers"] = wanted.decode("latin-1")  # SDKs send many of their own
        return told


def is_preflight(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether it is a browser that asks for a page."""
    return method == "OPTIONS" and b"origin" in headers and b"access-control-request-method" in headers


def require_known_page(headers: Mapping[bytes, bytes], cors: Cors | None) -> None:
    """Of a request without a key, where none is needed: any page that somebody opens can send one, and would spend the
    operator's money although it may not read the answer. Raises Forbidden."""
    if (origin := headers.get(b"origin")) is None or _OF_THIS_MACHINE.fullmatch(origin):
        return
    if cors is None or not cors.lines(headers):
        raise Forbidden(
            "Without authentication only pages of this machine may ask. The operator allows others in "
            "server.cors_origins."
        )
