"""Routers as a setup has them, and what one chose for a request."""

from __future__ import annotations

from headgate.policy.choosing import Choice, Why
from headgate.policy.escalating import Standard
from headgate.route_types import Hardness, Routed, Signals
from headgate.types import Frozen

OPERATOR = "headgate"  # the tenant of what the gateway asks for itself


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
    standard: Standard = Standard()
    hold_streams: bool = False  # until they are whole, so that all of them can be judged
    near: float = 0.0  # close calls go to the better model, or are checked
    check_with: str = ""  # a model that is asked whether an answer will do
    difficulty_model: str = ""  # the file of a trained model; empty: the packaged one
    use_embedder: bool = False  # judge questions by their meaning too
    appeal: bool = False
    challenges: tuple[str, ...] = ()  # in lower case
    shadow_share: float = 0.0
    shadow_picousd_per_day: int = 0
    judge: str = ""  # a model; empty: the best member
    max_loss: float = 0.1


class ModelChoice(Frozen, frozen=True):
    """How a router chose the model of a request. `session` tells its conversation from others."""

    router: RouterSpec
    signals: Signals
    hardness: Hardness
    choice: Choice
    session: bytes
    appealed: str = ""  # the model whose answer was not good enough for its user

    def cheaper_than(self, model: str) -> str:
        """The next cheaper one that could answer; empty if there is none."""
        return _after(model, self._ladder()[::-1])

    def better_than(self, model: str) -> str:
        """The next better one that could answer; empty if there is none."""
        return _after(model, self._ladder())

    def told(self, model: str, doubt: str, *, is_short: bool) -> Routed:
        """For the ledger and the log: `model` answers in the end, `doubt` says why another one's answer did not do."""
        choice = self.choice
        why, reason = choice.why, choice.reason
        if doubt:
            why, reason = Why.ESCALATED, doubt
        elif is_short:
            why, reason = Why.BUDGET, f"there is not enough money left for {choice.model}"
        return Routed(self.router.name, model, why, reason, round(self.hardness.difficulty, 4), choice.candidates)

    def _ladder(self) -> tuple[str, ...]:
        """The models that could answer, the cheapest first."""
        return (*self.choice.down[::-1], self.choice.model or "", *self.choice.up)


def _after(model: str, order: tuple[str, ...]) -> str:
    return order[order.index(model) + 1] if model in order[:-1] else ""
