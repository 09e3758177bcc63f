"""Which model each conversation was given, in the memory of one process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

MOST_SESSIONS = 50_000  # about 300 bytes each


class MemorySessions:
    """Implements `route_ports.Sessions`. `now` is in seconds, of any clock."""

    def __init__(self, now: Callable[[], float], most: int = MOST_SESSIONS) -> None:
        self._now = now
        self._most = most
        self._kept: dict[bytes, tuple[str, float]] = {}  # model and until when; the one silent for longest first

    def __len__(self) -> int:
        return len(self._kept)

    async def model(self, session: bytes) -> str:
        return self.known(session)

    def known(self, session: bytes) -> str:
        """As `model`: here it can be said at once."""
        model, until = self._kept.get(session, ("", 0.0))
        return model if self._now() < until else ""

    def keep(self, session: bytes, model: str, seconds: float, unless: Sequence[str] = ()) -> None:
        if unless and self.known(session) in unless:
            return
        self._kept.pop(session, None)
        self._kept[session] = (model, self._now() + seconds)
        if len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]

    def forget(self, session: bytes) -> None:
        """It is not known any more."""
        self._kept.pop(session, None)
