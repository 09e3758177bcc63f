"""The line of a request, and the writer that takes it away."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Literal

import pytest

from headgate.telemetry.lines import MAX_UNMADE, LineWriter
from headgate.telemetry.requestlog import RequestLog
from headgate.types import Outcome, RequestRecord
from tests.telemetry.samples import attempt, record, refusal


def logged(settled: RequestRecord, requests: Literal["all", "failures", "off"] = "all") -> list[dict[str, Any]]:
    lines: list[bytes] = []
    RequestLog(lambda make: lines.append(make()), requests).settled(settled, ())
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    return [json.loads(line) for line in lines]


def test_a_line_says_who_what_how_and_how_much() -> None:
    failed = attempt(outcome=Outcome.FAILED, status=500, error="upstream_error", cost_picousd=0)
    (line,) = logged(record(attempts=(failed, attempt(id="att_2", number=2)), trace_id="ab" * 16))
    assert line["time"].startswith("2026-09-21T")
    assert (line["level"], line["event"], line["id"]) == ("info", "request", "req_1")
    assert (line["tenant"], line["user"], line["key_id"]) == ("acme", "alice", "key_1")
    assert (line["model"], line["outcome"], line["status"]) == ("small", "done", 200)
    assert line["cost_usd"] == "0.000051"
    assert line["usage"]["input"] == 100
    assert (line["ttft_seconds"], line["itl_seconds"], line["e2e_seconds"]) == (0.2, 0.012, 0.8)
    assert line["trace_id"] == "ab" * 16
    told = [(each["deployment"], each["outcome"], each["status"], each.get("error", "")) for each in line["attempts"]]
    name = "openai/gpt-4o-mini"
    assert told == [(name, "failed", 500, "upstream_error"), (name, "done", 200, "")]


def test_the_only_attempt_adds_what_its_request_does_not_say() -> None:
    (line,) = logged(record())
    assert line["attempts"] == [
        {
            "number": 1,
            "deployment": "openai/gpt-4o-mini",
            "outcome": "done",
            "status": 200,
            "endpoint": "http://127.0.0.1:9100/v1",
            "key_fingerprint": "9f86d081",
            "seconds": 0.75,
            "upstream_id": "up-1",
        }
    ]


def test_an_only_attempt_that_ended_otherwise_is_told_in_full() -> None:
    (line,) = logged(record(outcome=Outcome.DISCONNECTED))
    assert line["attempts"][0]["usage"]["input"] == 100


@pytest.mark.parametrize(
    ("started_at", "time"),
    [
        (1_790_000_000.25, "2026-09-21T14:13:20.250"),
        (0.0, "1970-01-01T00:00:00.000"),
        (59.9996, "1970-01-01T00:00:59.999"),
    ],
)
def test_times_are_utc_to_the_millisecond(started_at: float, time: str) -> None:
    assert logged(record(started_at=started_at))[0]["time"] == f"{time}+00:00"


@pytest.mark.parametrize("text", ['a"b\\c', "line\nbreak", "\u2028\x00", "emoji 😀"])
def test_strange_names_stay_one_line_of_json(text: str) -> None:
    (line,) = logged(record(user=text, session=text, tags=(text,)))
    assert (line["user"], line["session"], line["tags"]) == (text, text, [text])


def test_levels() -> None:
    assert logged(record(), "off") == logged(refusal("draining"), "off") == logged(record(), "failures") == []
    assert logged(refusal("draining"), "failures")[0]["level"] == "warning"
    assert logged(record(outcome=Outcome.FAILED), "failures")[0]["outcome"] == "failed"
    assert logged(record(outcome=Outcome.DISCONNECTED), "failures") == []


class Pipe:
    """A pipe whose reader the test is."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def close_writing(self) -> bytes:
        """What is still in it."""
        os.close(self.writing)
        rest = b"".join(iter(lambda: os.read(self.reading, 65536), b""))
        os.close(self.reading)
        return rest


