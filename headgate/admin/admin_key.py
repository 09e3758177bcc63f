"""The admin key: given by the operator, or made once at the first start and then known by its hash alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from headgate.errors import Unauthenticated
from headgate.gateway.accounts import digest
from headgate.types import Frozen

VARIABLE = "HEADGATE_ADMIN_KEY"
FILE_NAME = "admin_key.sha256"
_PREFIX = "hg-admin-"
_RANDOM_BYTES = 24


class AdminKey(Frozen, frozen=True):
    """`hash` is the SHA-256 hex digest. `secret` is there only when the key was made just now, to be shown once."""

    hash: str
    secret: str | None = None


def admin_key(data_dir: Path, given: str | None) -> AdminKey:
    """The key to ask for: the `given` one (from HEADGATE_ADMIN_KEY), or the one of this data directory.

    The first process to come makes it; any number may come at once. Raises OSError if the directory cannot be written.
    """
    if given:
        return AdminKey(digest(given))
    file = data_dir / FILE_NAME
    if file.exists():
        return AdminKey(file.read_text().strip())
    secret = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    data_dir.mkdir(parents=True, exist_ok=True)
    draft = data_dir / f"{FILE_NAME}.{secrets.token_hex(4)}"
    draft.touch(mode=0o600)
    draft.write_text(digest(secret) + "\n")
    try:
        os.link(draft, file)  # the whole file appears at once, and only for the first
    except FileExistsError:
        return AdminKey(file.read_text().strip())
    finally:
        draft.unlink()
    return AdminKey(digest(secret), secret)


def require_admin(sent: bytes | None, key_hash: str) -> None:
    """Raises Unauthenticated unless the admin key was sent. Takes the same time for every wrong key."""
    if sent is None:
        raise Unauthenticated("This needs the admin key. Send it as 'authorization: Bearer hg-admin-...'.")
    if not secrets.compare_digest(digest(sent), key_hash):
        raise Unauthenticated(
            "This is not the admin key. It is the value of HEADGATE_ADMIN_KEY at the server's start, or was printed at "
            "its first start."
        )
