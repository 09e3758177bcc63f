"""What came out of a replay, and the tables it is told in."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.conformance.asking import has_prompt
from tests.conformance.exceptions import reason
from tests.conformance.recordings import Recording
from tests.conformance.replay import ASKED_IN, CLIENTS, Replay, clients

PASSED_ON = ("completions", "embeddings", "count_tokens", "embed_contents")


@dataclass
class Tally:
    """How many recordings reached clients as they were."""

    passed: int = 0
    total: int = 0

    def __str__(self) -> str:
        return f"{self.passed} of {self.total}" if self.total else "-"


def _row() -> defaultdict[str, Tally]:
    return defaultdict(Tally)


@dataclass
class Answers:
    """Answers served to clients. Rows are (provider, API), columns the dialects of clients."""

    rows: defaultdict[tuple[str, str], defaultdict[str, Tally]] = field(default_factory=lambda: defaultdict(_row))
    explained: Counter[str] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)
    outside: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, recording: Recording, client: str, problems: list[str]) -> None:
        tally = self.rows[recording.provider, recording.api][client]
        tally.total += 1
        tally.passed += not problems
        if problems and (why := reason(recording, client)):
            self.explained[why] += 1
        elif problems:
            self.unexplained.append(f"{recording.name} to {client}: {'; '.join(problems)}")

    def sum(self, *names: str) -> Tally:
        tallies = [row[name] for row in self.rows.values() for name in names if name in row]
        return Tally(sum(tally.passed for tally in tallies), sum(tally.total for tally in tallies))

    def table(self) -> str:
        lines = ["| provider | API | chat clients | responses clients | messages clients |", "|---|---|---:|---:|---:|"]
        for (provider, api), row in sorted(self.rows.items()):
            own = next((row[name] for name in PASSED_ON if name in row), None)
            cells = [str(own), "", ""] if own else [str(row[client]) for client in CLIENTS]
            lines.append(f"| {provider} | {api} | {' | '.join(cells)} |")
        lines.append(f"| **all** | that generate | {' | '.join(str(self.sum(client)) for client in CLIENTS)} |")
        total = self.sum(*CLIENTS, *PASSED_ON)
        lines += ["", f"Together {total}: {100 * total.passed / max(1, total.total):.1f} %.", ""]
        lines += [f"- {number} not as recorded: {why}." for why, number in self.explained.most_common()]
        if self.outside:
            named = [f"{provider} {api} ({number})" for (provider, api), number in sorted(self.outside.items())]
            lines += ["", f"Outside headgate's surface, and not replayed: {', '.join(named)}."]
        return "\n".join(lines) + "\n"


@dataclass
class Requests:
    """Requests put to providers. Rows are APIs of recorded requests, columns the dialects they were put into."""

    whole: Counter[tuple[str, str]] = field(default_factory=Counter)
    listed: Counter[tuple[str, str]] = field(default_factory=Counter)
    silent: list[str] = field(default_factory=list)

    def add(self, recording: Recording, dialect: str, lost: list[str], is_told: bool) -> None:
        if lost and not is_told:
            self.silent.append(f"{recording.name} in {dialect}: {'; '.join(lost)}")
        else:
            (self.listed if lost else self.whole)[recording.dialect, dialect] += 1

    def table(self) -> str:
        lines = [f"| said in | {' | '.join(ASKED_IN)} |", f"|---|{'---:|' * len(ASKED_IN)}"]
        for said in CLIENTS:
            cells = [
                "as it came" if put == said else f"{self.whole[said, put]} + {self.listed[said, put]}"
                for put in ASKED_IN
            ]
            lines.append(f"| {said} | {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"


def answers(recordings: Iterable[Recording], replay: Replay) -> Answers:
    """Serve each recording to a client of each dialect it can reach."""
    results = Answers()
    for recording in recordings:
        if not recording.dialect:
            results.outside[recording.provider, recording.api] += 1
            continue
        for client in clients(recording):
            results.add(recording, client, replay.problems(recording, client))
    return results


def requests(recordings: Iterable[Recording], replay: Replay) -> Requests:
    """Put each recorded request of a client's dialect to a provider of every other."""
    results = Requests()
    for recording in recordings:
        if recording.dialect not in CLIENTS or recording.is_error or not has_prompt(recording):
            continue
        if not recording.request.get("background"):  # which is refused by name
            for dialect in ASKED_IN:
                if dialect != recording.dialect:
                    results.add(recording, dialect, *replay.lost(recording, dialect))
    return results
