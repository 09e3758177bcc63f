"""What limits and budgets cost in instructions of the interpreter, which a busy machine does not change.

    python -m benchmarks.instructions [--seconds 3] [--only usual,memory] [--functions 0]

As `benchmarks.protection`, but the gateway counts its executed bytecodes, and those of a request without limits are
taken away. That makes it some twenty times slower, so that more requests than otherwise are settled together. With
`--functions` the dearest functions are listed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from benchmarks import running
from benchmarks.contenders import CHAT, HEADGATE_KEY
from benchmarks.protection import GATEWAY_CORE, READY_SECONDS, TOOL_CORE, configuration
from headgate import cli

WARM_SECONDS = 2.0
_REQUEST = ":Pipeline.handle"  # called once for each


class Tracer:
    """Counts between two signals, and writes what it counted to a file: instructions, calls, function."""

    def __init__(self, to: Path) -> None:
        self._to = to
        self._instructions: Counter[CodeType] = Counter()
        self._calls: Counter[CodeType] = Counter()
        signal.signal(signal.SIGUSR1, lambda *_: sys.settrace(self._called))
        signal.signal(signal.SIGUSR2, lambda *_: self._write())

    def _called(self, frame: FrameType, event: str, argument: Any) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self._calls[frame.f_code] += 1
        return self._executed

    def _executed(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode":
            self._instructions[frame.f_code] += 1
        return self._executed

    def _write(self) -> None:
        sys.settrace(None)
        lines = [
            f"{count}\t{self._calls[code]}\t{Path(code.co_filename).name}:{code.co_qualname}\n"
            for code, count in self._instructions.items()
        ]
        self._to.write_text("".join(lines))


def count(variant: str, upstream: int, seconds: float) -> Counter[str]:
    """Instructions of one request, by function."""
    with tempfile.TemporaryDirectory(prefix="instructions-") as name:
        folder, port = Path(name), running.free_port()
        config, counted = folder / "headgate.yaml", folder / "counted"
        config.write_text(json.dumps(configuration(variant, upstream, 0, folder)))
        command = (sys.executable, "-m", "benchmarks.instructions", "--gateway", str(counted), str(config), str(port))
        headers = (f"authorization: Bearer {HEADGATE_KEY}",)
        with running.started(command, GATEWAY_CORE, folder / "output.log", {}) as pid:
            running.wait_until_ready(pid, port, CHAT, headers, READY_SECONDS)
            url = f"http://127.0.0.1:{port}{CHAT}"
            load = [sys.executable, "-m", "benchmarks.load", "--url", url, "--pid", str(pid), "--header", headers[0]]
            load += ["--concurrency", "32", "--seconds", str(WARM_SECONDS + seconds + 1)]
            with subprocess.Popen(load, stdout=subprocess.DEVNULL, cwd=running.ROOT):
                time.sleep(WARM_SECONDS)
                os.kill(pid, signal.SIGUSR1)
                time.sleep(seconds)
                os.kill(pid, signal.SIGUSR2)
            return read(counted.read_text())


def read(text: str) -> Counter[str]:
    instructions: Counter[str] = Counter()
    requests = 0
    for line in text.splitlines():
        executed, calls, function = line.split("\t")
        instructions[function] += int(executed)
        requests += int(calls) if function.endswith(_REQUEST) else 0
    return Counter({function: round(executed / requests) for function, executed in instructions.items()})


def report(counts: dict[str, Counter[str]], functions: int) -> str:
    lines = ["| limits and budgets | instructions/request | on top |", "|---|---:|---:|"]
    plain = counts["none"]
    for variant, counted in counts.items():
        top = "–" if variant == "none" else f"{counted.total() - plain.total():,}"
        lines.append(f"| {variant} | {counted.total():,} | {top} |")
    for variant in list(counts)[1:] if functions else []:
        extra = counts[variant] - plain
        lines += ["", f"{variant}: of these", *(f"{n:8,} {name}" for name, n in extra.most_common(functions))]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="What limits and budgets cost in instructions of the interpreter.")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--only", default="usual,memory", help="of usual and memory, beside none")
    parser.add_argument("--functions", type=int, default=0, help="how many of the dearest to list")
    wanted = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="instructions-")))
        upstream = running.free_port()
        mock = (sys.executable, "-m", "benchmarks.mock_upstream", "--port", str(upstream))
        stack.enter_context(running.started(mock, TOOL_CORE, folder / "mock.log", {}))
        counts = {one: count(one, upstream, wanted.seconds) for one in ("none", *wanted.only.split(","))}
    print(report(counts, wanted.functions))


def gateway(to: str, config: str, port: str) -> None:
    """The gateway that counts."""
    Tracer(Path(to))
    sys.argv[1:] = ["serve", "--config", config, "--port", port]
    cli.main()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--gateway"]:
        gateway(*sys.argv[2:])
    else:
        main()
