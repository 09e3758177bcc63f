"""Asking a running server, for what only it knows or does."""

from __future__ import annotations

import http.client
import os
from urllib.parse import urlsplit

import click
import msgspec

from headgate.admin.admin_key import VARIABLE
from headgate.config.load import load
from headgate.errors import InvalidRequest

_SECONDS = 10.0
_ANYWHERE = ("0.0.0.0", "::", "")  # addresses to listen on that cannot be asked

url_option = click.option("--url", metavar="URL", help="The server; default: where the configuration lets it listen.")


class _Told(msgspec.Struct):
    message: str


class _Refused(msgspec.Struct):
    error: _Told


def ask(method: str, path: str, body: object = None, *, url: str | None, config_path: str | None) -> bytes:
    """A successful answer of the admin API. Raises InvalidRequest with the server's own words."""
    admin_key = os.environ.get(VARIABLE, "")
    if not admin_key:
        raise InvalidRequest(f"Put the admin key into the variable {VARIABLE}: the server is asked with it.")
    if url is None:
        server = load(config_path, os.environ).config.server
        url = f"http://{'127.0.0.1' if server.host in _ANYWHERE else server.host}:{server.port}"
    status, answer = _exchange(method, url, path, b"" if body is None else msgspec.json.encode(body), admin_key)
    if status >= 400:
        raise InvalidRequest(_words(status, answer))
    return answer


def _exchange(method: str, url: str, path: str, body: bytes, admin_key: str) -> tuple[int, bytes]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidRequest(f"'{url}' is no URL of a server. Write e.g. http://127.0.0.1:8080.")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=_SECONDS)
    try:
        headers = {"authorization": f"Bearer {admin_key}", "content-type": "application/json"}
        connection.request(method, parts.path.rstrip("/") + path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    except OSError as error:
        raise InvalidRequest(f"{url} does not answer: {error.strerror or error}. Is the server running?") from None
    except http.client.HTTPException:
        raise InvalidRequest(f"{url} is no headgate server.") from None
    finally:
        connection.close()


def _words(status: int, answer: bytes) -> str:
    try:
        return msgspec.json.decode(answer, type=_Refused).error.message
    except msgspec.DecodeError:
        return f"The server answered {status}."
