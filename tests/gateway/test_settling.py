"""Settle: once, whatever happens, and before the end of the answer is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from headgate.errors import DatabaseUnavailable, FeatureNotAllowed, LedgerFull, ModelNotFound, StreamIncomplete
from headgate.policy.pricing import cost_picousd
from headgate.types import Caller, Counted, Features, Outcome, Price, Route, Tier, Usage
from tests.gateway.corridor import ALICE, PRICE, PROMPT_TOKENS, Corridor, deployment, model, run
from tests.gateway.scripted import SILENCE, Reply, ScriptedProvider, answer, fail, refuse, stream
from tests.wire.chunks import ANSWER, DONE, choice, chunk, event, role, stop, text, usage

WHOLE = (role(), text("Hello"), text(" there"), stop(), usage(7, 3), DONE)


# --- the end of an answer follows its record ---


def test_the_end_of_a_stream_is_withheld_until_the_record_is_written() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(stream(*WHOLE)))))
        written_before = []
        async with corridor.pipeline.handle(ALICE, corridor.call()) as given:
            async for piece in given.events:
                written_before.append((len(corridor.journal.appended), DONE in piece))
        assert written_before[-1] == (1, True)
        assert all(written == (0, False) for written in written_before[:-1])

    run(scenario)


def test_a_json_answer_is_shown_after_its_record_is_written() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer()))))
        async with corridor.pipeline.handle(ALICE, corridor.call(stream=False)) as given:
            assert len(corridor.journal.appended) == 1
            assert given.head.cost_picousd == corridor.record.cost_picousd == 7 * 1_000 + 3 * 10_000

    run(scenario)


def test_a_full_ledger_withholds_the_end_of_a_stream() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(stream(*WHOLE)))))
        corridor.journal.refuses = True
        visit = await corridor.visit()
        assert DONE not in visit.body and visit.last_error["code"] == "ledger_full"
        assert corridor.at_rest()

    run(scenario)


def test_a_full_ledger_withholds_a_json_answer() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer()))))
        corridor.journal.refuses = True
        visit = await corridor.visit(corridor.call(stream=False))
        assert isinstance(visit.error, LedgerFull) and not visit.pieces
        assert corridor.at_rest()

    run(scenario)


def test_a_journal_without_room_refuses_before_any_provider_is_asked() -> None:
    async def scenario() -> None:
        up = ScriptedProvider()
        corridor = Corridor(model(deployment(up)))
        corridor.journal.has_room = False
        assert isinstance((await corridor.visit()).error, LedgerFull) and not up.asked

    run(scenario)


@pytest.mark.parametrize("policy", ["serve", "deny"])
def test_what_a_database_that_is_away_means_is_configured(policy: str) -> None:
    async def scenario() -> None:
        up = ScriptedProvider()
        corridor = Corridor(model(deployment(up)), on_database_failure=policy)
        assert (await corridor.visit()).error is None
        corridor.database_answers = False
        visit = await corridor.visit()
        if policy == "serve":
            assert visit.error is None and len(up.asked) == 2
        else:
            assert isinstance(visit.error, DatabaseUnavailable) and len(up.asked) == 1
            assert visit.error.retry_after_seconds and corridor.journal.appended[-1].status == 503

    run(scenario)


def test_the_cost_of_a_stream_stands_in_a_comment_before_its_end() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(stream(*WHOLE)))))
        visit = await corridor.visit()
        assert visit.pieces[-1] == b": x-headgate-cost-usd=0.000000037\n\n" + DONE
        assert usage(7, 3) not in visit.body, "the caller did not ask for it"
        wanted = await corridor.visit(corridor.call(stream_options={"include_usage": True}))
        assert usage(7, 3) in wanted.body

    run(scenario)


def test_a_missing_done_is_counted_and_no_failure() -> None:
    async def scenario() -> None:
        corridor = Corridor(
            model(deployment(ScriptedProvider(stream(ANSWER), stream(ANSWER.rstrip()), stream(*WHOLE))))
        )
        for _ in range(3):
            assert (await corridor.visit()).error is None
        assert corridor.unmarked == ["up/model"] * 2
        assert {record.outcome for record in corridor.journal.appended} == {Outcome.DONE}

    run(scenario)


def test_an_event_that_lacks_its_blank_line_reaches_the_client_after_the_record() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(stream(ANSWER.rstrip())))))
        visit = await corridor.visit()
        assert visit.body.replace(b": x-headgate-cost-usd=0.000000122\n\n", b"") == ANSWER
        assert visit.pieces[-1].endswith(stop())

    run(scenario)


# --- broken after the commit point ---


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ((StreamIncomplete("cut"),), "stream_incomplete"),
        ((), "stream_incomplete"),
        ((DONE,), "stream_incomplete"),
        ((b"data: {]\n\n", stop(), DONE), "stream_malformed"),
        ((b'data: "\xff"\n\n', stop(), DONE), "stream_malformed"),
        ((event({"error": {"message": "boom"}}), stop(), DONE), "stream_failed"),
        ((stop("abort"), stop(), DONE), "stream_failed"),
    ],
)
def test_a_broken_stream_ends_with_a_typed_error_and_is_billed_as_failed(end: Sequence[bytes], code: str) -> None:
    async def scenario() -> None:
        up = ScriptedProvider(stream(role(), text("Hello"), text(" there"), *end))
        corridor = Corridor(model(deployment(up), retries=2))
        visit = await corridor.visit()
        assert b"".join(visit.pieces[:-1]) == role() + text("Hello") + text(" there")
        error, record = visit.last_error, corridor.record
        assert error["code"] == code and error["request_id"] == record.id and DONE not in visit.body
        assert (record.outcome, record.error, len(up.asked)) == (Outcome.FAILED, code, 1)
        assert record.usage == Usage(PROMPT_TOKENS, 0, 11, 0, Counted.ESTIMATED)
        assert record.cost_picousd == cost_picousd(record.usage, PRICE) > 0
        assert corridor.deployment("up/model").breaker.consecutive_failures == 1 and corridor.at_rest()

    run(scenario)


def test_what_was_reported_before_a_break_is_not_estimated() -> None:
    async def scenario() -> None:
        running = chunk(choice({"content": "Hello"}), usage={"prompt_tokens": 7, "completion_tokens": 2})
        corridor = Corridor(model(deployment(ScriptedProvider(stream(running, StreamIncomplete("cut"))))))
        await corridor.visit()
        assert corridor.record.usage == Usage(7, 0, 2, 0, Counted.REPORTED) and not corridor.counter.counted

    run(scenario)


# --- a client that leaves ---


@pytest.mark.parametrize("pieces", [1, 2, 3, 4])
def test_a_client_that_leaves_stops_the_upstream_at_once_and_pays_for_what_was_generated(pieces: int) -> None:
    async def scenario() -> None:
        texts = ["one", " two", " three", " four"]
        up = ScriptedProvider(stream(*(step for word in texts for step in (text(word), 1.0)), stop(), DONE))
        corridor = Corridor(model(deployment(up)))
        visit = await corridor.visit(pieces=pieces)
        assert up.responses[0].closed_at == visit.times[-1], "within one chunk"
        assert up.responses[0].reads == pieces
        record = corridor.record
        assert (record.outcome, record.status, record.error) == (Outcome.DISCONNECTED, 200, "")
        assert record.usage == Usage(PROMPT_TOKENS, 0, len("".join(texts[:pieces])), 0, Counted.ESTIMATED)
        assert record.bytes_out == len(visit.body) and corridor.at_rest()
        assert corridor.deployment("up/model").breaker.window_failures == 0

    run(scenario)


@pytest.mark.parametrize(
    "reply", [stream(seconds_before=SILENCE), stream(role(), SILENCE), answer(seconds_before=SILENCE)]
)
def test_a_client_that_leaves_before_the_commit_point_stops_the_upstream_too(reply: Reply) -> None:
    async def scenario() -> None:
        up = ScriptedProvider(reply)
        corridor = Corridor(model(deployment(up)))
        visiting = asyncio.create_task(
            corridor.visit(corridor.call(stream=reply.headers["content-type"] != "application/json"))
        )
        await asyncio.sleep(1.0)
        visiting.cancel()
        await asyncio.wait([visiting])
        assert visiting.cancelled() and corridor.at_rest()
        assert (corridor.record.outcome, len(corridor.record.attempts)) == (Outcome.DISCONNECTED, 1)

    run(scenario)


def test_a_client_that_leaves_between_two_attempts_pays_nothing() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(refuse(503, retry_after="9")))))
        visiting = asyncio.create_task(corridor.visit())
        await asyncio.sleep(1.0)
        visiting.cancel()
        await asyncio.wait([visiting])
        assert (corridor.record.outcome, corridor.record.cost_picousd) == (Outcome.DISCONNECTED, 0)
        assert corridor.outcomes == ["up/model 503"]

    run(scenario)


def test_a_client_that_leaves_while_its_tokens_are_counted_is_settled_all_the_same() -> None:
    async def scenario() -> None:
        for members in ({"stream": True}, {"stream": False}):
            corridor = Corridor(
                model(deployment(ScriptedProvider(stream() if members["stream"] else answer(usage=None))))
            )
            corridor.counter.seconds = 3.0
            visiting = asyncio.create_task(corridor.visit(corridor.call(**members)))
            await asyncio.sleep(1.0)
            visiting.cancel()
            await asyncio.sleep(0)
            visiting.cancel()
            await asyncio.wait([visiting])
            assert not corridor.journal.appended
            await corridor.settler.finish()
            assert corridor.record.usage.counted is Counted.ESTIMATED
            assert corridor.record.outcome is Outcome.DISCONNECTED, "it never got the end"
            assert corridor.at_rest()

    run(scenario)


def test_whoever_reads_on_for_a_client_that_left_settles_a_complete_answer() -> None:
    """`on_disconnect: finish`: the edge goes on reading and writes nothing."""

    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(stream(*WHOLE)))))
        call = corridor.call()
        async with corridor.pipeline.handle(ALICE, call) as given:
            async for _ in given.events:
                pass
        corridor.pipeline.undelivered(call.id)
        (row,), _ = await corridor.ledger.page(10)
        assert (row.outcome, row.undelivered, row.usage.output) == (Outcome.DONE, True, 3)

    run(scenario)


def test_many_clients_that_leave_leave_nothing_running() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(stream(*[text("a"), 0.1] * 50, stop(), DONE))
        corridor = Corridor(model(deployment(up)))
        clients = [asyncio.create_task(corridor.visit()) for _ in range(50)]
        for number, client in enumerate(clients):
            await asyncio.sleep(0.03)
            if number % 2:
                client.cancel()
        await asyncio.wait(clients)
        await corridor.settler.finish()
        assert corridor.at_rest() and len(corridor.journal.appended) == 50
        assert sum(record.outcome is Outcome.DISCONNECTED for record in corridor.journal.appended) == 25

    run(scenario)


# --- the row ---


def test_the_cost_of_a_request_is_the_sum_of_its_attempts() -> None:
    async def scenario() -> None:
        cheap = ScriptedProvider(refuse(500), fail(StreamIncomplete("x")), answer(usage=(100, 10)))
        corridor = Corridor(model(deployment(cheap, price=Price(3, 7, version="v7")), retries=2))
        await corridor.visit(corridor.call(stream=False))
        record = corridor.record
        assert [attempt.cost_picousd for attempt in record.attempts] == [0, 0, 370]
        assert record.cost_picousd == 370 and record.price_version == "v7"

    run(scenario)


def test_a_free_model_costs_nothing_and_says_so() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer()), price=None)))
        await corridor.visit(corridor.call(stream=False))
        assert (corridor.record.cost_picousd, corridor.record.price_version) == (0, "free")
        assert corridor.record.usage.output == 3

    run(scenario)


def test_an_answer_without_usage_is_estimated_by_the_upstream_model() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider(answer("Hello there", usage=None)))))
        await corridor.visit(corridor.call(stream=False))
        assert corridor.record.usage == Usage(PROMPT_TOKENS, 0, 11, 0, Counted.ESTIMATED)
        embeddings = Reply([b'{"data": [{"embedding": [0.5]}]}'], headers={"content-type": "application/json"})
        corridor = Corridor(model(deployment(ScriptedProvider(embeddings))))
        await corridor.visit(corridor.call(Route.EMBEDDINGS))
        assert corridor.record.usage == Usage(5, 0, 0, 0, Counted.ESTIMATED)

    run(scenario)


def test_times_and_facts_of_the_row() -> None:
    async def scenario() -> None:
        up = ScriptedProvider(stream(2.0, role(), text("a"), 0.5, text("b"), 1.5, text("c"), stop(), DONE))
        corridor = Corridor(model(deployment(up)))
        await asyncio.sleep(100.0)
        call = corridor.call(user="eve")
        visit = await corridor.visit(call)
        record = corridor.record
        assert record.ttft_seconds == pytest.approx(2.0) and record.e2e_seconds == pytest.approx(4.0)
        assert record.itl_seconds is not None and sum(corridor.tally.itl_counts[0]) >= 2
        assert record.started_at == corridor.clock.now() - 4.0
        assert (record.tenant, record.user, record.key_id) == ("acme", "alice", "key_1")
        assert (record.id, record.model, record.stream, record.route) == (call.id, "small", True, "chat/completions")
        assert (record.config_hash, record.upstream_model, record.dialect) == ("c0ffee", "their-model", "openai")
        assert record.bytes_in == call.body_bytes and record.bytes_out == len(visit.body) - len(visit.pieces[-1])
        assert corridor.tally.records == [record]

    run(scenario)


def test_a_refused_request_has_a_row_too() -> None:
    async def scenario() -> None:
        up = ScriptedProvider()
        corridor = Corridor(model(deployment(up)))
        few = Caller("key_2", "hobby", None, Tier("free", frozenset({"small"}), Features(), 5))
        for members, kind in (({"model": "other"}, ModelNotFound), ({"tools": [{}]}, FeatureNotAllowed)):
            visit = await corridor.visit(corridor.call(**members), caller=few)
            assert type(visit.error) is kind
            refused = corridor.journal.appended[-1]
            assert (refused.outcome, refused.status, refused.attempts) == (Outcome.REFUSED, kind.status, ())
        assert not up.asked and corridor.at_rest()
        call = corridor.call()
        corridor.pipeline.refuse(ALICE, call, ModelNotFound("x"))
        assert corridor.journal.appended[-1].id == call.id

    run(scenario)


@pytest.mark.parametrize(
    ("asked", "of_tier", "of_model", "sent"),
    [(None, 50, None, 50), (900, 50, None, 50), (20, 50, None, None), (900, None, 70, 70), (None, None, 70, None)],
)
def test_a_lowered_output_limit_is_sent_and_told(
    asked: int | None, of_tier: int | None, of_model: int | None, sent: int | None
) -> None:
    async def scenario() -> None:
        up = ScriptedProvider(answer())
        corridor = Corridor(model(deployment(up), max_output_tokens=of_model))
        caller = Caller("key_2", "hobby", None, Tier("free", frozenset({"*"}), max_output_tokens=of_tier))
        visit = await corridor.visit(corridor.call(stream=False, max_completion_tokens=asked), caller=caller)
        assert visit.head is not None and visit.head.max_output_tokens == sent
        assert up.asked[0].body["max_completion_tokens"] == (sent if sent is not None else asked)

    run(scenario)


def test_a_fallback_with_less_room_lowers_the_limit_further() -> None:
    async def scenario() -> None:
        large = ScriptedProvider(answer(), name="l")
        corridor = Corridor(
            model(deployment(ScriptedProvider(refuse(500))), retries=0, fallback=("large",)),
            model(deployment(large), name="large", max_output_tokens=30),
        )
        visit = await corridor.visit(corridor.call(stream=False, max_tokens=500))
        assert large.asked[0].body["max_tokens"] == 30
        assert visit.head is not None and visit.head.max_output_tokens == 30

    run(scenario)
