"""What a row of the ledger costs: microseconds per append to the journal, and per row (request and attempt) drained;
and what it costs to note a request that is under way, and to forget it.

    python -m benchmarks.ledger [--rows 20000] [--rounds 5] [--database sqlite | postgresql://...]

Append, begin and end are wall time on the calling thread, append for one record at a time and for ten together, begin
without and with building the value that is noted; drain is CPU time of this process, of
a thousand rows at a time, as a busy gateway has them, and of rows that must be read from the file. The least of all
rounds is printed, since what else the machine does can only add. The last line says how late an event loop's timer
fires while rows are drained.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from headgate.metering import UnderWay
from headgate.stores.database import Database
from headgate.stores.drain import Drain
from headgate.stores.journal import FileJournal
from headgate.stores.sql import SqlLedger
from headgate.types import AttemptRecord, Counted, Outcome, RequestRecord, Usage

USAGE = Usage(input=812, cached_input=512, output=96, reasoning=0, counted=Counted.REPORTED)
LATE_EVERY_SECONDS = 0.005
TOGETHER = 10  # records of one round of the event loop
WAITING_ROWS = 1000
SLOTS = 2000
UNDER_WAY = 500  # requests at a time


class WallClock:
    """The port `Clock`, as far as the journal needs it."""

    def __init__(self) -> None:
        self.random = random.Random()

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_{time.time_ns():016x}{self.random.getrandbits(64):016x}"


def record(clock: WallClock) -> RequestRecord:
    """One streamed chat completion with one attempt, as the gateway writes it."""
    request_id, now = clock.new_id("req"), clock.now()
    attempt = AttemptRecord(
        id=f"{request_id}.1",
        request_id=request_id,
        number=1,
        started_at=now,
        deployment="openai/gpt-4o-mini",
        provider="openai",
        endpoint="https://api.openai.com/v1",
        upstream_model="gpt-4o-mini",
        key_fingerprint="9f86d081",
        outcome=Outcome.DONE,
        status=200,
        upstream_id="req_4c1f2a9d7b",
        usage=USAGE,
        cost_picousd=179_400_000,
        price_version="2025-11-01",
        seconds=1.25,
    )
    return RequestRecord(
        id=request_id,
        started_at=now,
        tenant=f"tenant-{clock.random.randrange(50)}",
        user="alice",
        key_id="key_2f1c90aa",
        route="chat/completions",
        dialect="openai",
        model="small",
        stream=True,
        outcome=Outcome.DONE,
        status=200,
        deployment=attempt.deployment,
        provider=attempt.provider,
        upstream_model=attempt.upstream_model,
        usage=USAGE,
        cost_picousd=attempt.cost_picousd,
        price_version=attempt.price_version,
        config_hash="a1b2c3d4",
        ttft_seconds=0.31,
        itl_seconds=0.0098,
        e2e_seconds=1.25,
        bytes_in=4_210,
        bytes_out=18_320,
        attempts=(attempt,),
    )


def note(record: RequestRecord) -> UnderWay:
    """What is noted of it when it is dispatched."""
    return UnderWay(
        record.id,
        record.started_at,
        record.tenant,
        record.user,
        record.key_id,
        record.route,
        record.dialect,
        record.model,
        record.stream,
        record.deployment,
        record.provider,
        record.upstream_model,
        900,
        1024,
        749_400_000,
        record.price_version,
        record.config_hash,
        "chat-7f3a",
        ("nightly",),
        1,
        record.started_at,
        record.attempts[0].endpoint,
        record.attempts[0].key_fingerprint,
    )


def with_ids(rows: int, clock: WallClock) -> list[RequestRecord]:
    return [record(clock) for _ in range(rows)]


class Timing(msgspec.Struct):
    """Microseconds a row, and the latest a timer fired."""

    append: float
    append_together: float
    drain: float
    drain_from_file: float
    late_milliseconds: float
    begin: float
    begin_built: float
    end: float


async def lateness(stop: asyncio.Event) -> float:
    """The longest delay of a timer, in seconds, until told to stop."""
    loop, worst = asyncio.get_running_loop(), 0.0
    while not stop.is_set():
        due = loop.time() + LATE_EVERY_SECONDS
        await asyncio.sleep(LATE_EVERY_SECONDS)
        worst = max(worst, loop.time() - due)
    return worst


def append_together(journal: FileJournal, records: Sequence[RequestRecord]) -> float:
    """Seconds."""
    started = time.perf_counter()
    for start in range(0, len(records), TOGETHER):
        journal.append_all(records[start : start + TOGETHER])
    return time.perf_counter() - started


def noted(journal: FileJournal, records: Sequence[RequestRecord]) -> tuple[float, float, float]:
    """Seconds for noting, for building and noting, and for forgetting as many once."""
    begun, built, ended = 0.0, 0.0, 0.0
    for start in range(0, len(records), UNDER_WAY):
        some = records[start : start + UNDER_WAY]
        notes = [note(each) for each in some]
        started = time.perf_counter()
        slots = [journal.begin(each) for each in notes]
        begun_at = time.perf_counter()
        for slot in slots:
            journal.end(slot)
        ended_at = time.perf_counter()
        slots = [journal.begin(note(each)) for each in some]
        built += time.perf_counter() - ended_at
        begun, ended = begun + begun_at - started, ended + ended_at - begun_at
        for slot in slots:
            journal.end(slot)
    assert not journal.unnoted
    return begun, built, ended


async def drained(drain: Drain) -> float:
    """Seconds of CPU time."""
    started = time.process_time()
    await drain.flush()
    return time.process_time() - started


async def measure(rows: int, url: str, folder: Path) -> Timing:
    clock = WallClock()
    database = Database(url, folder)
    journal = FileJournal(folder / "journal", clock, slots=SLOTS)
    drain = Drain(journal, SqlLedger(database), database.writing)
    await database.prepare()
    records = with_ids(rows, clock)
    notings = noted(journal, records)
    started = time.perf_counter()
    for each in records:
        journal.append(each)
    append = time.perf_counter() - started
    stop = asyncio.Event()
    watch = asyncio.create_task(lateness(stop))
    from_file = await drained(drain)
    stop.set()
    late = await watch
    together, few = 0.0, 0.0
    for _ in range(0, rows, WAITING_ROWS):
        together += append_together(journal, with_ids(WAITING_ROWS, clock))
        few += await drained(drain)
    await drain.aclose()
    journal.close()
    await database.aclose()
    per_row = [seconds / rows * 1e6 for seconds in (append, together, few, from_file)]
    return Timing(*per_row, late * 1e3, *(seconds / rows * 1e6 for seconds in notings))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--database", default="sqlite")
    options = parser.parse_args()
    timings = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            timings.append(asyncio.run(measure(options.rows, options.database, Path(folder))))
    database = options.database.split(":")[0]
    print(f"append {min(timing.append for timing in timings):6.2f} us a row")
    print(f"append {min(timing.append_together for timing in timings):6.2f} us a row, {TOGETHER} together")
    print(f"drain  {min(timing.drain for timing in timings):6.2f} us a row with its attempt, into {database}")
    print(f"drain  {min(timing.drain_from_file for timing in timings):6.2f} us a row, many of which were read back")
    print(f"begin  {min(timing.begin for timing in timings):6.2f} us a request that is noted as under way")
    print(f"begin  {min(timing.begin_built for timing in timings):6.2f} us, with building what is noted")
    print(f"end    {min(timing.end for timing in timings):6.2f} us a request that is forgotten")
    print(f"timer  {min(timing.late_milliseconds for timing in timings):6.2f} ms late at worst in the calmest round")


if __name__ == "__main__":
    main()
