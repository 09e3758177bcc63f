"""Notes about entries where there is one process: it hears its own at once."""

from __future__ import annotations

from collections.abc import Callable


class MemoryEntryLog:
    """Implements `vector_ports.EntryLog`."""

    healthy = True
    is_current = True

    def __init__(self, apply: Callable[[bytes], None]) -> None:
        self._apply = apply
        self._closed = False

    def write(self, note: bytes) -> None:
        """As `vector_ports.EntryLog`."""
        if not self._closed:
            self._apply(note)

    async def aclose(self) -> None:
        """As `vector_ports.EntryLog`."""
        self._closed = True
