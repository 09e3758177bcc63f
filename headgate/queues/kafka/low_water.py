"""How far a partition has been read without a gap: what may be committed while messages end in any order."""

from __future__ import annotations


class LowWater:
    """Of one partition. Offsets are begun in their order, each once."""

    def __init__(self) -> None:
        self._open: dict[int, bool] = {}  # offsets from the first that is not done, in order; True: done
        self._next = -1  # after the last one begun

    def __len__(self) -> int:
        """How many are kept: those that are not done, and those behind them."""
        return len(self._open)

    @property
    def position(self) -> int:
        """The offset after the last one begun; -1: none was."""
        return self._next

    def begin(self, offset: int) -> None:
        """A message was read."""
        self._open[offset] = False
        self._next = offset + 1

    def done(self, offset: int) -> int | None:
        """A message is done with: the offset to go on from, if it has moved."""
        if offset not in self._open:
            return None
        self._open[offset] = True
        if next(iter(self._open)) != offset:
            return None
        while self._open and self._open[first := next(iter(self._open))]:
            del self._open[first]
        return next(iter(self._open), self._next)
