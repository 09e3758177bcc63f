"""The event log: numbered, bounded, one writer, any number of readers."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import HeadgateError, StreamIncomplete
from headgate.gateway.events import EventLog, EventsDropped, Fenced
from headgate.sim.loop import run_virtual


async def collect(log: EventLog, after: int = 0) -> list[tuple[int, bytes]]:
    return [event async for event in log.read(after)]


def test_events_are_numbered_from_one() -> None:
    async def scenario() -> None:
        log = EventLog(1000)
        epoch = log.claim()
        assert [log.append(epoch, event) for event in (b"a", b"b", b"c")] == [1, 2, 3]
        log.close(epoch)
        assert (log.last, log.closed) == (3, True)
        assert await collect(log) == [(1, b"a"), (2, b"b"), (3, b"c")]
        assert await collect(log, after=2) == [(3, b"c")]
        assert await collect(log, after=3) == []

    run_virtual(scenario())


def test_readers_get_what_was_and_what_comes_in_order() -> None:
    async def scenario() -> None:
        log = EventLog(1000)
        epoch = log.claim()
        log.append(epoch, b"a")
        readers = [asyncio.create_task(collect(log, after)) for after in (0, 0, 1)]
        for event in (b"b", b"c"):
            await asyncio.sleep(1.0)
            log.append(epoch, event)
        await asyncio.sleep(1.0)
        log.close(epoch)
        everything = [(1, b"a"), (2, b"b"), (3, b"c")]
        assert await asyncio.gather(*readers) == [everything, everything, everything[1:]]

    run_virtual(scenario())


def test_readers_end_with_the_error_the_request_ended_with() -> None:
    async def scenario() -> None:
        log = EventLog(1000)
        epoch = log.claim()
        reading = asyncio.create_task(collect(log))
        await asyncio.sleep(0)
        log.append(epoch, b"a")
        log.close(epoch, StreamIncomplete("cut"))
        with pytest.raises(StreamIncomplete):
            await reading
        got = []
        with pytest.raises(HeadgateError):
            async for event in log.read():
                got.append(event)
        assert got == [(1, b"a")], "first what came, then the error"

    run_virtual(scenario())


def test_a_writer_is_fenced_off_by_the_next_one() -> None:
    log = EventLog(1000)
    old = log.claim()
    log.append(old, b"a")
    new = log.claim()
    with pytest.raises(Fenced):
        log.append(old, b"b")
    with pytest.raises(Fenced):
        log.close(old)
    assert log.append(new, b"b") == 2
    log.close(new)
    with pytest.raises(Fenced):
        log.append(new, b"c")


@given(st.lists(st.binary(max_size=30), max_size=40), st.integers(1, 60))
def test_what_is_kept_is_bounded_and_a_late_reader_is_told(events: list[bytes], limit: int) -> None:
    async def scenario() -> None:
        log = EventLog(limit)
        epoch = log.claim()
        for event in events:
            log.append(epoch, event)
        log.close(epoch)
        kept: list[tuple[int, bytes]] = []
        for after in range(len(events), -1, -1):  # the oldest place from which everything can still be read
            try:
                kept = await collect(log, after)
            except EventsDropped as dropped:
                assert str(after + 1) in str(dropped)
                break
        assert kept == list(enumerate(events, 1))[len(events) - len(kept) :]
        assert sum(len(event) for _, event in kept) <= limit or len(kept) == 1
        if kept and kept[0][0] > 1:
            with pytest.raises(EventsDropped):
                await collect(log)

    run_virtual(scenario())


def test_a_reader_that_falls_behind_is_told_in_the_middle() -> None:
    async def scenario() -> None:
        log = EventLog(2)
        epoch = log.claim()
        log.append(epoch, b"1")
        reader = log.read()
        assert await anext(reader) == (1, b"1")
        for event in (b"2", b"3", b"4"):
            log.append(epoch, event)
        with pytest.raises(EventsDropped, match="event 2"):
            await anext(reader)

    run_virtual(scenario())


def test_a_log_without_room_only_counts() -> None:
    async def scenario() -> None:
        log = EventLog(0)
        epoch = log.claim()
        assert [log.append(epoch, b"a"), log.append(epoch, b"b")] == [1, 2]
        log.close(epoch)
        with pytest.raises(EventsDropped):
            await collect(log)
        assert await collect(log, after=2) == []

    run_virtual(scenario())


def test_a_reader_that_leaves_disturbs_nobody() -> None:
    async def scenario() -> None:
        log = EventLog(1000)
        epoch = log.claim()
        leaving, staying = asyncio.create_task(collect(log)), asyncio.create_task(collect(log))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait([leaving])
        log.append(epoch, b"a")
        log.close(epoch)
        assert await staying == [(1, b"a")]

    run_virtual(scenario())
