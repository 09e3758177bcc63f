"""Routers as a setup has them, and which model each conversation was given."""

from __future__ import annotations

from headgate.types import Frozen

MOST_SESSIONS = 50_000  # about 300 bytes each


class Flag(Frozen, frozen=True):
    """A model for a share of the conversations of some tiers; no tiers: of all."""

    model: str
    share: float
    tiers: frozenset[str] = frozenset()


class RouterSpec(Frozen, frozen=True):
    """A public name behind which headgate chooses among `members`, the cheapest first. Times in seconds."""

    name: str
    members: tuple[str, ...]
    cost_quality: float = 0.5
    target_quality: float | None = None
    weights: tuple[tuple[str, float], ...] = ()
    flags: tuple[Flag, ...] = ()
    max_ttft_seconds: float | None = None
    session_seconds: float = 3600.0


class Sessions:
    """Which model a conversation was given, for a while after its last turn. In this process only.

    Another process that gets a later turn decides by the conversation's beginning, and so mostly the same.
    """

    def __init__(self, most: int = MOST_SESSIONS) -> None:
        self._most = most
        self._kept: dict[bytes, tuple[str, float]] = {}  # the one that was silent for longest first

    def __len__(self) -> int:
        return len(self._kept)

    def model(self, session: bytes, now: float) -> str:
        """The model of a conversation; empty if it is not known, or too long ago. `now` is monotonic."""
        model, until = self._kept.get(session, ("", 0.0))
        return model if now < until else ""

    def keep(self, session: bytes, model: str, until: float) -> None:
        """A turn was given to a model."""
        self._kept.pop(session, None)
        self._kept[session] = (model, until)
        if len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]
