"""Replays a file of recordings and writes docs/providers.md: `make conformance HEADGATE_EXCHANGES=FILE`.

Beside the exchanges it looks for `response_only_chunks.jsonl.zst` and `observed_errors.jsonl`. What failed without
being explained goes to standard error, and makes the exit code 1.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from tests.conformance.judging import CARRIED
from tests.conformance.meaning import CONTENT_FILTER, LENGTH, PAUSE, REFUSAL, STOP, STOP_SEQUENCE, TOOL_CALLS
from tests.conformance.recordings import Recording, from_chunks, from_observed_error, in_pieces, load, rows
from tests.conformance.replay import CLIENTS, Replay
from tests.conformance.results import answers, requests

FILE_VARIABLE = "HEADGATE_EXCHANGES"
CHUNKS, OBSERVED_ERRORS = "response_only_chunks.jsonl.zst", "observed_errors.jsonl"

INTRODUCTION = """# What recorded exchanges became

Written by `make conformance` ([tests/conformance](../tests/conformance/README.md)); `make test` replays a sample.
Exchanges that others recorded with real providers are played again by a local server behind a real gateway, and
served to a client of each dialect.

- **The provider's own dialect**: the same `data:` payloads in the same order, the same body, byte for byte. (A usage
  chunk that headgate asked for and the client did not is taken out.)
- **Another dialect**: the same model name, text and refusals, tool calls (names, and arguments as JSON values),
  readable thoughts, cited addresses, reason to stop, and tokens: input, read from the cache, written to it, output,
  reasoning. Both sides are read by readers of the tests' own, with nothing but a JSON parser. Every answer and event
  has the shape that the vendors' own packages declare; a responses stream says in its events what it says at its end.
- **Errors**: the same status and sentence, in the client's shape. A provider's 401 or 403 is 502 `upstream_auth`,
  because the key it refuses is the gateway's.

What has no place in a client's dialect is not compared: a provider's own tools (searches, code execution, MCP), and
answers beside the first where a dialect knows only one. [dialects.md](dialects.md) says what becomes of them.
"""
REQUESTS = """## What providers were told

Recorded requests put to a provider of every other dialect, with `on_untranslatable: drop`: the number of those that
arrived whole + the number of those of which the caller was told what is missing (`x-headgate-dropped`). Whole means:
system prompt, what users and assistants say, tool calls and their results, pictures and files, tools, tool choice,
schema, and the settings for length, sampling and effort. Nothing was lost in silence.
"""
STOPS = """## Why a model stopped

What is compared as the reason to stop, in each dialect's words. A model that says it is done while it calls tools
waits for them, whatever the provider calls that.
"""
WORDS = {
    "chat": {
        STOP: "`stop`",
        LENGTH: "`length`",
        TOOL_CALLS: "`tool_calls`",
        CONTENT_FILTER: "`content_filter`",
        REFUSAL: "`stop` and `refusal`",
    },
    "responses": {
        STOP: "`completed`",
        LENGTH: "`incomplete`: `max_output_tokens`",
        TOOL_CALLS: "`completed`, with calls",
        CONTENT_FILTER: "`incomplete`: `content_filter`",
        REFUSAL: "`completed`, with a refusal",
    },
    "messages": {
        STOP: "`end_turn`",
        STOP_SEQUENCE: "`stop_sequence`",
        LENGTH: "`max_tokens`",
        TOOL_CALLS: "`tool_use`",
        REFUSAL: "`refusal`",
        PAUSE: "`pause_turn`",
    },
}


def main() -> int:
    """The page goes to the file that the first argument names."""
    path = Path(os.environ.get(FILE_VARIABLE) or ".")
    if not path.is_file() or len(sys.argv) != 2:
        print(f"Say where the recordings are: make conformance {FILE_VARIABLE}=FILE", file=sys.stderr)
        return 2
    exchanges = load(path)
    with tempfile.TemporaryDirectory() as folder, Replay(Path(folder)) as replay:
        answered = {
            title: answers(recordings, replay)
            for title, recordings in (
                ("Recorded exchanges", exchanges),
                ("Whole answers of Bedrock, taken apart into its event stream", _taken_apart(exchanges)),
                ("Streams of which only the events were kept", _streams(path.with_name(CHUNKS))),
                ("Errors that were shown in public", _errors(path.with_name(OBSERVED_ERRORS))),
            )
        }
        asked = requests(exchanges, replay)
    sections = [INTRODUCTION, *(f"## {title}\n\n{results.table()}" for title, results in answered.items())]
    Path(sys.argv[1]).write_text("\n".join([*sections, REQUESTS, asked.table(), STOPS, stops_table()]))
    wrong = [line for results in answered.values() for line in results.unexplained] + asked.silent
    print("\n".join([*wrong, *(f"{title}: {results.table()}" for title, results in answered.items())]), file=sys.stderr)
    return 1 if wrong else 0


def stops_table() -> str:
    """A row for each reason, a column for each dialect."""
    lines = ["| reason | chat | responses | messages |", "|---|---|---|---|"]
    for reason in (STOP, STOP_SEQUENCE, LENGTH, TOOL_CALLS, CONTENT_FILTER, REFUSAL, PAUSE):
        cells = [WORDS[client][CARRIED[client].get(reason, reason)] for client in CLIENTS]
        lines.append(f"| {reason.replace('_', ' ')} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _taken_apart(exchanges: list[Recording]) -> list[Recording]:
    return [in_pieces(each) for each in exchanges if each.dialect == "converse" and not each.is_error]


def _streams(path: Path) -> list[Recording]:
    return [recording for row in rows(path) if (recording := from_chunks(row))] if path.exists() else []


def _errors(path: Path) -> list[Recording]:
    lines = [json.loads(line) for line in path.read_text().split("\n") if line] if path.exists() else []
    return [from_observed_error(row, number) for number, row in enumerate(lines)]


if __name__ == "__main__":
    sys.exit(main())
