"""How both providers of bills page: buckets of a day, and where to go on."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

Bucket = TypeVar("Bucket")


class Page(msgspec.Struct, Generic[Bucket], frozen=True):
    """Some days."""

    data: list[Bucket]
    has_more: bool = False
    next_page: str | None = None

    @property
    def cursor(self) -> str | None:
        """Of the page after this one, if there is one."""
        return self.next_page if self.has_more else None
