"""Answers that go out together are booked together: all of them before any of them."""

from __future__ import annotations

import asyncio

from headgate.errors import HeadgateError, ModelNotFound
from headgate.types import Call, Counted, Outcome
from headgate.writing import Batch
from tests.gateway.corridor import ALICE, Corridor, deployment, model, run
from tests.gateway.scripted import Reply, ScriptedProvider, answer, refuse


class Wire(asyncio.WriteTransport):
    """Notes what was in the journal when something was sent."""

    def __init__(self, corridor: Corridor) -> None:
        self._corridor = corridor
        self.sent: list[bytes] = []
        self.booked_before: list[int] = []

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.sent.append(data)
        self.booked_before.append(len(self._corridor.journal.appended))

    def is_closing(self) -> bool:
        return False


class Edge:
    """Serves calls as the HTTP edge serves JSON calls."""

    def __init__(self, corridor: Corridor) -> None:
        self.corridor = corridor
        self.batch = Batch(asyncio.get_running_loop())
        self.wire = Wire(corridor)

    def call(self) -> Call:
        return self.corridor.call(stream=False)

    async def serve(self, call: Call) -> None:
        try:
            async with self.corridor.pipeline.handle(ALICE, call, self.batch) as given:
                assert given.head.cost_picousd is not None and given.head.attempts.endswith(" 200")
                self.batch.write(self.wire, given.body, self.refused)
        except HeadgateError as error:
            self.batch.write(self.wire, self.refused(error), self.refused)

    def refused(self, error: HeadgateError) -> bytes:
        return error.code.encode()


def edge(*replies: Reply) -> Edge:
    return Edge(Corridor(model(deployment(ScriptedProvider(*replies)))))


def test_all_answers_of_a_round_are_booked_before_any_is_sent() -> None:
    async def scenario() -> None:
        one = edge(answer(), answer(), answer())
        await asyncio.gather(*(one.serve(one.call()) for _ in range(3)))
        await asyncio.sleep(0)
        assert one.wire.booked_before == [3, 3, 3]
        assert [record.outcome for record in one.corridor.tally.records] == [Outcome.DONE] * 3
        assert one.corridor.at_rest()

    run(scenario)


def test_errors_are_booked_before_they_are_sent_too() -> None:
    async def scenario() -> None:
        one = edge(refuse(400), answer())
        await asyncio.gather(*(one.serve(one.call()) for _ in range(2)))
        await asyncio.sleep(0)
        assert sorted(record.outcome for record in one.corridor.journal.appended) == [Outcome.DONE, Outcome.REJECTED]
        assert one.wire.booked_before == [2, 2]

    run(scenario)


def test_answers_that_cannot_be_booked_are_not_sent() -> None:
    async def scenario() -> None:
        one = edge(answer(), answer(), answer())
        one.corridor.journal.refuses = True
        await asyncio.gather(one.serve(one.call()), one.serve(one.call()))
        await asyncio.sleep(0)
        assert one.wire.sent == [b"ledger_full", b"ledger_full"]
        assert len(one.corridor.tally.records) == 2, "they are seen in metrics and in the log"
        one.corridor.journal.refuses = False
        await one.serve(one.call())
        await asyncio.sleep(0)
        assert b"choices" in one.wire.sent[-1] and one.wire.booked_before[-1] == 1

    run(scenario)


def test_who_was_never_let_in_takes_no_room_from_the_others() -> None:
    async def scenario() -> None:
        one = edge(answer(seconds_before=1.0))
        serving = asyncio.create_task(one.serve(one.call()))
        await asyncio.sleep(1.0)  # it is answered in this round of the loop
        one.corridor.journal.has_room = False
        stranger = one.corridor.call(stream=False, model="nobody-knows")
        await asyncio.gather(serving, one.serve(stranger))
        await asyncio.sleep(0)
        assert sorted(one.wire.sent) == [b"ledger_full", answer().steps[0]]
        assert one.corridor.record.outcome is Outcome.DONE

    run(scenario)


def test_who_was_refused_is_booked_at_once() -> None:
    async def scenario() -> None:
        one = edge()
        await one.serve(one.corridor.call(stream=False, model="nobody-knows"))
        assert (one.corridor.record.outcome, one.corridor.record.error) == (Outcome.REFUSED, ModelNotFound.code)

    run(scenario)


def test_an_answer_whose_tokens_are_counted_is_booked_when_they_are() -> None:
    async def scenario() -> None:
        one = edge(answer(usage=None))
        one.corridor.counter.seconds = 3.0
        await one.serve(one.call())
        assert one.corridor.record.usage.counted is Counted.ESTIMATED
        assert one.wire.sent == []
        await asyncio.sleep(0)
        assert one.wire.booked_before == [1]

    run(scenario)


def test_a_note_on_an_answer_follows_its_record() -> None:
    async def scenario() -> None:
        one = edge(answer())
        call = one.call()
        await one.serve(call)
        one.corridor.pipeline.undelivered(call.id)
        assert not one.corridor.journal.appended
        await asyncio.sleep(0)
        (row,), _ = await one.corridor.ledger.page(10)
        assert row.undelivered

    run(scenario)


def test_what_is_held_is_booked_at_the_end() -> None:
    async def scenario() -> None:
        one = edge(answer())
        await one.serve(one.call())
        await one.corridor.settler.finish()
        assert one.wire.booked_before == [1]

    run(scenario)


def test_a_client_that_leaves_is_booked_though_nobody_writes() -> None:
    async def scenario() -> None:
        one = edge(answer(seconds_before=10.0))
        serving = asyncio.create_task(one.serve(one.call()))
        await asyncio.sleep(1.0)
        serving.cancel()
        await asyncio.wait([serving])
        await one.corridor.settler.finish()
        assert one.corridor.record.outcome is Outcome.DISCONNECTED

    run(scenario)
