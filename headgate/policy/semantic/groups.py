"""What a partition knows of its entries: a record for each, and which of them are verified to have the same answer."""

from __future__ import annotations

import msgspec

from headgate.policy.semantic.sketch import Sketch

_USUAL = 1.5  # closeness between questions with the same answer, before any is known: a cosine of 0.8
_USUAL_TRUST = 2.0  # what that is worth, in pairs


class Record:
    """What is known of an entry."""

    __slots__ = ("_packed", "group", "nearest", "right", "wrong")

    def __init__(self, entry: str, sketch: Sketch, nearest: float) -> None:
        self._packed = msgspec.msgpack.encode(sketch)  # a tenth of the objects; reading it takes 8 us
        self.nearest = nearest  # similarity of its nearest neighbour when it came, 0 if there was none
        self.group = Group(entry)
        self.right = 0
        self.wrong = 0

    @property
    def sketch(self) -> Sketch:
        """What is to be known of its question."""
        return msgspec.msgpack.decode(self._packed, type=Sketch)


class Group:
    """Entries that are verified to have the same answer, and that answer's record."""

    __slots__ = (
        "_pairs", "_total", "_vouched", "different", "entries", "farthest_right", "nearest_wrong", "right", "wrong",
    )  # fmt: skip

    def __init__(self, entry: str) -> None:
        self.entries = {entry}
        self.different: set[Group] = set()  # groups with an answer that is verified to be another
        self.right = 0
        self.wrong = 0
        self.farthest_right: float | None = None  # closeness of questions its answer was right, or wrong, for
        self.nearest_wrong: float | None = None
        self._total = 0.0
        self._pairs = 0
        self._vouched: dict[str, int] = {}  # by guard, right outcomes that were counted against it

    @property
    def usual(self) -> float:
        """The mean closeness of questions with this answer."""
        return (self._total + _USUAL * _USUAL_TRUST) / (self._pairs + _USUAL_TRUST)

    def observe(self, near: float, correct: bool) -> None:
        """Its answer was compared with a fresh one for a question that is as near as this."""
        if correct:
            self.right += 1
            self.farthest_right = near if self.farthest_right is None else min(self.farthest_right, near)
            self._total += near
            self._pairs += 1
        else:
            self.wrong += 1
            self.nearest_wrong = near if self.nearest_wrong is None else max(self.nearest_wrong, near)

    def vouch(self, guard: str, most: int) -> bool:
        """Whether one more right outcome of this answer counts against a guard."""
        counted = self._vouched.get(guard, 0)
        if counted >= most:
            return False
        self._vouched[guard] = counted + 1
        return True

    def differ(self, other: Group) -> None:
        """The answers of both are verified to be different."""
        if other is not self:
            self.different.add(other)
            other.different.add(self)

    def absorb(self, other: Group) -> None:
        """The answers of both are verified to be the same. Who holds `other` must hold this one from now on."""
        self.entries |= other.entries
        for third in other.different:
            third.different.discard(other)
            self.differ(third)
        self.right += other.right
        self.wrong += other.wrong
        for guard, counted in other._vouched.items():
            self._vouched[guard] = self._vouched.get(guard, 0) + counted
        self._total += other._total
        self._pairs += other._pairs
        farthest = [near for near in (self.farthest_right, other.farthest_right) if near is not None]
        nearest = [near for near in (self.nearest_wrong, other.nearest_wrong) if near is not None]
        self.farthest_right = min(farthest, default=None)
        self.nearest_wrong = max(nearest, default=None)

    def leave(self, entry: str) -> None:
        """The entry is gone; with the last one, the group is."""
        self.entries.discard(entry)
        if not self.entries:
            for other in self.different:
                other.different.discard(self)
            self.different.clear()
