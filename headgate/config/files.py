"""The files and folders that a configuration names: each must be there, and be what it is named for.

Not pure, unlike the other checks: it looks at the disk. Without it a missing file would be told by the first request
that needs it. Never prints what is in a file.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from headgate.config.problems import Findings, Place
from headgate.config.schema import Config

MOST_BYTES = 64 * 2**20  # a difficulty model has 1 MB
_LOCAL = "local"
_JSON = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ACCOUNT = frozenset({"client_email", "private_key", "token_uri"})  # what Google's own library asks for

Reason = str


def check_files(config: Config, findings: Findings) -> None:
    """Add an error for each file that cannot be used, and for each folder that cannot be one."""
    for place, name, is_usable, hint in _files(config):
        if name and not findings.is_broken(place) and (reason := _trouble(Path(name), is_usable)):
            start = "" if Path(name).is_absolute() else "; a relative path starts from the working directory"
            findings.error(place, f"{findings.quoted(place, name)} cannot be used: {reason}", f"{hint}{start}")
    for place, name in ((("server", "data_dir"), config.server.data_dir), *_embedders_folder(config)):
        if (found := _no_folder(Path(name))) is not None:
            message = f"{findings.quoted(place, name)} cannot be a folder: {found.name or found} is a file"
            findings.error(place, message, "give the path of a folder; it is made if it is not there")


def _files(config: Config) -> Iterator[tuple[Place, str, Callable[[Path], Reason], str]]:
    """Where each file is named, its name, what tells why it cannot be used, and what to do then."""
    certificates = "give the path of a file with certificates in PEM, which this process may read"
    for name, provider in config.providers.items():
        place = ("providers", name)
        yield (*place, "ca_file"), provider.ca_file, _no_certificates, certificates
        key = "give the path of a service account's key in JSON, which this process may read"
        yield (*place, "credentials_file"), provider.credentials_file, _no_account, key
    yield ("jobs", "webhooks", "ca_file"), config.jobs.webhooks.ca_file, _no_certificates, certificates
    for name, router in config.routers.items():
        trained = "give the path of a file that headgate route train has written"
        yield ("routers", name, "difficulty_model"), router.difficulty_model, _no_object, trained


def _embedders_folder(config: Config) -> Iterator[tuple[Place, str]]:
    embedder = config.embedder
    if embedder.provider == _LOCAL and embedder.directory:
        yield ("embedder", "directory"), embedder.directory


def _trouble(path: Path, is_usable: Callable[[Path], Reason]) -> Reason:
    """Why a file cannot be used, "" if it can."""
    try:
        if path.exists() and not path.is_file():
            return "it is no file"  # and a pipe would keep us waiting
        if path.stat().st_size > MOST_BYTES:
            return f"larger than {MOST_BYTES:,} bytes"
        return is_usable(path)
    except ssl.SSLError:
        return "there is no certificate in it"
    except OSError as error:
        return error.strerror or type(error).__name__
    except ValueError:  # a NUL in the name, or what is no JSON
        return "it is not what it should be"


def _no_certificates(path: Path) -> Reason:
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    return ""


def _no_account(path: Path) -> Reason:
    missing = _ACCOUNT - _JSON.decode(path.read_bytes()).keys()
    return f"it has no {', '.join(sorted(missing))}" if missing else ""


def _no_object(path: Path) -> Reason:
    _JSON.decode(path.read_bytes())
    return ""


def _no_folder(path: Path) -> Path | None:
    """What stands in the way of a folder, if anything does."""
    try:
        path = path.expanduser()
        nearest = next((one for one in (path, *path.parents) if one.exists()), None)
    except (OSError, ValueError, RuntimeError):
        return None  # the start says it
    return nearest if nearest is not None and not nearest.is_dir() else None
