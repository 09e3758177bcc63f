"""Turns the samples of a run into one row for each gateway, a markdown table and JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.gateway_runs import Sample, Settings, Skipped


@dataclass(frozen=True)
class Row:
    """The medians over all rounds. `errors` is a sum."""

    name: str
    version: str
    rounds: int
    json_cpu_us: float | None
    json_rps: float | None
    json_core_percent: float | None
    json_p50_ms: float | None
    json_p99_ms: float | None
    stream_cpu_us_per_event: float | None
    stream_events_per_second: float | None
    stream_ttft_p50_ms: float | None
    stream_gap_p99_ms: float | None
    added_p50_ms: float | None
    rss_mb: float | None
    ready_seconds: float | None
    errors: int


def summarise(samples: Sequence[Sample]) -> list[Row]:
    names = dict.fromkeys(sample.name for sample in samples)
    return [summarise_one([sample for sample in samples if sample.name == name]) for name in names]


def summarise_one(samples: Sequence[Sample]) -> Row:
    def middle(mode: str, figure: str) -> float | None:
        return middle_of(sample.loads[mode][figure] for sample in samples)

    behind = samples[0].ready_seconds is not None  # the direct run has nothing in between to account for
    added = [difference(sample.loads["one"]["p50_ms"], sample.floor["p50_ms"]) for sample in samples]
    return Row(
        name=samples[0].name,
        version=samples[0].version,
        rounds=len(samples),
        json_cpu_us=middle("json", "cpu_us_per_request") if behind else None,
        json_rps=middle("json", "rps"),
        json_core_percent=middle("json", "core_percent") if behind else None,
        json_p50_ms=middle("json", "p50_ms"),
        json_p99_ms=middle("json", "p99_ms"),
        stream_cpu_us_per_event=middle("stream", "cpu_us_per_event") if behind else None,
        stream_events_per_second=middle_of(events_per_second(sample.loads["stream"]) for sample in samples),
        stream_ttft_p50_ms=middle("stream", "ttft_p50_ms"),
        stream_gap_p99_ms=middle("stream", "gap_p99_ms"),
        added_p50_ms=middle_of(added) if behind else None,
        rss_mb=middle("stream", "rss_mb") if behind else None,
        ready_seconds=middle_of(sample.ready_seconds for sample in samples),
        errors=sum(sum(result["errors"].values()) for sample in samples for result in sample.loads.values()),
    )


def middle_of(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def difference(more: float | None, less: float | None) -> float | None:
    return None if more is None or less is None else more - less


def events_per_second(result: dict[str, Any]) -> float | None:
    return result["rps"] * result["events_per_request"] if result["requests"] else None


COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("JSON: CPU µs/request", "json_cpu_us", 0),
    ("requests/s", "json_rps", 0),
    ("core %", "json_core_percent", 0),
    ("p50 ms", "json_p50_ms", 1),
    ("p99 ms", "json_p99_ms", 1),
    ("stream: CPU µs/event", "stream_cpu_us_per_event", 1),
    ("events/s", "stream_events_per_second", 0),
    ("TTFT p50 ms", "stream_ttft_p50_ms", 1),
    ("gap p99 ms", "stream_gap_p99_ms", 1),
    ("alone: added p50 ms", "added_p50_ms", 2),
    ("RSS MB", "rss_mb", 0),
    ("start s", "ready_seconds", 2),
    ("errors", "errors", 0),
)


def cell(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def as_markdown(rows: Sequence[Row], skipped: Sequence[Skipped]) -> str:
    lines = [
        "| | " + " | ".join(title for title, _, _ in COLUMNS) + " |",
        "|---|" + "---:|" * len(COLUMNS),
    ]
    for row in rows:
        cells = (cell(getattr(row, figure), digits) for _, figure, digits in COLUMNS)
        lines.append(f"| {' '.join((row.name, row.version)).strip()} | " + " | ".join(cells) + " |")
    lines += [f"\n{one.name} is left out: {one.reason}" for one in skipped]
    return "\n".join(lines)


def as_json(settings: Settings, samples: Sequence[Sample], rows: Sequence[Row], skipped: Sequence[Skipped]) -> str:
    chosen = {name: value for name, value in asdict(settings).items() if name not in ("peers", "python")}
    report = {
        "machine": machine(),
        "settings": chosen,
        "rows": [asdict(row) for row in rows],
        "skipped": [asdict(one) for one in skipped],
        "samples": [asdict(sample) for sample in samples],
    }
    return json.dumps(report, indent=1) + "\n"


def machine() -> dict[str, str | int | None]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().split("\n") if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
