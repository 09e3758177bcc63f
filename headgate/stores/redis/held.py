"""What this process's requests under way hold in the store: told again when the store has lost it."""

from __future__ import annotations

from collections.abc import Sequence

from headgate.metering import Ask, Meter
from headgate.types import Measure, MeterKind


class Held:
    """One request's hold."""

    __slots__ = ("ask", "dispatched", "meters", "output_tokens")

    def __init__(self, meters: Sequence[Meter], ask: Ask, output_tokens: int) -> None:
        self.meters = meters
        self.ask = ask
        self.output_tokens = output_tokens  # of one choice
        self.dispatched = False

    def amounts(self) -> list[tuple[Meter, int]]:
        """What it holds of each meter. A repetition is not held, it has happened."""
        ask, output = self.ask, self.output_tokens * self.ask.choices
        amounts = {
            Measure.REQUESTS: 1,
            Measure.TOKENS: ask.input_tokens + output,
            Measure.USD: ask.input_picousd + output * ask.output_price,
        }
        return [
            (meter, amounts[meter.rule.measure]) for meter in self.meters if meter.rule.kind is not MeterKind.REPEAT
        ]
