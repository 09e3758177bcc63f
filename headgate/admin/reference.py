"""The page about the admin API: `introduction.md`, written by hand, then every endpoint from the table in `routes.py`.

python -m headgate.admin.reference > docs/admin.md
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from headgate.admin.endpoint import Access, Endpoint
from headgate.admin.routes import ENDPOINTS

_TITLES = {
    Access.PUBLIC: "For everybody",
    Access.CALLER: "For callers, with a virtual key",
    Access.LINK: "For callers, with a virtual key or by a signed link",
    Access.ADMIN: "For operators, with the admin key",
}


def reference() -> str:
    """The whole page as Markdown."""
    introduction = Path(__file__).with_name("introduction.md").read_text(encoding="utf-8")
    return introduction + "\n".join(_section(access) for access in Access)


def _section(access: Access) -> str:
    rows = "\n".join(_row(endpoint) for endpoint in ENDPOINTS if endpoint.access is access)
    return f"## {_TITLES[access]}\n\n| | takes | |\n|---|---|---|\n{rows}\n"


def _row(endpoint: Endpoint[Any]) -> str:
    path = endpoint.path.replace(":path}", "}")
    text = " ".join(inspect.cleandoc(endpoint.handle.__doc__ or "").split())
    return f"| `{endpoint.method} {path}` | {', '.join(_parameters(endpoint))} | {text} |"


def _parameters(endpoint: Endpoint[Any]) -> Iterator[str]:
    """Names of what is sent beside the path, those that must be sent in bold."""
    for field in msgspec.structs.fields(endpoint.takes):
        if field.name not in endpoint.path_parameters:
            yield f"**`{field.name}`**" if field.required else f"`{field.name}`"


if __name__ == "__main__":
    sys.stdout.write(reference())
