"""What is paid to a provider for comparing by meaning is in the ledger."""

from __future__ import annotations

import asyncio

from headgate.cache_types import SemanticRules
from headgate.gateway import embedded
from headgate.gateway.semantic import LATE_AT_ONCE
from headgate.gateway.semantic_checks import Checks, Comparison
from tests.gateway.corridor import ALICE, run
from tests.gateway.meaning import LAST, Meaning


def test_what_a_provider_takes_for_a_vector_is_an_attempt_of_the_request() -> None:
    async def scenario() -> None:
        corridor = Meaning(SemanticRules(bound=0.2, shadow_share=0.0))
        await corridor.teach()
        corridor.embedder.cost_picousd = 777
        hit = await corridor.visit(corridor.asking(LAST.format("badge")))
        miss = await corridor.visit(corridor.asking("What is the weather like?"))
        assert hit.head is not None and miss.head is not None
        assert (hit.head.cache, hit.head.cost_picousd) == ("semantic", 777)
        rows = {row.id: row for row in corridor.journal.appended}
        booked, asked = rows[hit.head.request_id], rows[miss.head.request_id]
        assert [(one.deployment, one.cost_picousd) for one in booked.attempts] == [("p/e", 777)]
        assert booked.cost_picousd == 777
        assert [one.deployment for one in asked.attempts] == ["p/e", "up/model"]
        assert len({one.id for one in asked.attempts}) == len({one.number for one in asked.attempts}) == 2
        assert asked.cost_picousd == sum(one.cost_picousd for one in asked.attempts) > 777

    run(scenario)


def test_a_vector_that_comes_too_late_has_been_paid_for_too() -> None:
    async def scenario() -> None:
        corridor = Meaning()
        corridor.embedder.cost_picousd, corridor.embedder.seconds = 777, 5.0
        visits = [corridor.visit(corridor.asking(f"What is number {number}?")) for number in range(LATE_AT_ONCE + 3)]
        for visit in await asyncio.gather(*visits):
            assert visit.head is not None and visit.head.cache == "miss"
        await asyncio.sleep(10)
        rows = [row for row in corridor.journal.appended if row.tags == (embedded.TAG,)]
        assert len(rows) == LATE_AT_ONCE and {row.cost_picousd for row in rows} == {777}
        others = [row for row in corridor.journal.appended if row not in rows]
        assert all([one.deployment for one in row.attempts] == ["up/model"] for row in others)

    run(scenario)


def test_what_a_provider_takes_for_comparing_answers_is_a_row_of_headgate_itself() -> None:
    async def scenario() -> None:
        corridor = Meaning()
        corridor.embedder.cost_picousd = 777
        checks = Checks(corridor.pipeline.handle, corridor.embedder, corridor.clock, corridor.settler.embedded)
        for word in ("printer", "badge"):
            compared = Comparison(LAST.format(word), f"Press reset on your {word}.", f"Your {word} has a reset button.")
            await checks.agree(ALICE, "", compared)
        rows = [row for row in corridor.journal.appended if row.tags == (embedded.TAG,)]
        assert len({row.id for row in rows}) == len(rows) == corridor.embedder.calls == 2
        assert {(row.tenant, row.route, row.cost_picousd) for row in rows} == {("headgate", "embeddings", 777)}
        assert all(attempt.request_id == row.id for row in rows for attempt in row.attempts)

    run(scenario)
