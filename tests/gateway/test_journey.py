"""What the ledger's rows say of a request: every value in its place."""

from __future__ import annotations

import hashlib

import msgspec

from headgate.types import AttemptRecord, Counted, Outcome, RequestRecord, Usage
from tests.gateway.corridor import ALICE, Corridor, deployment, model, run
from tests.gateway.scripted import ScriptedProvider, stream
from tests.wire.chunks import DONE, role, stop, text, usage

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


def the_attempt(request_id: str, started_at: float, usage: Usage) -> AttemptRecord:
    return AttemptRecord(
        id=f"{request_id}.1",
        request_id=request_id,
        number=1,
        started_at=started_at,
        deployment="up/model",
        provider="up",
        endpoint="http://one",
        upstream_model="their-model",
        key_fingerprint=hashlib.sha256(b"key-1").hexdigest()[:8],
        outcome=Outcome.DONE,
        status=200,
        upstream_id="",
        usage=usage,
        cost_picousd=37_000,
        price_version="test",
        seconds=1.75,
    )


def test_the_row_of_a_stream() -> None:
    async def scenario() -> None:
        steps = (role(), 1.0, text("Hello"), 0.25, text(" there"), 0.5, stop(), usage(7, 3), DONE)
        corridor = Corridor(model(deployment(ScriptedProvider(stream(*steps)))))
        started_at = corridor.clock.now()
        call = msgspec.structs.replace(
            corridor.call(),
            session="chat-7",
            user="somebody else",
            tags=("a", "b"),
            prompt_version="v3",
            traceparent=TRACEPARENT,
        )
        visit = await corridor.visit(call)
        said = Usage(input=7, output=3, counted=Counted.REPORTED)
        attempt = the_attempt(call.id, started_at, said)
        expected = RequestRecord(
            id=call.id,
            started_at=started_at,
            tenant="acme",
            user="alice",
            key_id="key_1",
            route="chat/completions",
            dialect="openai",
            model="small",
            stream=True,
            outcome=Outcome.DONE,
            status=200,
            error="",
            deployment="up/model",
            provider="up",
            upstream_model="their-model",
            session="chat-7",
            prompt_version="v3",
            tags=("a", "b"),
            usage=said,
            cost_picousd=37_000,
            price_version="test",
            config_hash="c0ffee",
            ttft_seconds=1.0,
            itl_seconds=0.375,  # the end is an event with content too
            e2e_seconds=1.75,
            bytes_in=call.body_bytes,
            bytes_out=sum(map(len, visit.pieces[:-1])),
            trace_id=TRACE_ID,
            traceparent=TRACEPARENT,
            attempts=(attempt,),
        )
        assert msgspec.structs.asdict(corridor.record) == msgspec.structs.asdict(expected)

    run(scenario)


def test_the_row_of_a_refusal() -> None:
    async def scenario() -> None:
        corridor = Corridor(model(deployment(ScriptedProvider())))
        call = corridor.call(model="nobody-knows", stream=False)
        await corridor.visit(call)
        record = corridor.record
        assert (record.outcome, record.status, record.error) == (Outcome.REFUSED, 404, "model_not_found")
        assert (record.tenant, record.key_id, record.model) == (ALICE.tenant, ALICE.key_id, "nobody-knows")
        assert (record.deployment, record.usage, record.bytes_out, record.attempts) == ("", Usage(), 0, ())

    run(scenario)
