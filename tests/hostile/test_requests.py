"""Requests that no caller's package would send, put to every API: a refusal that names what is wrong, or a body that is
JSON. Never another exception, whatever looks at the request."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headgate.errors import HeadgateError, InvalidRequest
from headgate.types import Call
from headgate.wire.neutral import Target
from headgate.wire.openai import CallHeaders
from headgate.wire.speakers import speaker
from headgate.wire.translation import Ask
from tests.conformance.replay import ASKED_IN
from tests.e2e.gateway import Gateway
from tests.e2e.upstream import Exchange, Upstream
from tests.e2e.wire import Response, ask, post
from tests.hostile.answers import ANSWERS
from tests.hostile.damage import JSON, ODD, RAW, places, with_raw
from tests.hostile.hearing import PAIR_NAMES, PAIRS, ROUTES, dialogue
from tests.hostile.requests import REQUESTS
from tests.hostile.voices import VOICES, Event, Voice, dump
from tests.scale import scaled

every_pair = pytest.mark.parametrize(("client", "voice"), PAIRS, ids=PAIR_NAMES)
MODELS = {
    "chat": "gpt-5-mini",
    "responses": "gpt-5-mini",
    "messages": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-flash",
    "converse": "anthropic.claude-sonnet-4-5-20250929-v1:0",
}


def parsed(client: str, body: bytes) -> Call:
    return speaker(ROUTES[client]).parse_call(ROUTES[client], body, "req_1", CallHeaders())


def put(client: str, voice: Voice, call: Call, *, may_drop: bool, ceiling: int | None = None) -> bytes:
    """The body for the provider, after all that looks at a request has looked at it."""
    spoken = speaker(ROUTES[client])
    spoken.features(call)
    assert spoken.overhead_tokens(call) >= 0
    assert all(isinstance(text, str) for text in spoken.prompt_texts(call))
    target = Target(MODELS[voice.dialect])
    return dialogue(client, voice).ask(call, Ask(target, ceiling, may_drop=may_drop, now=1_790_000_000)).body


def is_refused_or_good(client: str, voice: Voice, body: bytes) -> None:
    try:
        call = parsed(client, body)
    except InvalidRequest as error:
        assert error.message
        return
    for may_drop, ceiling in ((True, None), (False, 7)):
        try:
            written = put(client, voice, call, may_drop=may_drop, ceiling=ceiling)
        except HeadgateError as error:
            assert isinstance(error, InvalidRequest) and error.message
        else:
            assert written.isascii() or written.decode()
            assert isinstance(json.loads(written), dict)


@every_pair
def test_a_request_with_everything(client: str, voice: Voice) -> None:
    is_refused_or_good(client, voice, dump(REQUESTS[client]))
    assert json.loads(put(client, voice, parsed(client, dump(REQUESTS[client])), may_drop=True))


@st.composite
def damaged(draw: st.DrawFn, *, damages: int = 3) -> tuple[str, bytes]:
    """A request with other values in some places."""
    client = draw(st.sampled_from(list(ROUTES)))
    event = Event("", REQUESTS[client])
    for _ in range(draw(st.integers(1, damages))):
        odd = st.sampled_from(ODD) | JSON
        raw = draw(odd.map(lambda value: json.dumps(value).encode()) | st.sampled_from(RAW))
        try:
            value = json.loads(event.data)
        except (ValueError, RecursionError):
            break
        event = with_raw(event, draw(st.sampled_from(list(places(value)))), raw)
    return client, event.data


@settings(max_examples=scaled(600, 200), derandomize=True)
@given(damaged(), st.sampled_from(list(VOICES.values())))
def test_values_of_any_kind_in_any_place(case: tuple[str, bytes], voice: Voice) -> None:
    client, body = case
    is_refused_or_good(client, voice, body)


@pytest.mark.parametrize("client", ROUTES)
@pytest.mark.parametrize("depth", [300, 600, 20_000])
def test_nesting(client: str, depth: int) -> None:
    """In every member, towards one API after the other."""
    kinds = ((b"[", b"]"), (b'{"a":', b"}"), (b'[{"type":"text","content":', b"}]"))
    for number, name in enumerate(REQUESTS[client]):
        opening, closing = kinds[number % len(kinds)]
        nested = opening * depth + b"1" + closing * depth
        voice = list(VOICES.values())[number % len(VOICES)]
        is_refused_or_good(client, voice, with_raw(Event("", REQUESTS[client]), (name,), nested).data)


# --- through a gateway ---

ROUNDS = settings(
    max_examples=scaled(150, 60),
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
MARKS = {  # what stands in the path that a provider is asked by
    "chat/completions": "chat",
    "responses": "responses",
    "messages": "messages",
    "enerateContent": "gemini",
    "converse": "converse",
}
PATHS_OF = {"chat": ["chat/completions"], "responses": ["responses"], "messages": ["messages", "messages/count_tokens"]}


async def answering(exchange: Exchange) -> None:
    """What every provider answers; Google's and Amazon's requests say only in their path that they want a stream."""
    path = exchange.head.split(" ")[1]
    dialect = next(name for mark, name in MARKS.items() if mark in path)
    if "count_tokens" in path:
        await exchange.json({"input_tokens": 5})
    elif "stream" in path.lower() or exchange.body.get("stream") is True:
        voice = VOICES[dialect]
        kind = "text/event-stream" if voice.is_text else "application/vnd.amazon.eventstream"
        await exchange.answer(200, voice.stream(voice.tell()), content_type=kind)
    else:
        await exchange.json(ANSWERS[dialect])


def is_no_fault(response: Response, path: str) -> None:
    assert response.status < 500, response.body
    if response.status >= 400:
        value = json.loads(response.body)
        assert value["error"]["message"] and value["error"]["type"] != "api_error"
        assert (value.get("type") == "error") == path.startswith("messages")


@ROUNDS
@given(case=damaged(damages=2), model=st.sampled_from([*ASKED_IN.values(), "small", "simulated"]), data=st.data())
def test_damaged_requests(
    gateway: Gateway, upstream: Upstream, case: tuple[str, bytes], model: str, data: st.DataObject
) -> None:
    upstream.script = answering
    client, body = case
    path = data.draw(st.sampled_from(PATHS_OF[client]))
    stream = data.draw(st.sampled_from([b"", b',"stream":true', b',"stream":false']))
    if body.endswith(b"}") and body.startswith(b"{"):
        body = body[:-1] + b',"model":"' + model.encode() + b'"' + stream + b"}"  # the last of its name counts
    is_no_fault(ask(gateway, post(body, path=f"/v1/{path}")), path)


@ROUNDS
@given(body=st.dictionaries(st.sampled_from([*REQUESTS["responses"], *REQUESTS["messages"]]), JSON), data=st.data())
def test_any_json(gateway: Gateway, upstream: Upstream, body: dict[str, Any], data: st.DataObject) -> None:
    upstream.script = answering
    path = data.draw(st.sampled_from(["responses", "messages", "messages/count_tokens"]))
    prompt = "input" if path == "responses" else "messages"
    model = data.draw(st.sampled_from(list(ASKED_IN.values())) | JSON)
    sent = dump({prompt: "x", "max_tokens": 5, **body, "model": model})
    is_no_fault(ask(gateway, post(sent, path=f"/v1/{path}")), path)


def test_nothing_is_left_of_all_that(gateway: Gateway) -> None:
    gateway.is_quiet()
    gateway.has_no_clients()
    assert not gateway.complaints()
