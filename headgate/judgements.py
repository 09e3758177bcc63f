"""What is known about one prompt and two models: did the cheap one do as well as the strong one?

Rows of this shape come from files, from shadow runs and from appeals; the difficulty model learns from them.
"""

from __future__ import annotations

from enum import StrEnum

from headgate.types import Frozen


class WeakOutcome(StrEnum):
    """How the weak model's answer compares with the strong one's."""

    WIN = "win"
    TIE = "tie"
    LOSE = "lose"

    @property
    def loss(self) -> int:
        """What choosing the weak model costs: 1 a lost answer, 0 nothing, -1 a better one."""
        return _LOSS[self]


_LOSS = {WeakOutcome.WIN: -1, WeakOutcome.TIE: 0, WeakOutcome.LOSE: 1}


class Judgement(Frozen, frozen=True, gc=False):
    """One row, as it stands in a file: other members are ignored."""

    prompt: str  # the user's message
    weak: str  # names of the two models
    strong: str
    weak_outcome: WeakOutcome
    source: str = ""  # who judged what: rows are compared within a source, never across
    followup: str | None = None  # the user's second message, where the second answer was judged

    @property
    def text(self) -> str:
        """What the judged answer answers."""
        return self.prompt if self.followup is None else f"{self.prompt}\n\n{self.followup}"
