"""Rows of the ledger for tests: a plain one, and every one that hypothesis can think of."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from headgate.metering import UnderWay
from headgate.types import AttemptRecord, Counted, KeyRecord, Outcome, RequestRecord, Usage

MIDNIGHT = 20_000 * 86_400.0  # 2024-10-04, UTC
DAY = 86_400.0


def request_id(number: int) -> str:
    return f"req_{number:026x}"


def record(number: int = 1, **changes: Any) -> RequestRecord:
    """A finished request with one attempt. `number` makes its id and its time."""
    attempt = AttemptRecord(
        id=f"{request_id(number)}.1",
        request_id=request_id(number),
        number=1,
        started_at=MIDNIGHT + number,
        deployment="openai/gpt-4o-mini",
        provider="openai",
        endpoint="http://127.0.0.1:9100/v1",
        upstream_model="gpt-4o-mini",
        key_fingerprint="9f86d081",
        outcome=Outcome.DONE,
        status=200,
        usage=Usage(input=12, output=30, counted=Counted.REPORTED),
        cost_picousd=19_800_000,
        seconds=0.5,
    )
    plain = RequestRecord(
        id=request_id(number),
        started_at=MIDNIGHT + number,
        tenant="acme",
        user="alice",
        key_id="key_1",
        route="chat/completions",
        dialect="openai",
        model="small",
        stream=True,
        outcome=Outcome.DONE,
        status=200,
        deployment=attempt.deployment,
        provider=attempt.provider,
        upstream_model=attempt.upstream_model,
        usage=attempt.usage,
        cost_picousd=attempt.cost_picousd,
        ttft_seconds=0.25,
        e2e_seconds=0.5,
        attempts=(attempt,),
    )
    return msgspec.structs.replace(plain, **changes)


def under_way(number: int = 1, **changes: Any) -> UnderWay:
    """The request of `record(number)` before its end."""
    plain = UnderWay(
        request_id=request_id(number),
        started_at=MIDNIGHT + number,
        tenant="acme",
        user="alice",
        key_id="key_1",
        route="chat/completions",
        dialect="openai",
        model="small",
        stream=True,
        deployment="openai/gpt-4o-mini",
        provider="openai",
        upstream_model="gpt-4o-mini",
        held_input_tokens=14,
        held_output_tokens=1000,
        held_picousd=602_100_000,
        price_version="config",
        config_hash="c0ffee",
        session="chat-7",
        tags=("nightly", "draft"),
    )
    return msgspec.structs.replace(plain, **changes)


def key(number: int = 1, **changes: Any) -> KeyRecord:
    plain = KeyRecord(
        id=f"key_{number}",
        hash=f"{number:064x}",
        hint="abcd",
        tenant="acme",
        tier="pro",
        created_at=MIDNIGHT + number,
    )
    return msgspec.structs.replace(plain, **changes)


texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)
counts = st.integers(0, 2**63 - 1)
times = st.floats(MIDNIGHT, MIDNIGHT + 4 * DAY)
durations = st.floats(0, 1e6)
usages = st.builds(
    Usage,
    input=counts,
    cached_input=counts,
    output=counts,
    reasoning=counts,
    counted=st.sampled_from(Counted),
    cache_write=counts,
    cache_write_1h=counts,
    raw=st.sampled_from([b"", b'{"prompt_tokens": 7, "cost": 0.25}', '{"日": "\\u0000"}'.encode()]),
)


def attempts_of(identity: str) -> st.SearchStrategy[tuple[AttemptRecord, ...]]:
    def numbered(found: list[AttemptRecord]) -> tuple[AttemptRecord, ...]:
        return tuple(msgspec.structs.replace(each, number=number) for number, each in enumerate(found, 1))

    attempt = st.builds(
        AttemptRecord,
        id=texts,
        request_id=st.just(identity),
        number=st.just(1),
        started_at=times,
        deployment=texts,
        provider=texts,
        endpoint=texts,
        upstream_model=texts,
        key_fingerprint=texts,
        outcome=st.sampled_from(Outcome),
        status=st.integers(0, 599),
        error=texts,
        upstream_id=texts,
        usage=usages,
        cost_picousd=counts,
        price_version=texts,
        seconds=durations,
    )
    return st.lists(attempt, max_size=3).map(numbered)


def as_the_last_attempt(record: RequestRecord) -> RequestRecord:
    """With the same words about who answered and with what as the last attempt, as the gateway writes it."""
    if not record.attempts:
        return record
    last = record.attempts[-1]
    last = msgspec.structs.replace(last, id=f"{record.id}.{last.number}")
    same = ("outcome", "error", "deployment", "provider", "upstream_model", "usage", "cost_picousd", "price_version")
    said = {name: getattr(last, name) for name in same}
    return msgspec.structs.replace(record, attempts=(*record.attempts[:-1], last), **said)


def records_with(number: int) -> st.SearchStrategy[RequestRecord]:
    """Any record with the id of this number."""
    identity = request_id(number)
    any_record = st.builds(
        RequestRecord,
        id=st.just(identity),
        started_at=times,
        tenant=st.sampled_from(["acme", "hobby", "日本", ""]),
        user=st.sampled_from([None, "alice", "bob"]),
        key_id=st.sampled_from(["key_1", "key_2"]),
        route=texts,
        dialect=texts,
        model=st.sampled_from(["small", "large"]),
        stream=st.booleans(),
        outcome=st.sampled_from(Outcome),
        status=st.integers(0, 599),
        error=texts,
        deployment=texts,
        provider=texts,
        upstream_model=texts,
        session=st.none() | texts,
        prompt_version=st.none() | texts,
        tags=st.lists(texts, max_size=3).map(tuple),
        usage=usages,
        cost_picousd=counts,
        price_version=texts,
        config_hash=texts,
        ttft_seconds=st.none() | durations,
        itl_seconds=st.none() | durations,
        e2e_seconds=durations,
        bytes_in=counts,
        bytes_out=counts,
        trace_id=texts,
        undelivered=st.booleans(),
        routed=st.sampled_from(["", '{"router":"auto"}']),
        hit=st.sampled_from(["", "exact", "coalesced"]),
        saved_picousd=st.integers(0, 2**40),
        attempts=attempts_of(identity),
    )
    return any_record | any_record.map(as_the_last_attempt)


@st.composite
def record_lists(draw: st.DrawFn, max_size: int = 12) -> list[RequestRecord]:
    """Records with different ids."""
    return [draw(records_with(number)) for number in range(draw(st.integers(0, max_size)))]
