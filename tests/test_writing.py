"""Messages of one round of the loop go out together, after what must be done before them."""

from __future__ import annotations

import asyncio

import pytest

from headgate.errors import HeadgateError, LedgerFull
from headgate.writing import Batch


class Wire(asyncio.WriteTransport):
    """A transport that keeps what is written, in one list with others."""

    def __init__(self, sent: list[object]) -> None:
        self._sent = sent
        self.closed = False

    def write(self, data: object) -> None:
        self._sent.append(data)

    def is_closing(self) -> bool:
        return self.closed


def refused(error: HeadgateError) -> bytes:
    return b"refused: " + type(error).__name__.encode()


def test_messages_wait_for_the_end_of_the_round_and_for_the_work_before_them() -> None:
    async def scenario() -> None:
        sent: list[object] = []
        batch, wire = Batch(asyncio.get_running_loop()), Wire(sent)
        batch.write(wire, b"first", refused)
        batch.before(lambda: sent.append("work"))
        batch.write(wire, b"second")
        assert sent == []
        await asyncio.sleep(0)
        assert sent == ["work", b"first", b"second"]
        batch.write(wire, b"third")
        await asyncio.sleep(0)
        assert sent[3:] == [b"third"], "work is done once"

    asyncio.run(scenario())


def test_work_is_done_though_nobody_writes() -> None:
    async def scenario() -> None:
        sent: list[object] = []
        Batch(asyncio.get_running_loop()).before(lambda: sent.append("work"))
        await asyncio.sleep(0)
        assert sent == ["work"]

    asyncio.run(scenario())


def test_a_flush_does_the_work_and_sends_at_once() -> None:
    async def scenario() -> None:
        sent: list[object] = []
        batch, open_wire, closed_wire = Batch(asyncio.get_running_loop()), Wire(sent), Wire(sent)
        batch.before(lambda: sent.append("work"))
        batch.write(open_wire, b"sent")
        batch.write(closed_wire, b"not sent")
        closed_wire.closed = True
        batch.flush()
        assert sent == ["work", b"sent"]
        await asyncio.sleep(0)
        assert sent == ["work", b"sent"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("failure", "instead"),
    [(LedgerFull("full"), b"refused: LedgerFull"), (KeyError("ours"), b"refused: InternalError")],
)
def test_when_the_work_fails_other_messages_are_sent(failure: Exception, instead: bytes) -> None:
    async def scenario() -> None:
        sent: list[object] = []
        batch, wire = Batch(asyncio.get_running_loop()), Wire(sent)

        def fail() -> None:
            raise failure

        batch.before(fail)
        batch.before(lambda: sent.append("other work"))
        batch.write(wire, b"answer", refused)
        batch.write(wire, b"does not depend on it")
        await asyncio.sleep(0)
        assert sent == ["other work", instead, b"does not depend on it"]
        batch.write(wire, b"the next round", refused)
        await asyncio.sleep(0)
        assert sent[3:] == [b"the next round"]

    asyncio.run(scenario())
