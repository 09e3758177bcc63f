"""Asking a running server, for what only it knows or does."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

import click
import msgspec

from headgate.admin.admin_key import VARIABLE
from headgate.config.load import load
from headgate.errors import InvalidRequest

_SECONDS = 60.0
_ANYWHERE = ("0.0.0.0", "::", "")  # addresses to listen on that cannot be asked

url_option = click.option("--url", metavar="URL", help="The server; default: where the configuration lets it listen.")


def segment(name: str) -> str:
    """An id as one segment of a path, whatever is in it. Raises InvalidRequest for what can be no id."""
    if name.strip() in ("", ".", "..") or "/" in name or not name.isprintable():
        raise InvalidRequest(f"{name!r} is no id. Copy it from the list, or from what printed it.")
    return quote(name, safe="")


class _Told(msgspec.Struct):
    message: str
    param: str | None = None


class _Refused(msgspec.Struct):
    error: _Told


class Server(msgspec.Struct, frozen=True):
    """Whom to ask, and with which key."""

    url: str
    key: str

    def ask(self, method: str, path: str, body: object = None, more: Mapping[str, str] | None = None) -> bytes:
        """A successful answer; `more` are headers. Raises InvalidRequest with the server's own words."""
        with self._asked(method, path, body, more) as response:
            return response.read()

    def follow(self, path: str) -> Iterator[bytes]:
        """The data of server-sent events, as they come. Raises InvalidRequest, also if the server goes away."""
        with self._asked("GET", path) as response:
            try:
                for line in response:
                    if line.startswith(b"data: "):
                        yield line.removeprefix(b"data: ").rstrip(b"\n")
            except (OSError, http.client.HTTPException):
                raise InvalidRequest("The server went away. Ask again when it is back: nothing is lost.") from None

    @contextmanager
    def _asked(
        self, method: str, path: str, body: object = None, more: Mapping[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidRequest(f"'{self.url}' is no URL of a server. Write e.g. http://127.0.0.1:8080.")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname, parts.port, timeout=_SECONDS)
        try:
            headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json", **(more or {})}
            data = b"" if body is None else msgspec.json.encode(body)
            connection.request(method, parts.path.rstrip("/") + path, data, headers)
            response = connection.getresponse()
            if response.status >= 400:
                raise _refusal(response.status, response.read())
            yield response
        except OSError as error:
            raise InvalidRequest(
                f"{self.url} does not answer: {error.strerror or error}. Is the server running?"
            ) from None
        except http.client.HTTPException:
            raise InvalidRequest(f"{self.url} is no headgate server.") from None
        finally:
            connection.close()


def server_url(url: str | None, config_path: str | None) -> str:
    """Where the server is: as told, or where the configuration lets it listen."""
    if url is not None:
        return url
    server = load(config_path, os.environ).config.server
    return f"http://{'127.0.0.1' if server.host in _ANYWHERE else server.host}:{server.port}"


def ask(method: str, path: str, body: object = None, *, url: str | None, config_path: str | None) -> bytes:
    """A successful answer of the admin API. Raises InvalidRequest with the server's own words."""
    admin_key = os.environ.get(VARIABLE, "")
    if not admin_key:
        raise InvalidRequest(
            f"Put the admin key into the variable {VARIABLE}: what the server had there, or printed at its first start."
        )
    return Server(server_url(url, config_path), admin_key).ask(method, path, body)


def _refusal(status: int, answer: bytes) -> InvalidRequest:
    try:
        told = msgspec.json.decode(answer, type=_Refused).error
    except msgspec.DecodeError:
        return InvalidRequest(f"The server answered {status}.")
    return InvalidRequest(told.message, param=told.param)
