"""What an idempotency key stands for, and what a request that finds it taken is told."""

from __future__ import annotations

import json

import msgspec
import pytest

from headgate.idempotency_types import KeyedRequest, KeyedResult, OnUnknown
from headgate.policy.idempotency import Standing, content_of, fits, key_of, standing
from headgate.types import Call, Caller, Route, Tier
from headgate.wire.openai import CallHeaders, parse_call

BODY = {"model": "small", "messages": [{"role": "user", "content": "Hi"}], "seed": 1}
ALICE = Caller("key_1", "acme", "alice", Tier("pro", models=frozenset({"*"})))
NOW = 1_790_000_000.0
RESULT = KeyedResult(False, "small", "openai", "openai/gpt-4o-mini", NOW, b"{}")


def call(text: str, key: str = "k1", route: Route = Route.CHAT) -> Call:
    return msgspec.structs.replace(parse_call(route, text.encode(), "req_1", CallHeaders()), idempotency_key=key)


def test_a_key_is_one_of_its_tenant_and_route() -> None:
    text = json.dumps({**BODY, "prompt": "Hi"})
    mine = key_of(call(text), ALICE)
    assert mine == key_of(call(text), msgspec.structs.replace(ALICE, user="bob", key_id="key_2"))
    others = [
        key_of(call(text, "k2"), ALICE),
        key_of(call(text, route=Route.COMPLETIONS), ALICE),
        key_of(call(text), msgspec.structs.replace(ALICE, tenant="other")),
        key_of(call(text, ""), msgspec.structs.replace(ALICE, tenant="acmek1")),
    ]
    assert len({mine, *others}) == 1 + len(others)


def test_the_same_is_asked_however_it_is_written() -> None:
    written = [json.dumps(BODY), json.dumps(BODY, indent=2), json.dumps(dict(reversed(BODY.items())))]
    assert len({content_of(call(text)) for text in written}) == 1
    changed = [{**BODY, "seed": 2}, {**BODY, "stream": True}, {**BODY, "messages": []}, {**BODY, "user": "bob"}]
    assert content_of(call(written[0])) not in {content_of(call(json.dumps(body))) for body in changed}
    against = [msgspec.structs.replace(call(written[0]), appeal=first) for first in ("req_1", "req_2")]
    assert len({content_of(asked) for asked in (call(written[0]), *against)}) == 3, "an appeal wants another answer"


@pytest.mark.parametrize(
    ("content", "result", "alive_until", "on_unknown", "expected"),
    [
        (b"other", None, NOW + 1, OnUnknown.RETRY, Standing.OTHER_CONTENT),
        (b"other", RESULT, NOW + 1, OnUnknown.RETRY, Standing.OTHER_CONTENT),
        (b"same", RESULT, NOW - 1, OnUnknown.REFUSE, Standing.DONE),
        (b"same", msgspec.structs.replace(RESULT, is_left_out=True), NOW, OnUnknown.RETRY, Standing.NOT_KEPT),
        (b"same", None, NOW, OnUnknown.RETRY, Standing.UNDER_WAY),
        (b"same", None, NOW - 0.1, OnUnknown.RETRY, Standing.LOST),
        (b"same", None, NOW - 0.1, OnUnknown.REFUSE, Standing.UNKNOWN),
    ],
)
def test_what_a_request_is_told(
    content: bytes, result: KeyedResult | None, alive_until: float, on_unknown: OnUnknown, expected: Standing
) -> None:
    found = KeyedRequest(b"key", content, "req_1", "process_1", alive_until, NOW + 3600, result)
    assert standing(found, b"same", on_unknown, NOW) is expected


def test_a_result_is_measured_with_its_end() -> None:
    result = msgspec.structs.replace(RESULT, body=b"12345", tail=b"678")
    assert fits(result, 8) and not fits(result, 7)