def test_lines_arrive_by_themselves_and_at_the_end() -> None:
    async def scenario() -> bytes:
        pipe, loop = Pipe(), asyncio.get_running_loop()
        arrived = asyncio.Event()
        loop.add_reader(pipe.reading, arrived.set)
        writer = LineWriter(pipe.writing)
        writer.write(b"first\n")
        await arrived.wait()
        loop.remove_reader(pipe.reading)
        assert os.read(pipe.reading, 100) == b"first\n"
        writer.write(b"second\n")
        await writer.aclose()
        return pipe.close_writing()

    assert asyncio.run(scenario()) == b"second\n"


def test_lines_are_made_when_they_are_written(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> bytes:
        pipe, made = Pipe(), []
        writer = LineWriter(pipe.writing)

        def make(number: int) -> bytes:
            made.append(number)
            if number == 2:
                raise OverflowError("no such number")
            return b"%d\n" % number

        for number in range(4):
            writer.write_later(functools.partial(make, number))
        assert made == []
        for number in range(4, MAX_UNMADE):
            writer.write_later(functools.partial(make, number))
        assert len(made) == MAX_UNMADE, "no more than that wait to be made"
        writer.write_later(functools.partial(make, MAX_UNMADE))
        await writer.aclose()
        return pipe.close_writing()

    lines = asyncio.run(scenario()).split(b"\n")[:-1]
    assert [int(line) for line in lines] == [number for number in range(MAX_UNMADE + 1) if number != 2]
    assert caplog.text.count("cannot be made") == 1


def test_a_reader_that_does_not_read_costs_lines_but_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        pipe = Pipe()
        writer = LineWriter(pipe.writing, max_buffered_bytes=200_000)
        line = b"x" * 999 + b"\n"
        for _ in range(1000):
            writer.write(line)
            await asyncio.sleep(0)
        assert writer.dropped > 0
        received: list[bytes] = []
        reader = threading.Thread(target=lambda: received.extend(iter(lambda: os.read(pipe.reading, 65536), b"")))
        reader.start()
        await writer.aclose()
        os.close(pipe.writing)
        reader.join()
        os.close(pipe.reading)
        assert b"".join(received) == line * (1000 - writer.dropped)
        assert f"{writer.dropped} lines dropped" in caplog.text

    asyncio.run(scenario())


def test_a_process_ends_though_nobody_reads_its_log() -> None:
    program = """
import asyncio, sys
from headgate.telemetry.lines import LineWriter
async def main():
    writer = LineWriter(sys.stdout.fileno())
    for _ in range(200):
        writer.write(b"x" * 999 + b"\\n")
    await writer.aclose(timeout_seconds=0.01)
asyncio.run(main())
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.wait(120) == 0, "it waits for a reader"
        assert process.stderr is not None
        assert b"did not read" in process.stderr.read()


def test_a_broken_pipe_is_said_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        pipe = Pipe()
        os.close(pipe.reading)
        writer = LineWriter(pipe.writing)
        for _ in range(3):
            writer.write(b"lost\n")
            await writer.aclose()
        os.close(pipe.writing)

    asyncio.run(scenario())
    assert caplog.text.count("cannot be written") == 1


def test_workers_that_share_a_pipe_do_not_cut_each_others_lines() -> None:
    async def scenario() -> bytes:
        pipe = Pipe()
        received: list[bytes] = []
        reader = threading.Thread(target=lambda: received.extend(iter(lambda: os.read(pipe.reading, 4096), b"")))
        reader.start()
        writers = [LineWriter(pipe.writing) for _ in range(3)]
        for _ in range(300):
            for number, writer in enumerate(writers):
                writer.write(b"%d" % number * 700 + b"\n")
        await asyncio.gather(*(writer.aclose() for writer in writers))
        os.close(pipe.writing)
        reader.join()
        os.close(pipe.reading)
        return b"".join(received)

    lines = asyncio.run(scenario()).split(b"\n")[:-1]
    assert len(lines) == 900
    assert {len(line) for line in lines} == {700}
    assert {len(set(line)) for line in lines} == {1}


def test_a_file_gets_the_lines_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        descriptor = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        writer = LineWriter(descriptor)
        for _ in range(500):
            writer.write(b"y" * 500 + b"\n")
        await writer.aclose()
        os.close(descriptor)

    asyncio.run(scenario())
    assert (tmp_path / "log").read_bytes() == (b"y" * 500 + b"\n") * 500
