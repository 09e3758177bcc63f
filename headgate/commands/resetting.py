"""`headgate limits reset`: asks a running server, because only those who count know what has tripped."""

from __future__ import annotations

import http.client
import os
from urllib.parse import urlsplit

import click
import msgspec

from headgate.admin.admin_key import VARIABLE
from headgate.commands.options import config_option
from headgate.config.load import load
from headgate.errors import InvalidRequest

_SECONDS = 10.0
_ANYWHERE = ("0.0.0.0", "::", "")  # addresses to listen on that cannot be asked


class _Told(msgspec.Struct):
    message: str


class _Refused(msgspec.Struct):
    error: _Told


@click.command()
@click.option("--tenant", metavar="NAME", required=True, help="Whose; without --user and --key the tenant's own.")
@click.option("--user", metavar="NAME", help="One of its users.")
@click.option("--key", metavar="ID", help="One of its keys.")
@click.option("--url", metavar="URL", help="The server; default: where the configuration lets it listen.")
@config_option
def reset(tenant: str, user: str | None, key: str | None, url: str | None, config_path: str | None) -> None:
    """Let requests pass again that a spend velocity stops. Needs the server, and its key in HEADGATE_ADMIN_KEY."""
    admin_key = os.environ.get(VARIABLE, "")
    if not admin_key:
        raise InvalidRequest(f"Put the admin key into the variable {VARIABLE}: the server is asked with it.")
    if url is None:
        server = load(config_path, os.environ).config.server
        url = f"http://{'127.0.0.1' if server.host in _ANYWHERE else server.host}:{server.port}"
    body = msgspec.json.encode({"tenant": tenant, "user": user, "key": key})
    status, answer = _post(url, "/admin/velocity/reset", body, admin_key)
    if status != 200:
        raise InvalidRequest(_words(status, answer))
    click.echo("Requests pass again.", err=True)


def _post(url: str, path: str, body: bytes, admin_key: str) -> tuple[int, bytes]:
    """Raises InvalidRequest for what is no URL of a server, OSError if nobody answers."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidRequest(f"'{url}' is no URL of a server. Write e.g. http://127.0.0.1:8080.")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=_SECONDS)
    try:
        headers = {"authorization": f"Bearer {admin_key}", "content-type": "application/json"}
        connection.request("POST", parts.path.rstrip("/") + path, body, headers)
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
