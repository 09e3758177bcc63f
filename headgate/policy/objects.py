"""What applications keep for themselves beside the answers of models: results of retrieval and of tools, any JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

MOST_SECONDS = 30 * 86_400.0
USUAL_SECONDS = 3_600.0


def object_key(tenant: str, namespace: str, key: str, user: str | None = None) -> bytes:
    """Where a value is kept: of a tenant, or of one of its users."""
    holder = ("tenant",) if user is None else ("user", user)
    parts = [part.encode() for part in ("object", tenant, *holder, namespace, key)]
    return hashlib.sha256(b"".join([b"%d:%b" % (len(part), part) for part in parts])).digest()


def texts_of(value: object) -> Iterator[str]:
    """Everything in a JSON value that somebody could read, numbers too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield str(name)
            yield from texts_of(member)
    elif isinstance(value, list):
        for member in value:
            yield from texts_of(member)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
