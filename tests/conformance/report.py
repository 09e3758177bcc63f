"""Replays whole files of recordings and writes docs/providers.md: `make conformance`.

    HEADGATE_EXCHANGES=exchanges.jsonl.zst python -m tests.conformance.report > docs/providers.md

Beside the exchanges it looks for `response_only_chunks.jsonl.zst` and `observed_errors.jsonl`. Without the variable it
replays the sample. What failed without being explained goes to standard error, and makes the exit code 1.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance.exceptions import reason
from tests.conformance.recordings import (
    SAMPLE,
    Recording,
    chosen_file,
    from_chunks,
    from_golden,
    from_observed_error,
    load,
    rows,
)
from tests.conformance.replay import CLIENTS, Replay, clients
from tests.golden import exchanges

PASSED_ON = ("completions", "embeddings", "count_tokens", "embed_contents")
CHUNKS, OBSERVED_ERRORS = "response_only_chunks.jsonl.zst", "observed_errors.jsonl"


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
class Results:
    """What came out. Rows are (provider, API), columns the dialects of clients."""

    table: dict[tuple[str, str], dict[str, Tally]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Tally))
    )
    explained: Counter[str] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)
    outside: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, recording: Recording, client: str, problems: list[str]) -> None:
        tally = self.table[recording.provider, recording.api][client]
        tally.total += 1
        tally.passed += not problems
        if problems and (why := reason(recording, client)):
            self.explained[why] += 1
        elif problems:
            self.unexplained.append(f"{recording.name} to {client}: {'; '.join(problems)}")

    def sum(self, client: str = "") -> Tally:
        tallies = [tally for row in self.table.values() for name, tally in row.items() if client in ("", name)]
        return Tally(sum(tally.passed for tally in tallies), sum(tally.total for tally in tallies))


def replayed(recordings: Iterable[Recording], replay: Replay) -> Results:
    """Serve each recording to a client of each dialect it can reach."""
    results = Results()
    for recording in recordings:
        if not recording.dialect:
            results.outside[recording.provider, recording.api] += 1
            continue
        for client in clients(recording):
            results.add(recording, client, replay.problems(recording, client))
    return results


def main() -> int:
    path = chosen_file()
    recordings = load(path) + ([from_golden(exchange) for exchange in exchanges.load()] if path == SAMPLE else [])
    with tempfile.TemporaryDirectory() as folder, Replay(Path(folder)) as replay:
        sections = [("Recorded exchanges", replayed(recordings, replay))]
        if (chunks := path.with_name(CHUNKS)).exists():
            known = [recording for row in rows(chunks) if (recording := from_chunks(row))]
            sections.append(("Streams of which only the events were kept", replayed(known, replay)))
        if (errors := path.with_name(OBSERVED_ERRORS)).exists():
            lines = [json.loads(line) for line in errors.read_text().split("\n") if line]
            observed = [from_observed_error(row, number) for number, row in enumerate(lines)]
            sections.append(("Errors that were shown in public", replayed(observed, replay)))
    for title, results in sections:
        print(section(title, results))
    unexplained = [line for _, results in sections for line in results.unexplained]
    print("\n".join(unexplained), file=sys.stderr)
    return 1 if unexplained else 0


def section(title: str, results: Results) -> str:
    """A heading, the table, and what is to be said about it."""
    lines = [f"## {title}", "", "| provider | API | chat clients | responses clients | messages clients |"]
    lines.append("|---|---|---:|---:|---:|")
    for (provider, api), row in sorted(results.table.items()):
        cells = [str(row[client]) for client in CLIENTS]
        passed_on = next((str(row[client]) for client in PASSED_ON if client in row), "")
        lines.append(f"| {provider} | {api} | {' | '.join([passed_on, '', ''] if passed_on else cells)} |")
    lines.append(f"| **all** | | {' | '.join(str(results.sum(client)) for client in CLIENTS)} |")
    total = results.sum()
    lines += ["", f"Together {total}: {100 * total.passed / max(1, total.total):.1f} %.", ""]
    lines += [f"- {number} because {why}" for why, number in results.explained.most_common()]
    if results.outside:
        named = ", ".join(f"{provider} {api} ({number})" for (provider, api), number in sorted(results.outside.items()))
        lines += ["", f"Outside headgate's surface, and not replayed: {named}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
