"""What is wrong with a configuration, and where: places, positions, the collector, and the text people read.

Must not know what the configuration means, nor print a value that came from the environment or a secret file.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from headgate.types import Frozen, Problem, Severity

Place = tuple[str | int, ...]  # the way to a value: ("models", "small", "fallback", 0)
MAX_NAMES_IN_HINT = 25


class Origin(Frozen, frozen=True, gc=False):
    """Where a value stands in the file, from 1. A `substituted` one came from outside and is never printed."""

    line: int
    column: int
    substituted: bool = False


START = Origin(1, 1)  # of a file
NOWHERE = Origin(0, 0)  # about a file as a whole, or there is none


class Findings:
    """Collects all problems of one configuration, so that they are told at once and in the order of the file."""

    def __init__(self, path: str, start: Origin = START) -> None:
        self.path = path
        self._start = start
        self.origins: dict[Place, Origin] = {}
        self._problems: list[Problem] = []
        self._broken: set[Place] = set()

    def error(self, place: Place, message: str, hint: str = "", at: Origin | None = None) -> None:
        """Say what is wrong at a place, unless something at or above it is known to be wrong already."""
        if not self.is_broken(place):
            self._add(Severity.ERROR, place, message, hint, at)
        self._broken.add(place)

    def warning(self, place: Place, message: str, hint: str = "") -> None:
        self._add(Severity.WARNING, place, message, hint, None)

    def note(self, place: Place, message: str, hint: str = "") -> None:
        self._add(Severity.NOTE, place, message, hint, None)

    def is_broken(self, place: Place) -> bool:
        """Whether an error was found at this place or above it: what is read from there is only a placeholder."""
        return any(place[:length] in self._broken for length in range(len(place) + 1))

    def origin(self, place: Place) -> Origin:
        """The position of a place, or of the nearest thing above it that is written in the file."""
        for length in range(len(place), 0, -1):
            if place[:length] in self.origins:
                return self.origins[place[:length]]
        return self._start

    def quoted(self, place: Place, value: str) -> str:
        """A value for a message: in quotes, or described if it was substituted."""
        found = self.origins.get(place)
        return "the substituted value" if found is not None and found.substituted else f'"{value}"'

    def all(self) -> tuple[Problem, ...]:
        """Everything found, in the order of the file."""
        return tuple(sorted(self._problems, key=lambda problem: (problem.line, problem.column)))

    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.all() if problem.severity is Severity.ERROR)

    def _add(self, severity: Severity, place: Place, message: str, hint: str, at: Origin | None) -> None:
        position = at or self.origin(place)
        self._problems.append(
            Problem(self.path, position.line, position.column, written(place), message, hint, severity)
        )


def written(place: Place) -> str:
    """A place as people write it: `models.small.fallback[0]`, names with dots as `models["gpt-4.1"]`."""
    text = ""
    for step in place:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.replace("_", "").replace("-", "").isalnum():
            text += f".{step}" if text else step
        else:
            text += f'["{step}"]'
    return text


def nearest(name: str, names: Iterable[str], what: str) -> str:
    """The hint for a misspelt name: the nearest valid one, or all of them if none is near. `what` is their plural."""
    known = sorted(names)
    close = difflib.get_close_matches(name, known, 1, 0.6)
    if close:
        return f'did you mean "{close[0]}"?'
    if not known:
        return f"there are no {what}"
    more = ", ..." if len(known) > MAX_NAMES_IN_HINT else ""
    return f"{what}: {', '.join(known[:MAX_NAMES_IN_HINT])}{more}"


def line_of(problem: Problem) -> str:
    """`FILE:LINE:COLUMN: place: what is wrong; what to do`. Warnings and notes say that they are."""
    where = f"{problem.path}:{problem.line}:{problem.column}" if problem.line else problem.path
    kind = "" if problem.severity is Severity.ERROR else f"{problem.severity}: "
    place = f"{problem.where}: " if problem.where else ""
    hint = f"; {problem.hint}" if problem.hint else ""
    return f"{where}: {kind}{place}{problem.message}{hint}"


def report(problems: Sequence[Problem]) -> str:
    """All problems for people to read: one line each, then a summary."""
    counts = [
        f"{count} {severity}{'s' if count > 1 else ''}"
        for severity in Severity
        if (count := sum(problem.severity is severity for problem in problems))
    ]
    return "\n".join([*map(line_of, problems), ", ".join(counts) or "no problems found"])
