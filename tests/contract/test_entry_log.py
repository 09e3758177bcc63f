"""What every log of entries does: each note reaches all who listen, in one order."""

from __future__ import annotations

import asyncio

from headgate.stores.memory_entry_log import MemoryEntryLog


def test_a_process_alone_hears_itself_at_once() -> None:
    async def scenario() -> None:
        heard: list[bytes] = []
        log = MemoryEntryLog(heard.append)
        for note in (b"one", b"", b"\x00three"):
            log.write(note)
        assert heard == [b"one", b"", b"\x00three"]
        await log.aclose()
        await log.aclose()
        log.write(b"four")
        assert len(heard) == 3

    asyncio.run(scenario())
