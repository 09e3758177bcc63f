"""Request bodies: ugly ones give a typed 4xx, good ones pass with everything headgate does not know."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headgate.errors import InvalidRequest, MalformedJson
from headgate.types import Call, Features, Route
from headgate.wire import openai
from headgate.wire.openai import CallHeaders, parse_call

CHAT = {"model": "small", "messages": [{"role": "user", "content": "hello"}]}
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def parse(body: object, route: Route = Route.CHAT) -> Call:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_call(route, data, "req_1", CallHeaders())


def refusal(body: object, route: Route = Route.CHAT) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse(body, route)
    return caught.value


# --- what is refused ---


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"not json",
        b'{"model": "small", "messages": []',
        b'{"model": "small", "messages": [],}',
        b'{"model": "small", "messages": []} {}',
        b'\xef\xbb\xbf{"model": "small", "messages": []}',
        b'{"model": "small", "messages": [], "x": NaN}',
        b'{"model": "small", "messages": [], "x": 01}',
        b'{"model": "small", "messages": [], "user": "\xff"}',
        b'{"model": "small", "messages": ["\xed\xa0\x80"]}',
        b'{"model": "small", "messages": [], "x": "\x00"}',
        b'{"model": "small", "messages": [], "x": "\\ud800"}',
        '{"model": "small", "messages": []}'.encode("utf-16"),
        b'{"model": "small", "messages": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    ],
    ids=lambda body: body[:40].decode(errors="replace"),
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    error = refusal(body)
    assert isinstance(error, MalformedJson) and error.status == 400


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"model": ""}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ({"n": 0}, "n"),
        ({"n": -1}, "n"),
        ({"n": 129}, "n"),
        ({"n": 1.5}, "n"),
        ({"n": True}, "n"),
        ({"n": "2"}, "n"),
        ({"n": 10**30}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -5}, "max_tokens"),
        ({"max_tokens": 10**400}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"max_completion_tokens": {}}, "max_completion_tokens"),
        ({"user": 7}, "user"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_value_is_named(change: dict[str, object], param: str) -> None:
    error = refusal({**CHAT, **change})
    assert (error.status, error.code, error.param) == (400, "invalid_request", param)


@pytest.mark.parametrize(
    ("route", "member"), [(Route.CHAT, "messages"), (Route.COMPLETIONS, "prompt"), (Route.EMBEDDINGS, "input")]
)
def test_each_route_needs_its_member(route: Route, member: str) -> None:
    assert refusal({"model": "small"}, route).param == member
    assert refusal({member: []}, route).param == "model"
    assert parse({"model": "small", member: []}, route).route is route


@pytest.mark.parametrize("body", [[], [[[]]], None, "x", 5, True, 1.5])
def test_the_body_is_an_object(body: object) -> None:
    assert refusal(json.dumps(body).encode()).status == 400


@given(st.binary() | anything.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    try:
        parse(body)
    except InvalidRequest as error:
        assert 400 <= error.status < 500 and error.message


@given(st.dictionaries(st.sampled_from([*CHAT, "stream", "n", "max_tokens", "user", "stream_options"]), anything))
def test_no_types_raise_anything_else(changes: dict[str, object]) -> None:
    try:
        parse({**CHAT, **changes})
    except InvalidRequest as error:
        assert error.param


@given(st.data())
def test_what_is_accepted_is_json(data: st.DataObject) -> None:
    body = bytearray(json.dumps({**CHAT, "x": [1, 2.5e3, "é\\n", True, None], "stream_options": {}}).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(
            st.sampled_from(b'{}[]",:\\ntr-01e.\x00\xff ') | st.integers(0, 255)
        )
    try:
        call = parse(bytes(body))
    except InvalidRequest:
        return
    json.loads(bytes(body))
    json.loads(openai.upstream_body(call, "m", max_output_tokens=3, ask_usage=True))


# --- what is read ---


def test_members_and_headers() -> None:
    body = {**CHAT, "stream": True, "n": 3, "max_tokens": 7, "stream_options": {"include_usage": True}, "user": "eve"}
    headers = CallHeaders("s1", None, ("a", "b"), "v2", "00-x")
    call = parse_call(Route.CHAT, json.dumps(body).encode(), "req_9", headers)
    assert (call.id, call.model, call.stream, call.choices, call.max_output_tokens) == ("req_9", "small", True, 3, 7)
    assert (call.wants_usage, call.session, call.user, call.tags) == (True, "s1", "eve", ("a", "b"))
    assert (call.prompt_version, call.traceparent, call.body_bytes) == ("v2", "00-x", len(json.dumps(body)))
    named = CallHeaders(user="mallory")
    assert parse_call(Route.CHAT, json.dumps(body).encode(), "req_9", named).user == "mallory"


def test_null_is_as_if_absent() -> None:
    nothing = dict.fromkeys(("stream", "n", "max_tokens", "max_completion_tokens", "stream_options", "user"))
    call = parse({**CHAT, **nothing})
    assert (call.stream, call.choices, call.max_output_tokens, call.wants_usage, call.user) == (
        False,
        1,
        None,
        False,
        None,
    )


def test_embeddings_do_not_stream() -> None:
    assert not parse({"model": "e", "input": "x", "stream": True}, Route.EMBEDDINGS).stream


def test_the_largest_of_two_limits_counts_because_servers_differ_in_which_they_obey() -> None:
    assert parse({**CHAT, "max_tokens": 5, "max_completion_tokens": 900}).max_output_tokens == 900
    assert parse({**CHAT, "max_tokens": 900, "max_completion_tokens": 5}).max_output_tokens == 900


def test_a_completion_may_ask_for_nothing_but_the_scores_of_its_prompt() -> None:
    body = {"model": "small", "prompt": "x", "echo": True, "logprobs": 1, "max_tokens": 0}
    assert parse(body, Route.COMPLETIONS).max_output_tokens == 0
    assert refusal({**body, "max_tokens": -1}, Route.COMPLETIONS).param == "max_tokens"


def test_of_a_member_given_twice_the_last_counts_and_alone_goes_on() -> None:
    call = parse(b'{"model": "a", "messages": [], "max_tokens": 5, "model": "b", "max_tokens": 900}')
    assert (call.model, call.max_output_tokens) == ("b", 900)
    body = openai.upstream_body(call, "m", max_output_tokens=None, ask_usage=False)
    assert body.count(b'"model"') == body.count(b'"max_tokens"') == 1


# --- which features it uses ---


@pytest.mark.parametrize(
    ("body", "used"),
    [
        ({}, Features()),
        ({"tools": [{"type": "function"}]}, Features(tools=True)),
        ({"functions": [{"name": "f"}]}, Features(tools=True)),
        ({"tools": []}, Features()),
        ({"tools": None}, Features()),
        (b'"tools": [ \n ]', Features()),
        (b'"t\\u006fols": [1]', Features(tools=True)),
        ({"messages": [{"role": "user", "content": "an image_url is a word"}]}, Features()),
        ({"messages": [{"content": [{"type": "text", "text": "image"}]}]}, Features()),
        ({"messages": [{"content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, Features(images=True)),
        ({"messages": [{"content": [{"type": "input_image"}]}]}, Features(images=True)),
        ({"messages": [{"content": [{"image_url": {"url": "x"}}]}]}, Features(images=True)),
        ({"messages": [{"content": [{"type": None, "image_url": {"url": "x"}}]}]}, Features(images=True)),
        (b'"messages": [{"content": [{"type": "im\\u0061ge_url"}]}]', Features(images=True)),
        (b'"messages": [{"content": [{"im\\u0061ge_url": {}}]}]', Features(images=True)),
        (b'"m\\u0065ssages": [{"content": [{"type": "image_url"}]}]', Features(images=True)),
        ({"messages": [{"content": [5, {"type": "image_url"}]}]}, Features(images=True)),
        (
            {"messages": [{"content": "a"}, {"content": None}, {"content": [{"type": "image_url"}]}]},
            Features(images=True),
        ),
    ],
    ids=str,
)
def test_features(body: object, used: Features) -> None:
    members = body if isinstance(body, bytes) else json.dumps(body).encode()[1:-1]
    start = b'{"model": "small"' if b"essages" in members else b'{"model": "small", "messages": []'
    assert openai.features(parse(start + (b", " + members if members else b"") + b"}")) == used


# --- what goes upstream ---


@given(st.dictionaries(st.text().filter(lambda name: name not in CHAT), anything, max_size=5))
@example({"seed": 2**70, "temperature": 0.1, "logit_bias": {"50256": -100}, "tomorrow": [{"\u2028": "\x85"}]})
def test_unknown_members_go_on_byte_for_byte(members: dict[str, object]) -> None:
    given_bytes = {name: json.dumps(value, ensure_ascii=False).encode() for name, value in members.items()}
    try:
        call = parse({**CHAT, **members})
    except InvalidRequest:
        return
    sent = openai.upstream_body(call, "upstream-name", max_output_tokens=None, ask_usage=False)
    assert json.loads(sent) == {**CHAT, **members, "model": "upstream-name"}
    for name, value in given_bytes.items():
        raw = parse(b'{"model": "m", "messages": [], %s: %s}' % (json.dumps(name).encode(), value)).fields[name]
        assert bytes(raw) == value


def test_numbers_and_strings_are_not_rewritten() -> None:
    odd = b'{"model": "m", "messages": [ ], "a": 1.0, "b": 1e2, "c": 1E400, "d": "\\u00e9\\/", "e": {"z" : 1,  "z": 2}}'
    sent = openai.upstream_body(parse(odd), "n", max_output_tokens=None, ask_usage=False)
    for raw in (b"1.0", b"1e2", b"1E400", b'"\\u00e9\\/"', b'{"z" : 1,  "z": 2}', b"[ ]"):
        assert raw in sent


@pytest.mark.parametrize(
    ("route", "limits", "sent"),
    [
        (Route.CHAT, {}, {"max_completion_tokens": 50}),
        (Route.CHAT, {"max_tokens": None}, {"max_tokens": 50}),
        (Route.CHAT, {"max_tokens": 900}, {"max_tokens": 50}),
        (Route.CHAT, {"max_completion_tokens": 900}, {"max_completion_tokens": 50}),
        (Route.CHAT, {"max_tokens": 5, "max_completion_tokens": 900}, {"max_tokens": 5, "max_completion_tokens": 50}),
        (Route.CHAT, {"max_tokens": 900, "max_completion_tokens": 5}, {"max_tokens": 50, "max_completion_tokens": 5}),
        (Route.COMPLETIONS, {}, {"max_tokens": 50}),
        (Route.COMPLETIONS, {"max_tokens": 900}, {"max_tokens": 50}),
        (Route.EMBEDDINGS, {}, {}),
    ],
    ids=str,
)
def test_no_output_limit_is_left_above_the_ceiling(
    route: Route, limits: dict[str, object], sent: dict[str, object]
) -> None:
    call = parse({"model": "small", "messages": [], "prompt": "", "input": "", **limits}, route)
    body = json.loads(openai.upstream_body(call, "m", max_output_tokens=50, ask_usage=False))
    assert {name: body[name] for name in openai.CEILINGS if name in body} == sent


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, {"include_usage": True}),
        (None, {"include_usage": True}),
        ({"include_usage": False}, {"include_usage": True}),
        ({"include_usage": True, "x": 1}, {"include_usage": True, "x": 1}),
        ({"include_obfuscation": False}, {"include_obfuscation": False, "include_usage": True}),
    ],
    ids=str,
)
def test_usage_is_asked_for_beside_what_the_caller_asks(options: object, sent: object) -> None:
    call = parse({**CHAT, "stream": True, "stream_options": options})
    asked = json.loads(openai.upstream_body(call, "m", max_output_tokens=None, ask_usage=True))
    assert asked["stream_options"] == sent
    untouched = json.loads(openai.upstream_body(call, "m", max_output_tokens=None, ask_usage=False))
    assert untouched["stream_options"] == options


def test_a_plain_call_is_never_asked_for_a_usage_chunk() -> None:
    body = json.loads(openai.upstream_body(parse(CHAT), "m", max_output_tokens=None, ask_usage=True))
    assert "stream_options" not in body


def test_nesting_that_was_just_readable_is_a_typed_error_deeper_in_the_stack() -> None:
    def nested(levels: int) -> bytes:
        deep = b"[" * levels + b"]" * levels
        return b'{"model": "m", "messages": [], "stream": true, "stream_options": {"x": %s}}' % deep

    levels = sys.getrecursionlimit()
    while True:
        try:
            call = parse(nested(levels))
        except MalformedJson:
            levels -= 1
        else:
            break

    def deeper(frames: int) -> bytes:
        if frames:
            return deeper(frames - 1)
        return openai.upstream_body(call, "m", max_output_tokens=None, ask_usage=True)

    with pytest.raises(InvalidRequest, match="nested too deeply"):
        deeper(50)
